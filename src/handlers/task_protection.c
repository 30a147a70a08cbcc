/* Protection of a service's tasks from scale-in: Get and UpdateTaskProtection. */
#include "base/clock.h"
#include "base/errors.h"
#include "handlers/ecs_common.h"
#include "handlers/table.h"
#include "store/task_protection.h"

#include <string.h>

#define UPDATE_MAX      10
#define GET_MAX         100
#define MINUTES_DEFAULT 120
#define MINUTES_MAX     2880
#define MINUTE_US       (60 * CLOCK_SECOND_US)

/* What is to become of each task. */
typedef struct {
    Request *rq;
    const Cluster *cluster;
    gboolean change;
    gint64 until_us; /* 0: no protection */
    json_t *tasks, *failures;
} Pass;

static void show(Pass *p, const char *arn, gint64 until_us)
{
    json_t *entry = json_pack("{s:s, s:b}", "taskArn", arn, "protectionEnabled", until_us != 0);

    if (until_us)
        json_object_set_new(entry, "expirationDate", json_integer(until_us));
    json_array_append_new(p->tasks, entry);
}

static gboolean one(Pass *p, const char *named, GError **error)
{
    Request *rq = p->rq;
    g_autofree char *id =
        ecs_ref_in_cluster(rq->region, rq->account_id, "task", p->cluster->name, named);
    g_autofree char *arn = id ? ecs_arn(rq, "task", p->cluster->name, id) : g_strdup(named);
    TaskProtection found = { 0 };

    if (rq->identity->session == SESSION_TASK && g_strcmp0(id, rq->identity->subject) != 0)
        return fail(error, ACCESS_DENIED, "User: %s is not authorized to act for task: %s",
                    rq->identity->principal_arn, named);
    if (id && !task_protection_get(rq->tx, p->cluster->id, id, &found, error))
        return FALSE;
    if (!found.exists) {
        failure_add(p->failures, arn, "MISSING", NULL);
        return TRUE;
    }
    if (!found.is_services) {
        failure_add(p->failures, arn, "TASK_NOT_VALID",
                    "the task is not one that a service keeps running");
        return TRUE;
    }
    if (p->change && !task_protection_set(rq->tx, p->cluster->id, id, p->until_us, error))
        return FALSE;
    show(p, arn, p->change ? p->until_us : found.until_us);
    return TRUE;
}

static json_t *answer(Request *rq, gboolean change, gint64 until_us, gsize most, GError **error)
{
    const json_t *named = request_member(rq, "tasks");
    const json_t *item;
    gsize n;

    if (json_array_size(named) == 0 || json_array_size(named) > most)
        return fail_null(error, INVALID_PARAMETER,
                         "Tasks must have 1 to %" G_GSIZE_FORMAT " items.", most);
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);
    if (!cluster)
        return NULL;
    json_auto_t *tasks = json_array(), *failures = json_array();
    Pass pass = { rq, cluster, change, until_us, tasks, failures };
    json_array_foreach(named, n, item) if (!one(&pass, json_string_value(item), error)) return NULL;
    return json_pack("{s:O, s:O}", "protectedTasks", tasks, "failures", failures);
}

json_t *get_task_protection(Request *rq, GError **error)
{
    return answer(rq, FALSE, 0, GET_MAX, error);
}

json_t *update_task_protection(Request *rq, GError **error)
{
    gint64 minutes = request_int(rq, "expiresInMinutes", MINUTES_DEFAULT);
    gboolean enabled = request_bool(rq, "protectionEnabled", FALSE);

    if (minutes < 1 || minutes > MINUTES_MAX)
        return fail_null(error, INVALID_PARAMETER, "expiresInMinutes must be between 1 and %d.",
                         MINUTES_MAX);
    return answer(rq, TRUE, enabled ? rq->now_us + minutes * MINUTE_US : 0, UPDATE_MAX, error);
}
