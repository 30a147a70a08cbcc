/* What stands behind a task, service, container instance or cluster: facts, and why a task waits.
 */
#include "base/clock.h"
#include "base/errors.h"
#include "handlers/ecs_common.h"
#include "handlers/explain.h"
#include "store/channels.h"
#include "store/container_instances.h"
#include "store/ecs_lookup.h"
#include "store/placement_batch.h"
#include "store/placement_load.h"
#include "store/services.h"
#include "store/tasks.h"

#include <string.h>

#define INSTANCES_SHOWN 20
#define EVENTS_SHOWN    10

/* "cpu, ports": the rules that an instance fails. */
static char *rules_text(guint failing)
{
    g_autoptr(GString) text = g_string_new(failing ? NULL : "fits");

    for (guint rule = 0; rule < RULE__COUNT; rule++)
        if (failing >> rule & 1)
            g_string_append_printf(text, "%s%s", text->len ? ", " : "",
                                   placement_rule_word((PlacementRule)rule));
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static gboolean instance_lines(Explanation *e, const PlacementCluster *cluster,
                               const PlacementRequest *request, GError **error)
{
    for (guint n = 0; n < MIN(placement_cluster_size(cluster), INSTANCES_SHOWN); n++) {
        const PlacementInstance *i = placement_instance(cluster, n);
        guint failing = 0;
        if (!placement_failing(cluster, request, n, &failing, error))
            return FALSE;
        g_autofree char *rules = rules_text(failing);
        g_autofree char *text =
            g_strdup_printf("%s (free: %" G_GINT64_FORMAT " CPU units, %" G_GINT64_FORMAT " MiB)",
                            rules, i->cpu, i->memory_mib);
        explanation_fact(e, i->name, text);
    }
    return TRUE;
}

/* Why this task has no place: each rule, each instance, the smallest change that would do. */
static gboolean explain_waiting(Request *rq, Explanation *e, gint64 cluster_id, gint64 task_key,
                                char **ret_change, GError **error)
{
    WaitingBatch *batch = NULL;
    PlacementRequest request;
    PlacementReason why;

    if (!task_as_waiting(rq->tx, task_key, &batch, error))
        return FALSE;
    if (!batch)
        return TRUE;
    g_autoptr(GPtrArray) owner = g_ptr_array_new_with_free_func((GDestroyNotify)waiting_batch_free);
    g_ptr_array_add(owner, batch);
    waiting_request(batch, &request);
    g_autoptr(PlacementCluster) cluster = placement_load(rq->tx, cluster_id, NULL, 0, 0, error);
    if (!cluster || !placement_explain(cluster, &request, &why, error))
        return FALSE;
    *ret_change = placement_smallest_change(cluster, &request, &why);
    explanation_section(e, "Placement");
    explanation_int(e, "needs CPU units", request.cpu);
    explanation_int(e, "needs memory, MiB", request.memory_mib);
    explanation_int(e, "container instances looked at", why.instances);
    for (guint rule = 0; rule < RULE__COUNT; rule++)
        if (why.failing[rule]) {
            g_autofree char *name =
                g_strdup_printf("refused by %s", placement_rule_word((PlacementRule)rule));
            explanation_int(e, name, why.failing[rule]);
        }
    explanation_fact(e, "smallest change", *ret_change);
    explanation_section(e, "Container instances");
    return instance_lines(e, cluster, &request, error);
}

static void container_facts(Explanation *e, const Task *task)
{
    for (guint n = 0; n < task->containers->len; n++) {
        const Container *c = g_ptr_array_index(task->containers, n);
        g_autofree char *exit = c->has_exit_code
                                    ? g_strdup_printf(", exit code %" G_GINT64_FORMAT, c->exit_code)
                                    : g_strdup("");
        g_autofree char *text = g_strdup_printf("%s%s%s%s", c->last_status, exit,
                                                c->reason ? ": " : "", c->reason ? c->reason : "");
        explanation_fact(e, c->name, text);
    }
}

static char *task_summary(const Task *t, const char *change)
{
    if (strcmp(t->last_status, "STOPPED") == 0)
        return g_strdup_printf("STOPPED: %s", t->stopped_reason ? t->stopped_reason : "no reason");
    if (change)
        return g_strdup_printf("waits for a place; the smallest change that would make it fit: %s",
                               change);
    if (!t->connected && t->ci_id)
        return g_strdup_printf("%s, wanted %s, but its agent is not connected", t->last_status,
                               t->desired_status);
    return g_strdup_printf("%s, wanted %s", t->last_status, t->desired_status);
}

static gboolean explain_task(Request *rq, const EcsObject *o, Explanation *e, GError **error)
{
    const char *name = o->name;
    g_autoptr(GPtrArray) found = tasks_describe(rq->tx, o->cluster_id, &name, 1, error);
    g_autofree char *change = NULL;

    if (!found)
        return FALSE;
    const Task *t = g_ptr_array_index(found, 0);
    explanation_section(e, "Task");
    explanation_fact(e, "wanted", t->desired_status);
    explanation_fact(e, "seen", t->last_status);
    explanation_fact(e, "health", t->health_status);
    explanation_fact(e, "group", t->group);
    explanation_fact(e, "started by", t->started_by);
    explanation_fact(e, "container instance", t->container_instance_id);
    explanation_fact(e, "zone", t->zone);
    explanation_fact(e, "stop code", t->stop_code);
    explanation_fact(e, "stopped reason", t->stopped_reason);
    explanation_time(e, "created at", t->created_us);
    explanation_time(e, "started at", t->started_us);
    explanation_time(e, "asked to stop at", t->stopping_us);
    explanation_time(e, "stopped at", t->stopped_us);
    explanation_section(e, "Containers");
    container_facts(e, t);
    if (strcmp(t->last_status, "PROVISIONING") == 0 &&
        !explain_waiting(rq, e, o->cluster_id, t->key, &change, error))
        return FALSE;
    g_autofree char *summary = task_summary(t, change);
    explanation_set(e, "task", summary);
    return explanation_add_past(e, rq, "task", t->id, error);
}

static gboolean deployment_facts(Request *rq, const EcsService *s, Explanation *e,
                                 gint64 *ret_running, GError **error)
{
    g_autoptr(GPtrArray) list = deployments_of(rq->tx, &s->id, 1, error);
    g_autoptr(GPtrArray) events =
        list ? service_events_of(rq->tx, &s->id, 1, EVENTS_SHOWN, error) : NULL;

    if (!events)
        return FALSE;
    explanation_section(e, "Deployments");
    for (guint n = 0; n < list->len; n++) {
        const Deployment *d = g_ptr_array_index(list, n);
        g_autofree char *text = g_strdup_printf(
            "%s %s:%" G_GINT64_FORMAT ", wanted %" G_GINT64_FORMAT ", running %" G_GINT64_FORMAT
            ", pending %" G_GINT64_FORMAT ", failed %" G_GINT64_FORMAT ", %s",
            d->status, d->family, d->revision, d->desired_count, d->running, d->pending,
            d->failed_tasks, d->rollout_state);
        explanation_fact(e, d->id, text);
        *ret_running += d->running;
    }
    explanation_section(e, "Events");
    for (guint n = 0; n < events->len; n++) {
        const ServiceEvent *event = g_ptr_array_index(events, n);
        char at[CLOCK_ISO_SIZE];
        explanation_fact(e, clock_iso_s(event->created_us, at), event->message);
    }
    return TRUE;
}

static gboolean explain_service(Request *rq, const EcsObject *o, Explanation *e, GError **error)
{
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, o->row_id);
    g_autoptr(EcsService) s = NULL;
    g_autofree char *change = NULL;
    gint64 waiting = 0, count = 0, running = 0;

    if (!services_get_by_id(rq->tx, o->row_id, SERVICE_READ, &s, error) || !s)
        return FALSE;
    explanation_section(e, "Service");
    explanation_fact(e, "status", s->status);
    explanation_fact(e, "scheduling strategy", s->scheduling_strategy);
    explanation_int(e, "minimum healthy percent", s->minimum_percent);
    explanation_int(e, "maximum percent", s->maximum_percent);
    explanation_int(e, "rounds of failed starts", s->failed_starts);
    explanation_time(e, "no start before", s->next_start_us);
    explanation_time(e, "steady since", s->steady_us);
    explanation_fact(e, "last obstacle", s->stuck_reason);
    if (!deployment_facts(rq, s, e, &running, error) ||
        !ecs_first_waiting(rq->tx, s->cluster_id, s->id, &waiting, &count, error) ||
        (waiting && !explain_waiting(rq, e, s->cluster_id, waiting, &change, error)))
        return FALSE;
    g_autofree char *summary =
        change ? g_strdup_printf("%" G_GINT64_FORMAT " tasks wait for a place; the smallest change"
                                 " that would make one fit: %s",
                                 count, change)
               : g_strdup_printf("%s, %" G_GINT64_FORMAT " tasks running, %s", s->status, running,
                                 s->steady_us ? "steady" : "not steady yet");
    explanation_set(e, "service", summary);
    return explanation_add_past(e, rq, "service", id, error);
}

static gboolean channel_facts(Explanation *e, Request *rq, gint64 ci_id, GError **error)
{
    g_auto(ChannelState) state = { 0 };

    if (!channels_state(rq->tx, ci_id, &state, error))
        return FALSE;
    explanation_section(e, "Channel");
    explanation_time(e, "connected at", state.connected_us);
    explanation_time(e, "last message at", state.last_frame_us);
    explanation_time(e, "disconnected at", state.disconnected_us);
    explanation_fact(e, "because", state.cause);
    explanation_time(e, "given up at", state.lost_us);
    return TRUE;
}

static gboolean explain_instance_row(Request *rq, const EcsObject *o, Explanation *e,
                                     GError **error)
{
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, o->row_id);
    const char *name = o->name;
    g_autoptr(GPtrArray) found =
        container_instances_describe(rq->tx, o->cluster_id, &name, 1, error);

    if (!found)
        return FALSE;
    const ContainerInstance *i = g_ptr_array_index(found, 0);
    g_autofree char *summary =
        g_strdup_printf("%s, agent %s, %" G_GINT64_FORMAT " tasks running", i->status,
                        i->connected ? "connected" : "not connected", i->running_tasks);
    explanation_set(e, "container-instance", summary);
    explanation_section(e, "Container instance");
    explanation_fact(e, "status", i->status);
    explanation_fact(e, "status reason", i->status_reason);
    explanation_fact(e, "instance", i->ec2_instance_id);
    explanation_fact(e, "zone", i->zone);
    explanation_fact(e, "agent", i->connected ? "connected" : "not connected");
    explanation_fact(e, "agent version", i->agent_version);
    explanation_fact(e, "container runtime", i->runtime_status);
    explanation_time(e, "registered at", i->registered_us);
    explanation_section(e, "Room");
    explanation_int(e, "CPU units", i->cpu);
    explanation_int(e, "CPU units held", i->cpu_held);
    explanation_int(e, "memory, MiB", i->memory_mib);
    explanation_int(e, "memory held, MiB", i->memory_held_mib);
    explanation_int(e, "tasks running", i->running_tasks);
    explanation_int(e, "tasks pending", i->pending_tasks);
    return channel_facts(e, rq, o->row_id, error) &&
           explanation_add_past(e, rq, "container_instance", id, error) &&
           explanation_add_history(e, rq, name, error);
}

static gboolean explain_cluster(Request *rq, const EcsObject *o, Explanation *e, GError **error)
{
    const char *name = o->name;
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, o->row_id);
    g_autofree char *change = NULL;
    g_autoptr(GPtrArray) found = clusters_describe(rq->tx, rq->account_id, &name, 1, error);
    gint64 waiting = 0, count = 0;

    if (!found || !ecs_first_waiting(rq->tx, o->cluster_id, 0, &waiting, &count, error))
        return FALSE;
    const Cluster *c = g_ptr_array_index(found, 0);
    explanation_section(e, "Cluster");
    explanation_fact(e, "status", c->status);
    explanation_int(e, "container instances", c->container_instances);
    explanation_int(e, "services", c->services);
    explanation_int(e, "tasks running", c->running_tasks);
    explanation_int(e, "tasks pending", c->pending_tasks);
    explanation_int(e, "tasks waiting for a place", count);
    if (waiting && !explain_waiting(rq, e, o->cluster_id, waiting, &change, error))
        return FALSE;
    g_autofree char *summary = g_strdup_printf(
        "%s, %" G_GINT64_FORMAT " container instances, %" G_GINT64_FORMAT " tasks wait for a place",
        c->status, c->container_instances, count);
    explanation_set(e, "cluster", summary);
    return explanation_add_past(e, rq, "cluster", id, error);
}

gboolean explain_ecs(Request *rq, const char *id, Explanation *e, gboolean *ret_mine,
                     GError **error)
{
    static const struct {
        const char *kind;
        gboolean (*explain)(Request *rq, const EcsObject *object, Explanation *e, GError **error);
    } kinds[] = { { "task", explain_task },
                  { "service", explain_service },
                  { "container-instance", explain_instance_row },
                  { "cluster", explain_cluster } };
    g_autoptr(EcsArn) arn = ecs_arn_parse(rq->region, rq->account_id, id, NULL);
    g_autoptr(EcsObject) object = NULL;

    *ret_mine = FALSE;
    if (!ecs_lookup(rq->tx, rq->account_id, arn ? arn->type : NULL, arn ? arn->cluster : NULL,
                    arn ? arn->name : id, &object, error))
        return FALSE;
    for (gsize n = 0; object && n < G_N_ELEMENTS(kinds); n++)
        if (strcmp(kinds[n].kind, object->kind) == 0) {
            *ret_mine = TRUE;
            if (!arn) /* which may have been the first digits alone */
                json_object_set_new(e->answer, "Id", json_string(object->name));
            return kinds[n].explain(rq, object, e, error);
        }
    return TRUE;
}
