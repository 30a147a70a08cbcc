#include "handlers/agent_self.h"
#include "base/errors.h"
#include "store/sessions.h"

#include <string.h>

gboolean agent_is_caller(const Request *rq)
{
    return rq->identity->session == SESSION_INSTANCE;
}

static gboolean check_one(Request *rq, const char *named, GError **error)
{
    const char *slash = strrchr(named, '/');
    const char *id = slash ? slash + 1 : named;
    g_autoptr(PGresult) res = db_query(rq->tx, error,
                                       "SELECT ec2_instance_id = $3 FROM container_instances"
                                       " WHERE account_id = $1 AND container_instance_id = $2",
                                       DB_ARGS(rq->account_id, id, rq->identity->subject));
    if (!res)
        return FALSE;
    if (PQntuples(res) > 0 && !db_truth(res, 0, 0))
        return fail(error, ACCESS_DENIED,
                    "User: %s is not authorized to act for container instance: %s",
                    rq->identity->principal_arn, named);
    return TRUE;
}

/* What an agent may name as a resource: its container instance, and tasks that are placed there. */
static gboolean check_resource(Request *rq, const char *arn, GError **error)
{
    const char *slash = strrchr(arn, '/');
    g_autoptr(PGresult) res =
        db_query(rq->tx, error,
                 "SELECT 1 FROM container_instances i WHERE account_id = $1"
                 " AND ec2_instance_id = $3 AND (container_instance_id = $2 OR EXISTS"
                 "  (SELECT 1 FROM tasks t WHERE t.ci_id = i.ci_id AND task_id = $2))",
                 DB_ARGS(rq->account_id, slash ? slash + 1 : arn, rq->identity->subject));
    if (!res)
        return FALSE;
    return PQntuples(res) > 0 ||
           fail(error, ACCESS_DENIED, "User: %s is not authorized to act for resource: %s",
                rq->identity->principal_arn, arn);
}

/* What a task may call in ECS has the members "cluster" and "tasks". */
static gboolean check_own_task(Request *rq, GError **error)
{
    const json_t *tasks = request_member(rq, "tasks");
    gboolean own = json_array_size(tasks) > 0;
    const json_t *named;
    gsize n;

    if (!tasks && !request_member(rq, "cluster"))
        return TRUE;
    json_array_foreach(tasks, n, named)
    {
        const char *text = json_string_value(named);
        const char *slash = text ? strrchr(text, '/') : NULL;
        own = own && g_strcmp0(slash ? slash + 1 : text, rq->identity->subject) == 0;
    }
    return own || fail(error, ACCESS_DENIED, "User: %s is not authorized to act for other tasks",
                       rq->identity->principal_arn);
}

gboolean agent_check_self(Request *rq, GError **error)
{
    static const char *const members[] = { "containerInstance", "containerInstanceArn" };
    const json_t *named;
    gsize n;

    if (rq->identity->session == SESSION_TASK)
        return check_own_task(rq, error);
    if (!agent_is_caller(rq))
        return TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(members); i++) {
        const char *one = request_text(rq, members[i]);
        if (one && !check_one(rq, one, error))
            return FALSE;
    }
    if (request_text(rq, "resourceArn") &&
        !check_resource(rq, request_text(rq, "resourceArn"), error))
        return FALSE;
    json_array_foreach(request_member(rq, "containerInstances"), n,
                       named) if (json_is_string(named) &&
                                  !check_one(rq, json_string_value(named), error)) return FALSE;
    return TRUE;
}
