/* The admin service's StartTaskSession: may this caller look into this container, and where is it.
 * The way there is the caller's own SSH access; what was asked is kept as the task's history. */
#include "base/errors.h"
#include "base/id.h"
#include "handlers/ecs_common.h"
#include "handlers/external_json.h"
#include "handlers/table.h"
#include "store/history.h"
#include "store/task_sessions.h"

#include <string.h>

#define TASK_ID_LEAST 4
#define TASK_ID_MOST  32
#define COMMAND_KEPT  500 /* characters of a command that the history keeps */

static TaskPlace *find_task(Request *rq, const char *cluster, GError **error)
{
    const char *named = request_text(rq, "Task"), *slash = strrchr(named, '/');
    const char *id = slash ? slash + 1 : named;
    gsize length = strlen(id);
    GError *cause = NULL;
    guint count = 0;

    if (length < TASK_ID_LEAST || length > TASK_ID_MOST || !id_is_hex(id, length))
        return fail_null(error, INVALID_PARAMETER,
                         "\"%s\" is no task: give its id, its ARN, or the first %d or more digits"
                         " of its id; ListTasks shows them",
                         named, TASK_ID_LEAST);
    g_autoptr(TaskPlace) place =
        task_places_find(rq->tx, rq->account_id, cluster, id, &count, &cause);
    if (cause) {
        g_propagate_error(error, cause);
        return NULL;
    }
    if (count == 0)
        return fail_null(error, ADMIN_NOT_FOUND,
                         "there is no task \"%s\"; what stopped over an hour ago is forgotten", id);
    if (count > 1)
        return fail_null(error, INVALID_PARAMETER,
                         "the ids of several tasks begin with \"%s\": give more digits", id);
    return g_steal_pointer(&place);
}

/* The container by name; without one the only one, or the first. */
static const TaskPlaceContainer *find_container(Request *rq, const TaskPlace *place, GError **error)
{
    const char *name = request_text(rq, "Container");
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint n = 0; n < place->containers->len; n++) {
        const TaskPlaceContainer *c = g_ptr_array_index(place->containers, n);
        if (!name || strcmp(name, c->name) == 0)
            return c;
        g_string_append_printf(names, "%s%s", n ? ", " : "", c->name);
    }
    return fail_null(error, ADMIN_NOT_FOUND, "task \"%s\" has no container \"%s\", but: %s",
                     place->id, name ? name : "", names->str);
}

static gboolean check_state(const TaskPlace *place, const TaskPlaceContainer *c, gboolean exec,
                            GError **error)
{
    gboolean stopped = strcmp(place->last_status, "STOPPED") == 0;

    if (exec && stopped)
        return fail(error, INVALID_PARAMETER,
                    "task \"%s\" is STOPPED: %s; its logs may still be"
                    " there",
                    place->id,
                    place->stopped_reason ? place->stopped_reason : "no reason is known");
    if (!place->ec2_instance_id && strcmp(place->last_status, "PROVISIONING") == 0)
        return fail(error, INVALID_PARAMETER,
                    "task \"%s\" waits for a place; \"berth why %s\" says why", place->id,
                    place->id);
    if (!place->ec2_instance_id)
        return fail(error, INVALID_PARAMETER,
                    "task \"%s\" runs on a machine that Berth knows no way to: neither an instance"
                    " nor made by \"berth agent install\"",
                    place->id);
    if (!c->runtime_id || (exec && strcmp(c->last_status, "RUNNING") != 0))
        return fail(error, INVALID_PARAMETER, "container \"%s\" of task \"%s\" is %s%s", c->name,
                    place->id, c->last_status,
                    c->runtime_id ? "" : ": it was not made yet; \"berth task show\" says more");
    return TRUE;
}

/* One line whatever the command holds: it is shown on terminals. Caller frees. */
static char *session_text(const Request *rq, const TaskPlaceContainer *c, gboolean exec)
{
    const json_t *word;
    size_t n;
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_append_printf(text, "%s in container \"%s\" asked for by %s from %s",
                           exec ? "exec" : "logs", c->name, rq->identity->principal_arn,
                           rq->client_address ? rq->client_address : "an unknown address");
    json_array_foreach(request_member(rq, "Command"), n, word)
    {
        g_autofree char *shown = g_strescape(json_string_value(word), NULL);
        g_string_append_printf(text, "%s\"%s\"", n ? " " : ": ", shown);
        if (text->len > COMMAND_KEPT) {
            g_string_truncate(text, COMMAND_KEPT);
            g_string_append(text, " ...");
            break;
        }
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

json_t *start_task_session(Request *rq, GError **error)
{
    const char *named = request_text(rq, "Cluster");
    gboolean exec = strcmp(request_text(rq, "Kind"), "exec") == 0;
    GError *cause = NULL;

    g_autofree char *cluster =
        named ? ecs_ref_cluster(rq->region, rq->account_id, named, error) : NULL;
    if (named && !cluster)
        return NULL;
    g_autoptr(TaskPlace) place = find_task(rq, cluster, error);
    const TaskPlaceContainer *c = place ? find_container(rq, place, error) : NULL;
    if (!c || !check_state(place, c, exec, error))
        return NULL;
    g_autofree char *what = session_text(rq, c, exec);
    if (!history_add(rq->tx, "task", place->id, what, error))
        return NULL;
    g_autoptr(ExternalInstance) external =
        external_instances_find(rq->tx, rq->account_id, place->ec2_instance_id, &cause);
    if (cause) {
        g_propagate_error(error, cause);
        return NULL;
    }
    json_t *answer =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "TaskId", place->id, "Cluster",
                  place->cluster_name, "Status", place->last_status, "Container", c->name,
                  "RuntimeId", c->runtime_id, "InstanceId", place->ec2_instance_id);
    json_t *names = json_array();
    for (guint n = 0; n < place->containers->len; n++) {
        const TaskPlaceContainer *one = g_ptr_array_index(place->containers, n);
        json_array_append_new(names, json_string(one->name));
    }
    json_object_set_new(answer, "Containers", names);
    if (external)
        json_object_set_new(answer, "External", external_json(external));
    return answer;
}
