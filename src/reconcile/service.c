/*
 * One pass over one service: read what is there, plan, write the plan; one transaction. Tasks it
 * adds are PROVISIONING until the cluster's step places them.
 */
#include "base/clock.h"
#include "base/errors.h"
#include "base/fault.h"
#include "base/id.h"
#include "model/ecs_arn.h"
#include "reconcile/kinds.h"
#include "store/ecs_tags.h"
#include "store/placement_load.h"
#include "store/service_tasks.h"
#include "store/task_definitions.h"
#include "store/tasks.h"

#include <string.h>

#define TELL_AGAIN_US (6 * 3600 * CLOCK_SECOND_US)
#define STUCK_PERCENT                                                                              \
    "was unable to stop or start tasks during a deployment because of the service deployment"      \
    " configuration. Update the minimumHealthyPercent or maximumPercent value and try again."

static const char *const rollout_names[] = {
    [ROLLOUT_IN_PROGRESS] = "IN_PROGRESS",
    [ROLLOUT_COMPLETED] = "COMPLETED",
    [ROLLOUT_FAILED] = "FAILED",
};

typedef struct {
    const Config *config;
    DbTx *tx;
    EcsService *service;
    GPtrArray *deployments;
    const Deployment *primary;  /* in deployments */
    TaskDefinition *definition; /* of primary; in definitions */
    GHashTable *definitions;
    ServiceTasks *tasks;
    GArray *places; /* daemon: of PlanPlace */
    gint64 now_us;
} Pass;

static void pass_clear(Pass *p)
{
    g_clear_pointer(&p->service, service_free);
    g_clear_pointer(&p->deployments, g_ptr_array_unref);
    g_clear_pointer(&p->definitions, g_hash_table_destroy);
    g_clear_pointer(&p->tasks, service_tasks_free);
    g_clear_pointer(&p->places, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pass, pass_clear)

static gboolean load(Pass *p, GError **error)
{
    p->deployments = deployments_of(p->tx, &p->service->id, 1, error);
    if (!p->deployments)
        return FALSE;
    p->primary = p->deployments->len ? g_ptr_array_index(p->deployments, 0) : NULL;
    if (!p->primary || strcmp(p->primary->status, "PRIMARY") != 0)
        return fail(error, INTERNAL, "service \"%s\" has no primary deployment", p->service->name);
    p->definitions = task_definitions_by_id(p->tx, &p->primary->task_definition_id, 1, error);
    if (!p->definitions)
        return FALSE;
    p->definition = g_hash_table_lookup(p->definitions, &p->primary->task_definition_id);
    p->tasks = service_tasks_load(p->tx, p->service->id, p->primary->id, error);
    return p->tasks != NULL;
}

static gboolean load_places(Pass *p, GError **error)
{
    g_autofree char *group = g_strconcat("service:", p->service->name, NULL);
    PlacementRequest request = {
        .group = group,
        .required = json_object_get(p->definition->definition, "requiresAttributes"),
        .constraints = { json_object_get(p->definition->definition, "placementConstraints"),
                         p->service->constraints },
    };
    g_autoptr(GHashTable) others = draining_with_others(p->tx, p->service->cluster_id, error);

    p->places = g_array_new(FALSE, TRUE, sizeof(PlanPlace));
    if (!others)
        return FALSE;
    g_autoptr(PlacementCluster) cluster =
        placement_load(p->tx, p->service->cluster_id, NULL, 0, 0, error);
    if (!cluster)
        return FALSE;
    g_autoptr(GArray) eligible =
        placement_select(cluster, &request, 1u << RULE_ATTRIBUTE | 1u << RULE_MEMBER_OF, error);
    if (!eligible)
        return FALSE;
    g_array_set_size(p->places, placement_cluster_size(cluster));
    for (guint n = 0; n < p->places->len; n++) {
        PlanPlace *place = &g_array_index(p->places, PlanPlace, n);
        place->instance = placement_instance(cluster, n)->id;
        place->draining = !placement_instance(cluster, n)->active;
        place->others = g_hash_table_contains(others, GSIZE_TO_POINTER((gsize)place->instance));
    }
    for (guint n = 0; n < eligible->len; n++)
        g_array_index(p->places, PlanPlace, g_array_index(eligible, guint, n)).eligible = TRUE;
    return TRUE;
}

static Rollout rollout_from(const char *name)
{
    for (guint r = 0; r < G_N_ELEMENTS(rollout_names); r++)
        if (strcmp(rollout_names[r], name) == 0)
            return (Rollout)r;
    return ROLLOUT_IN_PROGRESS;
}

static const json_t *breaker_of(const EcsService *service)
{
    return json_object_get(json_object_get(service->details, "deploymentConfiguration"),
                           "deploymentCircuitBreaker");
}

static gboolean gather(Pass *p, PlanFacts *f, GError **error)
{
    const EcsService *s = p->service;
    gboolean daemon = strcmp(s->scheduling_strategy, "DAEMON") == 0;

    *f = (PlanFacts){
        .desired = s->desired_count,
        .minimum_percent = s->minimum_percent,
        .maximum_percent = s->maximum_percent,
        .daemon = daemon,
        .deleting = strcmp(s->status, "DRAINING") == 0,
        .primary = p->primary->id,
        .rollout = rollout_from(p->primary->rollout_state),
        .failed_tasks = p->primary->failed_tasks,
        .ever_ran = p->tasks->primary_ran,
        .breaker = tree_bool(breaker_of(s), "enable", FALSE),
        .failed_starts = s->failed_starts,
        .next_start_us = s->next_start_us,
        .now_us = p->now_us,
        .tasks = (const PlanTask *)(const void *)p->tasks->tasks->data,
        .task_count = p->tasks->tasks->len,
    };
    if (!service_tasks_count_ended(p->tx, s->id, f->primary, &f->new_failures, error))
        return FALSE;
    if (f->breaker && f->new_failures && !f->ever_ran &&
        !deployment_ever_ran(p->tx, f->primary, &f->ever_ran, error))
        return FALSE;
    if (!daemon)
        return TRUE;
    if (!load_places(p, error))
        return FALSE;
    f->places = (const PlanPlace *)(const void *)p->places->data;
    f->place_count = p->places->len;
    return TRUE;
}

static gboolean tell(const Pass *p, const char *text, GError **error)
{
    return service_events_add(p->tx, p->service->id, p->service->name, text, error);
}

/* -- stops */
static gboolean tell_stopped(const Pass *p, const GArray *stops, GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);
    guint count = 0;

    for (guint n = 0; n < stops->len; n++) {
        guint index = g_array_index(stops, guint, n);
        const char *id = g_ptr_array_index(p->tasks->ids, index);
        const PlanTask *task = &g_array_index(p->tasks->tasks, PlanTask, index);
        if (task->sick) {
            g_autofree char *text =
                g_strdup_printf("(task %s) failed container health checks.", id);
            if (!tell(p, text, error))
                return FALSE;
        }
        if (!task->running)
            continue;
        g_string_append_printf(names, " (task %s)", id);
        count++;
    }
    if (count == 0)
        return TRUE;
    g_autofree char *text = g_strdup_printf("has stopped %u running tasks:%s.", count, names->str);
    return tell(p, text, error);
}

static gboolean apply_stops(const Pass *p, const Plan *plan, GError **error)
{
    g_autoptr(GArray) sick = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autoptr(GArray) surplus = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autofree char *reason =
        g_strdup_printf("Scaling activity initiated by (deployment %s)", p->primary->id);

    for (guint n = 0; n < plan->stops->len; n++) {
        guint index = g_array_index(plan->stops, guint, n);
        gint64 key = g_array_index(p->tasks->keys, gint64, index);
        gboolean ill = g_array_index(p->tasks->tasks, PlanTask, index).sick;
        g_array_append_val(ill ? sick : surplus, key);
    }
    return tell_stopped(p, plan->stops, error) &&
           tasks_stop(p->tx, (const gint64 *)(const void *)sick->data, sick->len,
                      "ServiceSchedulerInitiated", "Task failed container health checks", error) &&
           tasks_stop(p->tx, (const gint64 *)(const void *)surplus->data, surplus->len,
                      "ServiceSchedulerInitiated", reason, error);
}

/* -- starts */
static gboolean tag_tasks(const Pass *p, const GPtrArray *ids, GError **error)
{
    const EcsService *s = p->service;
    const char *propagate = tree_text(s->details, "propagateTags");
    g_autoptr(GPtrArray) arns = g_ptr_array_new_with_free_func(g_free);
    const char *region = p->config->region;

    for (guint n = 0; n < ids->len; n++)
        g_ptr_array_add(arns, ecs_arn_in_cluster(region, s->account_id, "task", s->cluster_name,
                                                 g_ptr_array_index(ids, n)));
    const char *const *list = (const char *const *)arns->pdata;
    if (tree_bool(s->details, "enableECSManagedTags", FALSE)) {
        json_auto_t *tags =
            json_pack("[{s:s,s:s},{s:s,s:s}]", "key", "aws:ecs:clusterName", "value",
                      s->cluster_name, "key", "aws:ecs:serviceName", "value", s->name);
        if (!ecs_tags_put(p->tx, s->account_id, "ecs:task", list, arns->len, tags, error))
            return FALSE;
    }
    if (!propagate || strcmp(propagate, "NONE") == 0)
        return TRUE;
    g_autofree char *from =
        strcmp(propagate, "SERVICE") == 0
            ? ecs_arn_in_cluster(region, s->account_id, "service", s->cluster_name, s->name)
            : ecs_arn_task_definition(region, s->account_id, p->definition->family,
                                      p->definition->revision);
    return ecs_tags_copy(p->tx, s->account_id, from, "ecs:task", list, arns->len, error);
}

static gboolean apply_starts(const Pass *p, const Plan *plan, GError **error)
{
    const json_t *definition = p->definition->definition;
    guint count = plan->start_on->len ? plan->start_on->len : plan->start;
    g_autofree char *group = g_strconcat("service:", p->service->name, NULL);
    g_autoptr(TaskHold) hold = task_definition_hold(definition, NULL);
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    json_auto_t *containers = task_definition_containers(definition, NULL);
    json_auto_t *overrides = task_definition_overrides(definition, NULL, error);
    TaskSeed seed = {
        .account_id = p->service->account_id,
        .cluster_id = p->service->cluster_id,
        .service_id = p->service->id,
        .deployment_id = p->primary->id,
        .task_definition_id = p->definition->id,
        .group = group,
        .started_by = p->primary->id,
        .overrides = overrides,
        .hold = hold,
        .containers = containers,
    };

    if (count == 0)
        return TRUE;
    for (guint n = 0; n < count; n++)
        g_ptr_array_add(ids, id_hex32());
    const gint64 *pinned =
        plan->start_on->len ? (const gint64 *)(const void *)plan->start_on->data : NULL;
    return overrides &&
           tasks_add(p->tx, &seed, (const char *const *)ids->pdata, NULL, pinned, count, error) &&
           tag_tasks(p, ids, error) &&
           db_wake(p->tx, "cluster", db_int(p->tx, p->service->cluster_id), error);
}

/* -- what is told and shown */
static gboolean roll_back(const Pass *p, GError **error)
{
    g_autofree char *from = NULL;
    gint64 definition = 0;

    if (!tree_bool(breaker_of(p->service), "rollback", FALSE))
        return TRUE;
    if (!deployments_last_completed(p->tx, p->service->id, p->primary->id, &definition, &from,
                                    error))
        return FALSE;
    if (!from)
        return TRUE;
    g_autofree char *reason =
        g_strdup_printf("ECS deployment circuit breaker: rolling back to deploymentId %s.", from);
    g_autofree char *text = g_strdup_printf("rolling back to deployment %s.", from);
    g_autofree char *id = deployments_begin(p->tx, p->service->id, definition,
                                            p->service->desired_count, reason, error);
    return id && tell(p, text, error) && services_wake(p->tx, p->service->id, error);
}

static gboolean apply_rollout(const Pass *p, const Plan *plan, GError **error)
{
    gboolean changed = plan->rollout != rollout_from(p->primary->rollout_state);
    const char *id = p->primary->id;
    g_autofree char *reason = NULL, *event = NULL;

    if (changed && plan->rollout == ROLLOUT_COMPLETED) {
        reason = g_strdup_printf("ECS deployment %s completed.", id);
        event = g_strdup_printf("(deployment %s) deployment completed.", id);
    } else if (changed) {
        reason = g_strdup("ECS deployment circuit breaker: tasks failed to start.");
        event = g_strdup_printf("(deployment %s) deployment failed: tasks failed to start.", id);
    }
    return deployments_set(p->tx, id, plan->desired, plan->failed_tasks,
                           rollout_names[plan->rollout],
                           reason ? reason : p->primary->rollout_reason, error) &&
           (!event || tell(p, event, error)) &&
           (!changed || plan->rollout != ROLLOUT_FAILED || roll_back(p, error));
}

/* Whether something told at told_us, 0 being never, is to be told now. */
static gboolean is_due(const Pass *p, gint64 told_us)
{
    return told_us == 0 || p->now_us - told_us >= TELL_AGAIN_US;
}

static gboolean tell_state(Pass *p, const Plan *plan, GError **error)
{
    EcsService *s = p->service;
    gboolean same = g_strcmp0(s->stuck_reason, STUCK_PERCENT) == 0;

    if (plan->told_failing &&
        !tell(p,
              "is unable to consistently start tasks successfully. For more"
              " information, see the Troubleshooting section of the Amazon ECS"
              " Developer Guide.",
              error))
        return FALSE;
    if (plan->stuck && (!same || is_due(p, s->stuck_us))) {
        g_free(s->stuck_reason);
        s->stuck_reason = g_strdup(STUCK_PERCENT);
        s->stuck_us = p->now_us;
        if (!tell(p, STUCK_PERCENT, error))
            return FALSE;
    }
    if (!plan->steady) {
        s->steady_us = 0;
        return TRUE;
    }
    g_clear_pointer(&s->stuck_reason, g_free);
    s->stuck_us = 0;
    if (!is_due(p, s->steady_us) || strcmp(s->status, "ACTIVE") != 0)
        return TRUE;
    s->steady_us = p->now_us;
    return tell(p, "has reached a steady state.", error);
}

static gboolean apply(Pass *p, const Plan *plan, GError **error)
{
    gboolean gone = strcmp(p->service->status, "DRAINING") == 0 && plan->steady;

    p->service->failed_starts = plan->failed_starts;
    p->service->next_start_us = plan->next_start_us;
    return apply_stops(p, plan, error) && apply_starts(p, plan, error) &&
           apply_rollout(p, plan, error) && tell_state(p, plan, error) &&
           services_set_seen(p->tx, p->service, error) &&
           deployments_retire(p->tx, p->service->id, gone, error) &&
           (!gone || services_end(p->tx, p->service->id, error));
}

static StepResult result_of(const Pass *p, const Plan *plan, gint64 *ret_again_ms)
{
    if (plan->more)
        return STEP_AGAIN;
    gint64 due_us = plan->next_start_us > p->now_us ? plan->next_start_us : G_MAXINT64;
    if (plan->look_us)
        due_us = MIN(due_us, plan->look_us);
    if (due_us == G_MAXINT64)
        return STEP_SETTLED;
    *ret_again_ms = MAX(due_us - p->now_us, 0) / 1000 + 1;
    return STEP_LATER;
}

StepResult service_step(World *world, const char *id, gint64 *ret_again_ms, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);
    g_auto(Pass) pass = { .config = world->config, .tx = tx, .now_us = clock_now_us() };
    PlanFacts facts;

    if (!tx ||
        !services_get_by_id(tx, g_ascii_strtoll(id, NULL, 10), SERVICE_LOCK, &pass.service, error))
        return STEP_FAILED;
    if (!pass.service || strcmp(pass.service->status, "INACTIVE") == 0)
        return STEP_SETTLED;
    if (!load(&pass, error) || !gather(&pass, &facts, error))
        return STEP_FAILED;
    g_autoptr(Plan) plan = service_plan(&facts);
    if (!apply(&pass, plan, error))
        return STEP_FAILED;
    StepResult result = result_of(&pass, plan, ret_again_ms);
    FAULT_POINT("service.written");
    if (!db_commit(g_steal_pointer(&tx), error))
        return STEP_FAILED;
    FAULT_POINT("service.planned");
    return result;
}
