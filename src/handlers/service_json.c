#include "handlers/services.h"
#include "store/ecs_tags.h"

#include <string.h>

#define EVENTS_SHOWN 100

static json_t *deployment_json(const Request *rq, const EcsService *s, const Deployment *d)
{
    g_autofree char *definition = ecs_definition_arn(rq, d->family, d->revision);

    return json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:s,s:s}", "id", d->id, "status",
                     d->status, "taskDefinition", definition, "desiredCount",
                     (json_int_t)d->desired_count, "pendingCount", (json_int_t)d->pending,
                     "runningCount", (json_int_t)d->running, "failedTasks",
                     (json_int_t)d->failed_tasks, "createdAt", (json_int_t)d->created_us,
                     "updatedAt", (json_int_t)d->updated_us, "launchType", s->launch_type,
                     "rolloutState", d->rollout_state, "rolloutStateReason", d->rollout_reason);
}

static json_t *configuration_json(const EcsService *s)
{
    const json_t *kept = json_object_get(s->details, "deploymentConfiguration");
    const json_t *breaker = json_object_get(kept, "deploymentCircuitBreaker");

    return json_pack("{s:I,s:I,s:{s:b,s:b}}", "maximumPercent", (json_int_t)s->maximum_percent,
                     "minimumHealthyPercent", (json_int_t)s->minimum_percent,
                     "deploymentCircuitBreaker", "enable", tree_bool(breaker, "enable", FALSE),
                     "rollback", tree_bool(breaker, "rollback", FALSE));
}

/* Deployments of the service, and what they sum up to. */
static json_t *deployments_json(const Request *rq, const EcsService *s, GPtrArray *all,
                                const Deployment **ret_primary, gint64 *ret_running,
                                gint64 *ret_pending)
{
    json_t *list = json_array();

    for (guint n = 0; n < all->len; n++) {
        const Deployment *d = g_ptr_array_index(all, n);
        if (d->service_id != s->id)
            continue;
        if (!*ret_primary)
            *ret_primary = d;
        *ret_running += d->running;
        *ret_pending += d->pending;
        json_array_append_new(list, deployment_json(rq, s, d));
    }
    return list;
}

static json_t *events_json(const EcsService *s, GPtrArray *all)
{
    json_t *list = json_array();

    for (guint n = 0; n < all->len; n++) {
        const ServiceEvent *e = g_ptr_array_index(all, n);
        if (e->service_id == s->id)
            json_array_append_new(list,
                                  json_pack("{s:s,s:I,s:s}", "id", e->id, "createdAt",
                                            (json_int_t)e->created_us, "message", e->message));
    }
    return list;
}

static json_t *service_json(const Request *rq, const EcsService *s, GPtrArray *deployments,
                            GPtrArray *events, const json_t *tags)
{
    g_autofree char *arn = ecs_arn(rq, "service", s->cluster_name, s->name);
    g_autofree char *cluster = ecs_arn_cluster(rq->region, rq->account_id, s->cluster_name);
    const char *propagate = tree_text(s->details, "propagateTags");
    gboolean daemon = strcmp(s->scheduling_strategy, "DAEMON") == 0;
    const Deployment *primary = NULL;
    gint64 running = 0, pending = 0;
    json_t *list = deployments_json(rq, s, deployments, &primary, &running, &pending);
    gint64 desired = daemon ? (primary ? primary->desired_count : 0) : s->desired_count;
    json_t *tree = json_pack(
        "{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:s,s:o,s:o,s:o,s:O,s:O,s:[],s:[]}", "serviceArn", arn,
        "serviceName", s->name, "clusterArn", cluster, "status", s->status, "desiredCount",
        (json_int_t)desired, "runningCount", (json_int_t)running, "pendingCount",
        (json_int_t)pending, "launchType", s->launch_type, "schedulingStrategy",
        s->scheduling_strategy, "deploymentConfiguration", configuration_json(s), "deployments",
        list, "events", events_json(s, events), "placementConstraints", s->constraints,
        "placementStrategy", s->strategy, "loadBalancers", "serviceRegistries");

    json_object_set_new(tree, "createdAt", json_integer(s->created_us));
    json_object_set_new(tree, "createdBy", json_string(s->created_by));
    json_object_set_new(tree, "propagateTags", json_string(propagate ? propagate : "NONE"));
    json_object_set_new(tree, "enableECSManagedTags",
                        json_boolean(tree_bool(s->details, "enableECSManagedTags", FALSE)));
    json_object_set_new(tree, "enableExecuteCommand", json_false());
    json_object_set_new(tree, "tags", ecs_tags_shown(tags, arn));
    /* the only one there is; Ansible's module cannot do without */
    json_object_set_new(tree, "deploymentController", json_pack("{s:s}", "type", "ECS"));
    if (primary) {
        g_autofree char *definition = ecs_definition_arn(rq, primary->family, primary->revision);
        json_object_set_new(tree, "taskDefinition", json_string(definition));
    }
    return tree;
}

static json_t *tags_of(Request *rq, GPtrArray *services, GError **error)
{
    g_autoptr(GPtrArray) arns = g_ptr_array_new_with_free_func(g_free);

    for (guint n = 0; n < services->len; n++) {
        const EcsService *s = g_ptr_array_index(services, n);
        g_ptr_array_add(arns, ecs_arn(rq, "service", s->cluster_name, s->name));
    }
    return ecs_tags_of(rq->tx, rq->account_id, (const char *const *)arns->pdata, arns->len, error);
}

json_t *services_answer(Request *rq, GPtrArray *services, gboolean with_tags, GError **error)
{
    g_autofree gint64 *ids = g_new(gint64, services->len + 1);
    json_auto_t *tags = with_tags ? tags_of(rq, services, error) : json_object();

    if (!tags)
        return NULL;
    for (guint n = 0; n < services->len; n++)
        ids[n] = ((const EcsService *)g_ptr_array_index(services, n))->id;
    g_autoptr(GPtrArray) deployments = deployments_of(rq->tx, ids, services->len, error);
    if (!deployments)
        return NULL;
    g_autoptr(GPtrArray) events =
        service_events_of(rq->tx, ids, services->len, EVENTS_SHOWN, error);
    if (!events)
        return NULL;
    json_t *list = json_array();
    for (guint n = 0; n < services->len; n++)
        json_array_append_new(
            list, service_json(rq, g_ptr_array_index(services, n), deployments, events, tags));
    return list;
}

json_t *service_answer(Request *rq, gint64 service_id, GError **error)
{
    g_autoptr(GPtrArray) one = g_ptr_array_new_with_free_func((GDestroyNotify)service_free);
    EcsService *service = NULL;

    if (!services_get_by_id(rq->tx, service_id, SERVICE_READ, &service, error))
        return NULL;
    g_ptr_array_add(one, service);
    json_auto_t *list = services_answer(rq, one, TRUE, error);
    return list ? json_pack("{s:O}", "service", json_array_get(list, 0)) : NULL;
}
