/* RunTask and StartTask: tasks of no service, placed within the call. */
#include "base/errors.h"
#include "base/id.h"
#include "handlers/ecs_common.h"
#include "handlers/table.h"
#include "handlers/task_roles.h"
#include "handlers/tasks.h"
#include "model/placement.h"
#include "store/ecs_tags.h"
#include "store/placement_load.h"

#include <string.h>

#define COUNT_MAX      10
#define STARTED_BY_MAX 128

static const char *const refused[] = { "enableExecuteCommand", "platformVersion", NULL };

/* What one call asks for. */
typedef struct {
    Cluster *cluster;
    TaskDefinition *definition;
    TaskHold *hold;
    json_t *overrides;
    json_t *strategy;
    char *group;
    gint64 count;
} Run;

static void run_clear(Run *run)
{
    g_clear_pointer(&run->cluster, cluster_free);
    g_clear_pointer(&run->definition, task_definition_free);
    g_clear_pointer(&run->hold, task_hold_free);
    json_decref(run->overrides);
    json_decref(run->strategy);
    g_free(run->group);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Run, run_clear)

static gboolean check_network(const Request *rq, const TaskDefinition *definition, GError **error)
{
    gboolean own = g_strcmp0(tree_text(definition->definition, "networkMode"), "awsvpc") == 0;
    gboolean given = request_member(rq, "networkConfiguration") != NULL;

    if (own && !given)
        return fail(error, INVALID_PARAMETER,
                    "Network Configuration must be provided when"
                    " networkMode 'awsvpc' is specified.");
    if (!own && given)
        return fail(error, INVALID_PARAMETER,
                    "Network Configuration is not valid for the given"
                    " networkMode of this task definition.");
    return TRUE;
}

static gboolean check_names(const Request *rq, GError **error)
{
    const char *group = request_text(rq, "group");
    const char *started_by = request_text(rq, "startedBy");

    if (group && (g_str_has_prefix(group, "family:") || g_str_has_prefix(group, "service:")))
        return fail(error, INVALID_PARAMETER, "Group must not begin with family: or service:.");
    if (started_by && strlen(started_by) > STARTED_BY_MAX)
        return fail(error, INVALID_PARAMETER, "startedBy is longer than %d characters.",
                    STARTED_BY_MAX);
    return TRUE;
}

static gboolean read_run(Request *rq, Run *run, GError **error)
{
    const char *group = request_text(rq, "group");

    run->count = request_int(rq, "count", 1);
    if (run->count < 1 || run->count > COUNT_MAX)
        return fail(error, INVALID_PARAMETER, "count should be between 1 and %d.", COUNT_MAX);
    if (!ecs_check_launch(rq, error) || !ecs_refuse(rq, refused, error) ||
        !check_names(rq, error) || !ecs_tags_check(request_member(rq, "tags"), error) ||
        !placement_constraints_check(request_member(rq, "placementConstraints"), TRUE, error))
        return FALSE;
    run->strategy = placement_strategy_normalise(request_member(rq, "placementStrategy"), error);
    run->cluster = run->strategy ? ecs_cluster(rq, CLUSTER_LOCK, error) : NULL;
    run->definition =
        run->cluster ? ecs_active_definition(rq, request_text(rq, "taskDefinition"), error) : NULL;
    if (!run->definition || !check_network(rq, run->definition, error))
        return FALSE;
    run->overrides = task_definition_overrides(run->definition->definition,
                                               request_member(rq, "overrides"), error);
    if (!run->overrides ||
        !task_roles_check(rq, run->definition->definition, run->overrides, error))
        return FALSE;
    run->hold = task_definition_hold(run->definition->definition, run->overrides);
    run->group =
        group && *group ? g_strdup(group) : g_strconcat("family:", run->definition->family, NULL);
    return TRUE;
}

static void request_of(const Request *rq, const Run *run, PlacementRequest *ret_request)
{
    const json_t *definition = run->definition->definition;

    *ret_request = (PlacementRequest){
        .count = (guint)run->count,
        .cpu = run->hold->cpu,
        .memory_mib = run->hold->memory_mib,
        .ports_tcp = run->hold->ports_tcp,
        .ports_udp = run->hold->ports_udp,
        .group = run->group,
        .required = json_object_get(definition, "requiresAttributes"),
        .constraints = { json_object_get(definition, "placementConstraints"),
                         request_member(rq, "placementConstraints") },
        .strategy = run->strategy,
    };
}

/* Copies tags to new tasks: those of the call, and of the definition where asked. */
static gboolean tag_tasks(Request *rq, const Run *run, GPtrArray *ids, GError **error)
{
    const json_t *tags = request_member(rq, "tags");
    const char *propagate = request_text(rq, "propagateTags");
    g_autoptr(GPtrArray) arns = g_ptr_array_new_with_free_func(g_free);

    for (guint n = 0; n < ids->len; n++)
        g_ptr_array_add(arns, ecs_arn(rq, "task", run->cluster->name, g_ptr_array_index(ids, n)));
    const char *const *list = (const char *const *)arns->pdata;
    if (!ecs_tags_put(rq->tx, rq->account_id, "ecs:task", list, arns->len, tags, error))
        return FALSE;
    if (request_bool(rq, "enableECSManagedTags", FALSE)) {
        json_auto_t *managed =
            json_pack("[{s:s,s:s}]", "key", "aws:ecs:clusterName", "value", run->cluster->name);
        if (!ecs_tags_put(rq->tx, rq->account_id, "ecs:task", list, arns->len, managed, error))
            return FALSE;
    }
    if (g_strcmp0(propagate, "TASK_DEFINITION") != 0)
        return TRUE;
    g_autofree char *from =
        ecs_definition_arn(rq, run->definition->family, run->definition->revision);
    return ecs_tags_copy(rq->tx, rq->account_id, from, "ecs:task", list, arns->len, error);
}

/* Adds one task on each of ci_ids and gives them as trees. */
static json_t *add_tasks(Request *rq, const Run *run, const GArray *ci_ids, GError **error)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    json_auto_t *containers =
        task_definition_containers(run->definition->definition, run->overrides);
    TaskSeed seed = {
        .account_id = rq->account_id,
        .cluster_id = run->cluster->id,
        .task_definition_id = run->definition->id,
        .group = run->group,
        .started_by = request_text(rq, "startedBy"),
        .overrides = run->overrides,
        .hold = run->hold,
        .containers = containers,
    };

    for (guint n = 0; n < ci_ids->len; n++)
        g_ptr_array_add(ids, id_hex32());
    const char *const *list = (const char *const *)ids->pdata;
    if (!tasks_add(rq->tx, &seed, list, (const gint64 *)(const void *)ci_ids->data, NULL, ids->len,
                   error) ||
        !tag_tasks(rq, run, ids, error))
        return NULL;
    g_autoptr(GPtrArray) tasks = tasks_describe(rq->tx, run->cluster->id, list, ids->len, error);
    return tasks ? tasks_answer(rq, run->cluster, tasks, TRUE, error) : NULL;
}

static char *instance_arn(const Request *rq, const Run *run, const PlacementInstance *instance)
{
    return ecs_arn(rq, "container-instance", run->cluster->name, instance->name);
}

/* One failure for each task that did not fit, naming the instance that came closest. */
static gboolean add_failures(Request *rq, const Run *run, const PlacementCluster *cluster,
                             const PlacementRequest *request, gint64 count, json_t *failures,
                             GError **error)
{
    PlacementReason why;

    if (count == 0)
        return TRUE;
    if (!placement_explain(cluster, request, &why, error))
        return FALSE;
    if (why.closest < 0)
        return fail(error, INVALID_PARAMETER, "No Container Instances were found in your cluster.");
    g_autofree char *arn = instance_arn(rq, run, placement_instance(cluster, (guint)why.closest));
    g_autofree char *change = placement_smallest_change(cluster, request, &why);
    for (; count > 0; count--)
        failure_add(failures, arn, placement_rule_reason(why.rule), change);
    return TRUE;
}

/* Only an expression can ask for groups other than the call's. */
static PlacementCluster *load_cluster(Request *rq, const Run *run, guint64 seed, GError **error)
{
    const json_t *own = json_object_get(run->definition->definition, "placementConstraints");
    gsize constraints =
        json_array_size(request_member(rq, "placementConstraints")) + json_array_size(own);
    const char *groups[] = { run->group };

    return placement_load(rq->tx, run->cluster->id, constraints ? NULL : groups, 1, seed, error);
}

json_t *run_task(Request *rq, GError **error)
{
    g_auto(Run) run = { 0 };
    json_auto_t *failures = json_array();
    g_autoptr(GArray) ci_ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    PlacementRequest request;
    gint placed[COUNT_MAX];

    if (!read_run(rq, &run, error))
        return NULL;
    request_of(rq, &run, &request);
    guint64 seed = 0;
    id_random(&seed, sizeof seed);
    g_autoptr(PlacementCluster) cluster = load_cluster(rq, &run, seed, error);
    if (!cluster)
        return NULL;
    gint count = placement_run(cluster, &request, placed, error);
    if (count < 0 || !add_failures(rq, &run, cluster, &request, run.count - count, failures, error))
        return NULL;
    for (gint n = 0; n < count; n++)
        g_array_append_val(ci_ids, placement_instance(cluster, (guint)placed[n])->id);
    json_t *tasks = add_tasks(rq, &run, ci_ids, error);
    return tasks ? json_pack("{s:o,s:O}", "tasks", tasks, "failures", failures) : NULL;
}

/* Room and attributes on one named instance; what is wrong goes into failures. */
static gboolean start_on(Request *rq, const Run *run, PlacementCluster *cluster,
                         const char *reference, GArray *ci_ids, json_t *failures, GError **error)
{
    g_autofree char *name = ecs_ref_in_cluster(rq->region, rq->account_id, "container-instance",
                                               run->cluster->name, reference);
    PlacementRequest request;
    guint failing = 0;
    gint placed;

    request_of(rq, run, &request);
    request.count = 1;
    for (guint n = 0; name && n < placement_cluster_size(cluster); n++) {
        const PlacementInstance *instance = placement_instance(cluster, n);
        if (strcmp(instance->name, name) != 0)
            continue;
        g_autofree char *arn = instance_arn(rq, run, instance);
        request.pinned = instance->id;
        if (!placement_failing(cluster, &request, n, &failing, error))
            return FALSE;
        if (failing)
            failure_add(failures, arn, placement_rule_reason(__builtin_ctz(failing)), NULL);
        else if (placement_run(cluster, &request, &placed, error) == 1)
            g_array_append_val(ci_ids, instance->id);
        return TRUE;
    }
    g_autofree char *arn = ecs_arn(rq, "container-instance", run->cluster->name, name ? name : "");
    failure_add(failures, name ? arn : reference, "MISSING", NULL);
    return TRUE;
}

json_t *start_task(Request *rq, GError **error)
{
    const json_t *instances = request_member(rq, "containerInstances");
    g_auto(Run) run = { 0 };
    json_auto_t *failures = json_array();
    g_autoptr(GArray) ci_ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    const json_t *item;
    size_t n;

    if (json_array_size(instances) == 0)
        return fail_null(error, INVALID_PARAMETER, "Container Instances cannot be empty.");
    if (json_array_size(instances) > COUNT_MAX)
        return fail_null(error, INVALID_PARAMETER, "Container Instances can have at most %d items.",
                         COUNT_MAX);
    if (!read_run(rq, &run, error))
        return NULL;
    g_autoptr(PlacementCluster) cluster =
        placement_load(rq->tx, run.cluster->id, NULL, 0, 0, error);
    if (!cluster)
        return NULL;
    json_array_foreach(instances, n, item) if (!start_on(rq, &run, cluster, json_string_value(item),
                                                         ci_ids, failures, error)) return NULL;
    json_t *tasks = add_tasks(rq, &run, ci_ids, error);
    return tasks ? json_pack("{s:o,s:O}", "tasks", tasks, "failures", failures) : NULL;
}
