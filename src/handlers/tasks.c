/* Tasks: what runs, as clients read it; stopping one. */
#include "base/errors.h"
#include "base/id.h"
#include "handlers/ecs_common.h"
#include "handlers/table.h"
#include "handlers/tasks.h"
#include "store/ecs_tags.h"

#include <string.h>

static void set_text(json_t *tree, const char *name, const char *value)
{
    if (value && *value)
        json_object_set_new(tree, name, json_string(value));
}

static void set_time(json_t *tree, const char *name, gint64 us)
{
    if (us)
        json_object_set_new(tree, name, json_integer(us));
}

static void set_number_text(json_t *tree, const char *name, gint64 number)
{
    char text[24];

    g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, number);
    if (number)
        set_text(tree, name, text);
}

static json_t *container_json(const Request *rq, const char *cluster_name, const Task *task,
                              const Container *c)
{
    g_autofree char *tail = g_strdup_printf("%s/%s", task->id, c->container_uuid);
    g_autofree char *arn = ecs_arn(rq, "container", cluster_name, tail);
    g_autofree char *task_arn = ecs_arn(rq, "task", cluster_name, task->id);
    g_autofree char *cpu = g_strdup_printf("%" G_GINT64_FORMAT, c->cpu);
    json_t *tree = json_pack("{s:s,s:s,s:s,s:s,s:s,s:O,s:[],s:s,s:s}", "containerArn", arn,
                             "taskArn", task_arn, "name", c->name, "image", c->image, "lastStatus",
                             c->last_status, "networkBindings", c->network_bindings,
                             "networkInterfaces", "healthStatus", c->health_status, "cpu", cpu);

    set_number_text(tree, "memory", c->memory_mib);
    set_number_text(tree, "memoryReservation", c->memory_reservation_mib);
    set_text(tree, "imageDigest", c->image_digest);
    set_text(tree, "runtimeId", c->runtime_id);
    set_text(tree, "reason", c->reason);
    if (c->has_exit_code)
        json_object_set_new(tree, "exitCode", json_integer(c->exit_code));
    return tree;
}

static void set_place(const Request *rq, const char *cluster_name, const Task *task, json_t *tree)
{
    if (!task->container_instance_id)
        return;
    g_autofree char *arn =
        ecs_arn(rq, "container-instance", cluster_name, task->container_instance_id);
    set_text(tree, "containerInstanceArn", arn);
    set_text(tree, "availabilityZone", task->zone);
    set_text(tree, "connectivity", task->connected ? "CONNECTED" : "DISCONNECTED");
    set_time(tree, "connectivityAt", task->connected_us);
}

/* Sizes of the task as a whole, when it has them: of the call, else of the definition. */
static void set_sizes(const Task *task, json_t *tree)
{
    static const char *const names[] = { "cpu", "memory" };

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *text = tree_text(task->overrides, names[i]);
        set_text(tree, names[i], text ? text : tree_text(task->definition_sizes, names[i]));
    }
}

json_t *task_json(const Request *rq, const char *cluster_name, const Task *task, json_t *tags)
{
    g_autofree char *arn = ecs_arn(rq, "task", cluster_name, task->id);
    g_autofree char *cluster = ecs_arn_cluster(rq->region, rq->account_id, cluster_name);
    g_autofree char *definition = ecs_definition_arn(rq, task->family, task->revision);
    json_t *containers = json_array();
    json_t *tree = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:O,s:I,s:I,s:[],s:[],s:[],s:b,s:o,s:o}", "taskArn", arn,
        "clusterArn", cluster, "taskDefinitionArn", definition, "group", task->group, "launchType",
        task->launch_type, "desiredStatus", task->desired_status, "lastStatus", task->last_status,
        "healthStatus", task->health_status, "overrides", task->overrides, "version",
        (json_int_t)task->version, "createdAt", (json_int_t)task->created_us, "attachments",
        "attributes", "inferenceAccelerators", "enableExecuteCommand", 0, "containers", containers,
        "tags", tags);

    for (guint n = 0; n < task->containers->len; n++)
        json_array_append_new(containers, container_json(rq, cluster_name, task,
                                                         g_ptr_array_index(task->containers, n)));
    set_place(rq, cluster_name, task, tree);
    set_sizes(task, tree);
    set_text(tree, "startedBy", task->started_by);
    set_text(tree, "stopCode", task->stop_code);
    set_text(tree, "stoppedReason", task->stopped_reason);
    set_time(tree, "pullStartedAt", task->pull_started_us);
    set_time(tree, "pullStoppedAt", task->pull_stopped_us);
    set_time(tree, "startedAt", task->started_us);
    set_time(tree, "stoppingAt", task->stopping_us);
    set_time(tree, "executionStoppedAt", task->execution_stopped_us);
    set_time(tree, "stoppedAt", task->stopped_us);
    return tree;
}

json_t *tasks_answer(Request *rq, const Cluster *cluster, GPtrArray *tasks, gboolean with_tags,
                     GError **error)
{
    g_autoptr(GPtrArray) arns = g_ptr_array_new_with_free_func(g_free);
    json_auto_t *found = json_object();
    json_t *list = json_array();

    for (guint n = 0; n < tasks->len; n++)
        g_ptr_array_add(arns, ecs_arn(rq, "task", cluster->name,
                                      ((const Task *)g_ptr_array_index(tasks, n))->id));
    if (with_tags) {
        json_decref(found);
        found =
            ecs_tags_of(rq->tx, rq->account_id, (const char *const *)arns->pdata, arns->len, error);
    }
    if (!found) {
        json_decref(list);
        return NULL;
    }
    for (guint n = 0; n < tasks->len; n++)
        json_array_append_new(list, task_json(rq, cluster->name, g_ptr_array_index(tasks, n),
                                              ecs_tags_shown(found, g_ptr_array_index(arns, n))));
    return list;
}

static gboolean is_found(GPtrArray *tasks, const char *id)
{
    for (guint n = 0; n < tasks->len; n++)
        if (strcmp(((const Task *)g_ptr_array_index(tasks, n))->id, id) == 0)
            return TRUE;
    return FALSE;
}

json_t *describe_tasks(Request *rq, GError **error)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    const json_t *asked = request_member(rq, "tasks");
    json_auto_t *failures = json_array();
    const json_t *item;
    size_t n;

    if (json_array_size(asked) == 0)
        return fail_null(error, INVALID_PARAMETER, "Tasks cannot be empty.");
    if (json_array_size(asked) > ECS_PAGE_MAX)
        return fail_null(error, INVALID_PARAMETER, "Tasks can have at most %d items.",
                         ECS_PAGE_MAX);
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);
    if (!cluster)
        return NULL;
    json_array_foreach(asked, n, item)
    {
        char *id = ecs_ref_in_cluster(rq->region, rq->account_id, "task", cluster->name,
                                      json_string_value(item));
        g_ptr_array_add(ids, id ? id : g_strdup(json_string_value(item)));
    }
    g_autoptr(GPtrArray) tasks =
        tasks_describe(rq->tx, cluster->id, (const char *const *)ids->pdata, ids->len, error);
    if (!tasks)
        return NULL;
    for (guint i = 0; i < ids->len; i++) {
        const char *id = g_ptr_array_index(ids, i);
        g_autofree char *arn = ecs_arn(rq, "task", cluster->name, id);
        if (!is_found(tasks, id))
            failure_add(failures, g_str_has_prefix(id, "arn:") ? id : arn, "MISSING", NULL);
    }
    json_t *list = tasks_answer(rq, cluster, tasks, request_includes(rq, "TAGS"), error);
    return list ? json_pack("{s:o,s:O}", "tasks", list, "failures", failures) : NULL;
}

/* The last part of a reference in member; FALSE when it names another cluster's, so nothing
 * matches. */
static gboolean filter_name(const Request *rq, const Cluster *cluster, const char *member,
                            const char *type, char **ret_name)
{
    const char *text = request_text(rq, member);

    *ret_name =
        text ? ecs_ref_in_cluster(rq->region, rq->account_id, type, cluster->name, text) : NULL;
    return !text || *ret_name;
}

json_t *list_tasks(Request *rq, GError **error)
{
    g_autofree char *instance = NULL, *service = NULL;
    const char *desired = request_text(rq, "desiredStatus");
    json_t *arns = NULL;
    g_auto(Page) page = { 0 };

    if (!page_read(rq, ECS_PAGE_MAX, &page, error))
        return NULL;
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);
    if (!cluster)
        return NULL;
    if (!filter_name(rq, cluster, "containerInstance", "container-instance", &instance) ||
        !filter_name(rq, cluster, "serviceName", "service", &service))
        return json_pack("{s:[]}", "taskArns");
    TaskFilter filter = {
        .container_instance_id = instance,
        .family = request_text(rq, "family"),
        .started_by = request_text(rq, "startedBy"),
        .service_name = service,
        .desired_status = desired ? desired : "RUNNING",
        .launch_type = request_text(rq, "launchType"),
        .after_key = page.after ? g_ascii_strtoll(page.after, NULL, 10) : 0,
        .limit = page.limit + 1,
    };
    g_autoptr(GArray) names = tasks_list(rq->tx, cluster->id, &filter, error);
    if (!names)
        return NULL;
    guint shown = MIN(names->len, (guint)page.limit);
    arns = json_array();
    for (guint n = 0; n < shown; n++) {
        g_autofree char *arn =
            ecs_arn(rq, "task", cluster->name, g_array_index(names, TaskName, n).id);
        json_array_append_new(arns, json_string(arn));
    }
    json_t *answer = json_pack("{s:o}", "taskArns", arns);
    if (shown) {
        g_autofree char *key =
            g_strdup_printf("%" G_GINT64_FORMAT, g_array_index(names, TaskName, shown - 1).key);
        page_next(answer, &page, names->len, key);
    }
    return answer;
}

static GPtrArray *task_named(Request *rq, const Cluster *cluster, const char *id, GError **error)
{
    g_autoptr(GPtrArray) found = tasks_describe(rq->tx, cluster->id, &id, 1, error);

    if (found && found->len == 0)
        return fail_null(error, INVALID_PARAMETER, "The referenced task was not found.");
    return g_steal_pointer(&found);
}

/* Asks for the task to stop; its agent stops it. Asking twice answers the task as it is. */
json_t *stop_task(Request *rq, GError **error)
{
    const char *reason = request_text(rq, "reason");
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);

    if (!cluster)
        return NULL;
    g_autofree char *id = ecs_ref_in_cluster(rq->region, rq->account_id, "task", cluster->name,
                                             request_text(rq, "task"));
    g_autoptr(GPtrArray) before = task_named(rq, cluster, id ? id : "", error);
    if (!before)
        return NULL;
    gint64 key = ((const Task *)g_ptr_array_index(before, 0))->key;
    if (!tasks_stop(rq->tx, &key, 1, "UserInitiated", reason ? reason : "Task stopped by user",
                    error))
        return NULL;
    g_autoptr(GPtrArray) after = task_named(rq, cluster, id, error);
    if (!after)
        return NULL;
    return json_pack("{s:o}", "task",
                     task_json(rq, cluster->name, g_ptr_array_index(after, 0), json_array()));
}
