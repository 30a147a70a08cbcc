/* Services: a number of tasks kept running; reconcile/service.c starts and stops them. */
#include "handlers/services.h"
#include "base/errors.h"
#include "handlers/table.h"
#include "store/ecs_tags.h"

#include <string.h>

#define DESCRIBE_MAX 10
#define LIST_DEFAULT 10
#define DESIRED_MAX  100000

static const char *const refused[] = {
    "loadBalancers", "serviceRegistries", "platformVersion", "enableExecuteCommand", "role", NULL,
};

static gboolean check_built(const Request *rq, GError **error)
{
    const char *controller = tree_text(request_member(rq, "deploymentController"), "type");

    if (tree_bool(request_member(rq, "serviceConnectConfiguration"), "enabled", FALSE))
        return fail(error, UNSUPPORTED, "serviceConnectConfiguration is not supported here.");
    if (controller && strcmp(controller, "ECS") != 0)
        return fail(error, UNSUPPORTED, "Deployment controller %s is not supported here: use ECS.",
                    controller);
    if (request_int(rq, "healthCheckGracePeriodSeconds", 0) > 0)
        return fail(error, INVALID_PARAMETER,
                    "Health check grace period is only valid for services"
                    " configured to use load balancers");
    return ecs_refuse(rq, refused, error) && ecs_check_launch(rq, error);
}

static gboolean check_network(const Request *rq, const TaskDefinition *definition, GError **error)
{
    gboolean own = g_strcmp0(tree_text(definition->definition, "networkMode"), "awsvpc") == 0;

    if (own)
        return fail(error, UNSUPPORTED, "Network mode awsvpc is not supported for services here.");
    if (request_member(rq, "networkConfiguration"))
        return fail(error, INVALID_PARAMETER,
                    "Network Configuration is not valid for the given"
                    " networkMode of this task definition.");
    return TRUE;
}

static gboolean is_daemon(const EcsService *service)
{
    return strcmp(service->scheduling_strategy, "DAEMON") == 0;
}

/* Percentages and the circuit breaker, as far as the request has them. */
static gboolean read_configuration(const Request *rq, EcsService *s, GError **error)
{
    const json_t *given = request_member(rq, "deploymentConfiguration");
    json_t *breaker = json_object_get(given, "deploymentCircuitBreaker");

    s->minimum_percent = tree_int(given, "minimumHealthyPercent", s->minimum_percent);
    s->maximum_percent = tree_int(given, "maximumPercent", s->maximum_percent);
    if (breaker)
        json_object_set_new(s->details, "deploymentConfiguration",
                            json_pack("{s:O}", "deploymentCircuitBreaker", breaker));
    if (s->minimum_percent < 0 || s->maximum_percent < s->minimum_percent ||
        s->maximum_percent > 10000)
        return fail(error, INVALID_PARAMETER,
                    "minimumHealthyPercent must be at least 0 and at most"
                    " maximumPercent.");
    if (is_daemon(s) && s->maximum_percent != 100)
        return fail(error, INVALID_PARAMETER,
                    "The maximumPercent of a DAEMON service must be 100.");
    if (given && s->minimum_percent == 100 && s->maximum_percent == 100)
        return fail(error, INVALID_PARAMETER,
                    "Both maximumPercent and minimumHealthyPercent cannot"
                    " be 100 as this will block deployments.");
    return TRUE;
}

static gboolean read_placement(const Request *rq, EcsService *s, GError **error)
{
    const json_t *constraints = request_member(rq, "placementConstraints");
    const json_t *strategy = request_member(rq, "placementStrategy");

    if (constraints) {
        if (!placement_constraints_check(constraints, TRUE, error))
            return FALSE;
        json_decref(s->constraints);
        s->constraints = json_deep_copy(constraints);
    }
    if (strategy) {
        if (is_daemon(s) && json_array_size(strategy) > 0)
            return fail(error, INVALID_PARAMETER,
                        "Placement strategies are not supported for DAEMON services.");
        json_decref(s->strategy);
        s->strategy = placement_strategy_normalise(strategy, error);
    }
    return s->strategy != NULL;
}

static void read_details(const Request *rq, EcsService *s)
{
    static const char *const kept[] = { "propagateTags", "enableECSManagedTags" };

    for (gsize i = 0; i < G_N_ELEMENTS(kept); i++)
        if (request_member(rq, kept[i]))
            json_object_set_new(s->details, kept[i], json_deep_copy(request_member(rq, kept[i])));
}

static gboolean read_count(const Request *rq, EcsService *s, GError **error)
{
    gint64 count = request_int(rq, "desiredCount", -1);

    if (is_daemon(s))
        return TRUE;
    if (request_member(rq, "desiredCount") && (count < 0 || count > DESIRED_MAX))
        return fail(error, INVALID_PARAMETER, "desiredCount should be between 0 and %d.",
                    DESIRED_MAX);
    if (count >= 0)
        s->desired_count = count;
    return TRUE;
}

/* A new service with its defaults. */
static EcsService *new_service(const Request *rq, const Cluster *cluster)
{
    const char *strategy = request_text(rq, "schedulingStrategy");
    gboolean daemon = g_strcmp0(strategy, "DAEMON") == 0;
    EcsService *s = g_new0(EcsService, 1);

    s->account_id = g_strdup(rq->account_id);
    s->cluster_id = cluster->id;
    s->cluster_name = g_strdup(cluster->name);
    s->name = g_strdup(request_text(rq, "serviceName"));
    s->status = g_strdup("ACTIVE");
    s->scheduling_strategy = g_strdup(daemon ? "DAEMON" : "REPLICA");
    s->launch_type = g_strdup("EC2");
    s->minimum_percent = daemon ? 0 : 100;
    s->maximum_percent = daemon ? 100 : 200;
    s->constraints = json_array();
    s->strategy = json_array();
    s->details = json_object();
    s->created_by = g_strdup(rq->identity->principal_arn);
    return s;
}

static EcsService *read_service(const Request *rq, const Cluster *cluster, GError **error)
{
    g_autoptr(EcsService) s = new_service(rq, cluster);

    if (!ecs_name_is_valid(s->name))
        return fail_null(error, INVALID_PARAMETER,
                         "Invalid service name \"%s\": 1 to 255 letters,"
                         " digits, hyphens and underscores are allowed.",
                         s->name);
    if (!request_text(rq, "taskDefinition"))
        return fail_null(error, INVALID_PARAMETER, "TaskDefinition can not be blank.");
    if (!is_daemon(s) && !request_member(rq, "desiredCount"))
        return fail_null(error, INVALID_PARAMETER, "desiredCount should not be null");
    read_details(rq, s);
    if (!read_count(rq, s, error) || !read_configuration(rq, s, error) ||
        !read_placement(rq, s, error))
        return NULL;
    return g_steal_pointer(&s);
}

/* A second creation of the same service answers the first one's. */
static json_t *existing(Request *rq, const EcsService *old, const EcsService *new,
                        const TaskDefinition *definition, GError **error)
{
    g_autoptr(GPtrArray) deployments = NULL;

    if (strcmp(old->status, "DRAINING") == 0)
        return fail_null(error, INVALID_PARAMETER,
                         "Unable to Start a service that is still Draining.");
    deployments = deployments_of(rq->tx, &old->id, 1, error);
    if (!deployments)
        return NULL;
    const Deployment *primary = deployments->len ? g_ptr_array_index(deployments, 0) : NULL;
    if (!primary || primary->task_definition_id != definition->id ||
        old->desired_count != new->desired_count ||
        strcmp(old->scheduling_strategy, new->scheduling_strategy) != 0 ||
        old->minimum_percent != new->minimum_percent ||
        old->maximum_percent != new->maximum_percent ||
        !json_equal(old->constraints, new->constraints) ||
        !json_equal(old->strategy, new->strategy) || !json_equal(old->details, new->details))
        return fail_null(error, INVALID_PARAMETER, "Creation of service was not idempotent.");
    return service_answer(rq, old->id, error);
}

static gboolean tag_service(Request *rq, const EcsService *s, GError **error)
{
    g_autofree char *arn = ecs_arn(rq, "service", s->cluster_name, s->name);
    const char *arns[] = { arn };

    return ecs_tags_clear(rq->tx, rq->account_id, arn, error) &&
           ecs_tags_put(rq->tx, rq->account_id, "ecs:service", arns, 1, request_member(rq, "tags"),
                        error);
}

/* Adds service and PRIMARY deployment; the scheduler starts its tasks. */
json_t *create_service(Request *rq, GError **error)
{
    g_autoptr(EcsService) old = NULL;

    if (!check_built(rq, error) || !ecs_tags_check(request_member(rq, "tags"), error))
        return NULL;
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_LOCK, error);
    g_autoptr(EcsService) service = cluster ? read_service(rq, cluster, error) : NULL;
    if (!service)
        return NULL;
    g_autoptr(TaskDefinition) definition =
        ecs_active_definition(rq, request_text(rq, "taskDefinition"), error);
    if (!definition || !check_network(rq, definition, error) ||
        !services_find(rq->tx, cluster->id, service->name, SERVICE_READ, &old, error))
        return NULL;
    if (old && strcmp(old->status, "INACTIVE") != 0)
        return existing(rq, old, service, definition, error);
    if (!services_add(rq->tx, service, error))
        return NULL;
    g_autofree char *deployment =
        deployments_begin(rq->tx, service->id, definition->id, service->desired_count, NULL, error);
    if (!deployment || !tag_service(rq, service, error))
        return NULL;
    return service_answer(rq, service->id, error);
}

/* The service that the request names, held; ACTIVE. */
static EcsService *named_service(Request *rq, gboolean must_be_active, GError **error)
{
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);
    g_autoptr(EcsService) service = NULL;

    if (!cluster)
        return NULL;
    g_autofree char *name = ecs_ref_in_cluster(rq->region, rq->account_id, "service", cluster->name,
                                               request_text(rq, "service"));
    if (name && !services_find(rq->tx, cluster->id, name, SERVICE_LOCK, &service, error))
        return NULL;
    if (!service || (strcmp(service->status, "INACTIVE") == 0 && !must_be_active))
        return fail_null(error, SERVICE_NOT_FOUND, "Service not found.");
    if (must_be_active && strcmp(service->status, "ACTIVE") != 0)
        return fail_null(error, SERVICE_NOT_ACTIVE, "Service was not ACTIVE.");
    return g_steal_pointer(&service);
}

/* The definition of the next deployment: the one named, or the one it has. 0 on error. */
static gint64 next_definition(Request *rq, const Deployment *primary, GError **error)
{
    const char *reference = request_text(rq, "taskDefinition");

    if (!reference)
        return primary->task_definition_id;
    g_autoptr(TaskDefinition) definition = ecs_active_definition(rq, reference, error);
    return definition && check_network(rq, definition, error) ? definition->id : 0;
}

/* A changed definition, or force, begins a deployment; everything else applies to what runs. */
json_t *update_service(Request *rq, GError **error)
{
    gboolean force = request_bool(rq, "forceNewDeployment", FALSE);

    if (!check_built(rq, error))
        return NULL;
    g_autoptr(EcsService) service = named_service(rq, TRUE, error);
    if (!service)
        return NULL;
    g_autoptr(GPtrArray) deployments = deployments_of(rq->tx, &service->id, 1, error);
    if (!deployments || !read_count(rq, service, error) ||
        !read_configuration(rq, service, error) || !read_placement(rq, service, error))
        return NULL;
    read_details(rq, service);
    const Deployment *primary = g_ptr_array_index(deployments, 0);
    gint64 definition = next_definition(rq, primary, error);
    if (!definition || !services_update(rq->tx, service, error))
        return NULL;
    if (definition != primary->task_definition_id || force) {
        g_autofree char *id =
            deployments_begin(rq->tx, service->id, definition, service->desired_count, NULL, error);
        if (!id)
            return NULL;
    } else if (!deployments_set(
                   rq->tx, primary->id,
                   is_daemon(service) ? primary->desired_count : service->desired_count,
                   primary->failed_tasks, primary->rollout_state, primary->rollout_reason, error)) {
        return NULL;
    }
    return service_answer(rq, service->id, error);
}

json_t *delete_service(Request *rq, GError **error)
{
    gboolean force = request_bool(rq, "force", FALSE);
    g_autoptr(EcsService) service = named_service(rq, FALSE, error);
    gboolean holds = FALSE;

    if (!service)
        return NULL;
    if (service->desired_count > 0 && !force && !is_daemon(service))
        return fail_null(error, INVALID_PARAMETER,
                         "The service cannot be stopped while it is scaled above 0.");
    if (!services_hold_tasks(rq->tx, service->id, &holds, error))
        return NULL;
    g_free(service->status);
    service->status = g_strdup(holds ? "DRAINING" : "INACTIVE");
    service->desired_count = 0;
    if (!services_update(rq->tx, service, error) ||
        (!holds && !deployments_retire(rq->tx, service->id, TRUE, error)))
        return NULL;
    return service_answer(rq, service->id, error);
}

static gboolean is_found(GPtrArray *services, const char *name)
{
    for (guint n = 0; n < services->len; n++)
        if (strcmp(((const EcsService *)g_ptr_array_index(services, n))->name, name) == 0)
            return TRUE;
    return FALSE;
}

json_t *describe_services(Request *rq, GError **error)
{
    const json_t *asked = request_member(rq, "services");
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    json_auto_t *failures = json_array();
    const json_t *item;
    size_t n;

    if (json_array_size(asked) == 0)
        return fail_null(error, INVALID_PARAMETER, "Services cannot be empty.");
    if (json_array_size(asked) > DESCRIBE_MAX)
        return fail_null(error, INVALID_PARAMETER, "Services can have at most %d items.",
                         DESCRIBE_MAX);
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);
    if (!cluster)
        return NULL;
    json_array_foreach(asked, n, item)
    {
        char *name = ecs_ref_in_cluster(rq->region, rq->account_id, "service", cluster->name,
                                        json_string_value(item));
        g_ptr_array_add(names, name ? name : g_strdup(json_string_value(item)));
    }
    g_autoptr(GPtrArray) services = services_describe(
        rq->tx, cluster->id, (const char *const *)names->pdata, names->len, error);
    if (!services)
        return NULL;
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *arn = ecs_arn(rq, "service", cluster->name, name);
        if (!is_found(services, name))
            failure_add(failures, g_str_has_prefix(name, "arn:") ? name : arn, "MISSING", NULL);
    }
    json_t *list = services_answer(rq, services, request_includes(rq, "TAGS"), error);
    return list ? json_pack("{s:o,s:O}", "services", list, "failures", failures) : NULL;
}

json_t *list_services(Request *rq, GError **error)
{
    g_auto(Page) page = { 0 };

    if (!page_read(rq, LIST_DEFAULT, &page, error))
        return NULL;
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);
    if (!cluster)
        return NULL;
    g_autoptr(GPtrArray) names =
        services_list(rq->tx, cluster->id, request_text(rq, "launchType"),
                      request_text(rq, "schedulingStrategy"), page.after, page.limit + 1, error);
    if (!names)
        return NULL;
    json_t *arns = json_array();
    guint shown = MIN(names->len, (guint)page.limit);
    for (guint n = 0; n < shown; n++) {
        g_autofree char *arn = ecs_arn(rq, "service", cluster->name, g_ptr_array_index(names, n));
        json_array_append_new(arns, json_string(arn));
    }
    json_t *answer = json_pack("{s:o}", "serviceArns", arns);
    if (shown)
        page_next(answer, &page, names->len, g_ptr_array_index(names, shown - 1));
    return answer;
}
