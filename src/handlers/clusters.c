/* Clusters: names under which container instances, services and tasks live. */
#include "base/errors.h"
#include "handlers/ecs_common.h"
#include "handlers/table.h"
#include "store/ecs_tags.h"

#include <string.h>

/* What CreateCluster keeps to give back; capacity providers are not built. */
static const char *const cluster_kept[] = { "settings", "configuration", "serviceConnectDefaults",
                                            NULL };
static const char *const cluster_refused[] = { "capacityProviders",
                                               "defaultCapacityProviderStrategy", NULL };

static json_t *details_from(const Request *rq)
{
    json_t *details = json_object();

    for (const char *const *name = cluster_kept; *name; name++)
        if (request_member(rq, *name))
            json_object_set_new(details, *name, json_deep_copy(request_member(rq, *name)));
    return details;
}

static json_t *statistics(const Cluster *c)
{
    const struct {
        const char *name;
        gint64 value;
    } rows[] = {
        { "runningEC2TasksCount", c->running_tasks },
        { "runningFargateTasksCount", 0 },
        { "pendingEC2TasksCount", c->pending_tasks },
        { "pendingFargateTasksCount", 0 },
        { "activeEC2ServiceCount", c->services },
        { "activeFargateServiceCount", 0 },
        { "drainingEC2ServiceCount", c->draining_services },
        { "drainingFargateServiceCount", 0 },
    };
    json_t *list = json_array();

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        char value[24];
        g_snprintf(value, sizeof value, "%" G_GINT64_FORMAT, rows[i].value);
        json_array_append_new(list, json_pack("{s:s,s:s}", "name", rows[i].name, "value", value));
    }
    return list;
}

static json_t *settings_of(const Cluster *cluster)
{
    json_t *settings = json_object_get(cluster->details, "settings");

    return settings ? json_incref(settings)
                    : json_pack("[{s:s,s:s}]", "name", "containerInsights", "value", "disabled");
}

/* tags is what ecs_tags_of found, or NULL. */
static json_t *cluster_json(const Request *rq, const Cluster *c, const json_t *tags)
{
    g_autofree char *arn = ecs_arn_cluster(rq->region, rq->account_id, c->name);
    const json_t *configuration = json_object_get(c->details, "configuration");
    json_t *tree = json_pack(
        "{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:[],s:o,s:o,s:[],s:[]}", "clusterArn", arn, "clusterName",
        c->name, "status", c->status, "registeredContainerInstancesCount",
        (json_int_t)c->container_instances, "runningTasksCount", (json_int_t)c->running_tasks,
        "pendingTasksCount", (json_int_t)c->pending_tasks, "activeServicesCount",
        (json_int_t)c->services, "statistics", "tags", ecs_tags_shown(tags, arn), "settings",
        settings_of(c), "capacityProviders", "defaultCapacityProviderStrategy");

    if (configuration)
        json_object_set_new(tree, "configuration", json_deep_copy(configuration));
    return tree;
}

static gboolean check_settings(const json_t *settings, GError **error)
{
    const json_t *setting;
    size_t n;

    json_array_foreach(settings, n, setting)
    {
        const char *value = tree_text(setting, "value");
        if (g_strcmp0(tree_text(setting, "name"), "containerInsights") != 0)
            return fail(error, INVALID_PARAMETER,
                        "Setting name should be one of"
                        " [containerInsights]");
        if (g_strcmp0(value, "enabled") != 0 && g_strcmp0(value, "disabled") != 0)
            return fail(error, INVALID_PARAMETER,
                        "Setting value should be one of"
                        " [enabled,disabled]");
    }
    return TRUE;
}

/* The cluster as DescribeClusters shows it, tags included. */
static json_t *cluster_answer(Request *rq, const char *name, GError **error)
{
    g_autofree char *arn = ecs_arn_cluster(rq->region, rq->account_id, name);
    g_autoptr(GPtrArray) found = clusters_describe(rq->tx, rq->account_id, &name, 1, error);
    json_auto_t *tags = NULL;

    if (!found)
        return NULL;
    tags = ecs_tags_of(rq->tx, rq->account_id, (const char *[]){ arn }, 1, error);
    if (!tags)
        return NULL;
    return json_pack("{s:o}", "cluster", cluster_json(rq, g_ptr_array_index(found, 0), tags));
}

/* The same name again gives the cluster that is there, if it was asked for alike. */
json_t *create_cluster(Request *rq, GError **error)
{
    const char *name = request_text(rq, "clusterName");
    json_auto_t *details = details_from(rq);
    const json_t *tags = request_member(rq, "tags");
    gboolean made = FALSE;

    if (!name || !*name)
        name = "default";
    if (!ecs_name_is_valid(name))
        return fail_null(error, INVALID_PARAMETER,
                         "Invalid cluster name \"%s\": 1 to 255 letters,"
                         " digits, hyphens and underscores are allowed.",
                         name);
    if (!ecs_refuse(rq, cluster_refused, error) || !ecs_tags_check(tags, error) ||
        !check_settings(request_member(rq, "settings"), error))
        return NULL;
    g_autoptr(Cluster) cluster =
        clusters_create(rq->tx, rq->account_id, name, details, &made, error);
    if (!cluster)
        return NULL;
    if (!made && json_object_size(details) > 0 && !json_equal(details, cluster->details))
        return fail_null(error, INVALID_PARAMETER,
                         "Arguments on this idempotent request are"
                         " inconsistent with arguments used in previous request(s).");
    g_autofree char *arn = ecs_arn_cluster(rq->region, rq->account_id, name);
    const char *arns[] = { arn };
    if (made && (!ecs_tags_clear(rq->tx, rq->account_id, arn, error) ||
                 !ecs_tags_put(rq->tx, rq->account_id, "ecs:cluster", arns, 1, tags, error)))
        return NULL;
    return cluster_answer(rq, name, error);
}

/* Names asked for, as cluster names; one that is no reference at all stays as it is, and is
 * missing. */
static GPtrArray *asked_names(const Request *rq)
{
    const json_t *list = request_member(rq, "clusters");
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    const json_t *item;
    size_t n;

    json_array_foreach(list, n, item)
    {
        const char *reference = json_string_value(item);
        char *name = ecs_ref_cluster(rq->region, rq->account_id, reference, NULL);
        g_ptr_array_add(names, name ? name : g_strdup(reference));
    }
    if (names->len == 0)
        g_ptr_array_add(names, g_strdup("default"));
    return names;
}

static const Cluster *cluster_named(GPtrArray *found, const char *name)
{
    for (guint i = 0; i < found->len; i++) {
        const Cluster *cluster = g_ptr_array_index(found, i);
        if (strcmp(cluster->name, name) == 0)
            return cluster;
    }
    return NULL;
}

static json_t *tags_of_clusters(Request *rq, GPtrArray *found, GError **error)
{
    g_autoptr(GPtrArray) arns = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < found->len; i++) {
        const Cluster *cluster = g_ptr_array_index(found, i);
        g_ptr_array_add(arns, ecs_arn_cluster(rq->region, rq->account_id, cluster->name));
    }
    return ecs_tags_of(rq->tx, rq->account_id, (const char *const *)arns->pdata, arns->len, error);
}

json_t *describe_clusters(Request *rq, GError **error)
{
    g_autoptr(GPtrArray) names = asked_names(rq);
    json_auto_t *clusters = json_array();
    json_auto_t *failures = json_array();
    json_auto_t *tags = NULL;

    if (names->len > ECS_PAGE_MAX)
        return fail_null(error, INVALID_PARAMETER, "Clusters can have at most %d items.",
                         ECS_PAGE_MAX);
    g_autoptr(GPtrArray) found = clusters_describe(
        rq->tx, rq->account_id, (const char *const *)names->pdata, names->len, error);
    if (!found)
        return NULL;
    if (request_includes(rq, "TAGS") && !(tags = tags_of_clusters(rq, found, error)))
        return NULL;
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        const Cluster *cluster = cluster_named(found, name);
        if (!cluster) {
            g_autofree char *arn = ecs_arn_cluster(rq->region, rq->account_id, name);
            failure_add(failures, g_str_has_prefix(name, "arn:") ? name : arn, "MISSING", NULL);
            continue;
        }
        json_t *tree = cluster_json(rq, cluster, tags);
        if (request_includes(rq, "STATISTICS"))
            json_object_set_new(tree, "statistics", statistics(cluster));
        if (!request_includes(rq, "SETTINGS"))
            json_object_set_new(tree, "settings", json_array());
        json_array_append_new(clusters, tree);
    }
    return json_pack("{s:O,s:O}", "clusters", clusters, "failures", failures);
}

json_t *list_clusters(Request *rq, GError **error)
{
    g_auto(Page) page = { 0 };

    if (!page_read(rq, ECS_PAGE_MAX, &page, error))
        return NULL;
    g_autoptr(GPtrArray) names =
        clusters_list(rq->tx, rq->account_id, page.after, page.limit + 1, error);
    if (!names)
        return NULL;
    json_t *arns = json_array();
    guint shown = MIN(names->len, (guint)page.limit);
    for (guint i = 0; i < shown; i++) {
        g_autofree char *arn =
            ecs_arn_cluster(rq->region, rq->account_id, g_ptr_array_index(names, i));
        json_array_append_new(arns, json_string(arn));
    }
    json_t *answer = json_pack("{s:o}", "clusterArns", arns);
    if (shown)
        page_next(answer, &page, names->len, g_ptr_array_index(names, shown - 1));
    return answer;
}

/* Replaces the members of details that the request has. */
static json_t *change_details(Request *rq, GError **error)
{
    g_autoptr(Cluster) cluster = NULL;
    json_auto_t *changes = details_from(rq);

    if (!check_settings(request_member(rq, "settings"), error))
        return NULL;
    cluster = ecs_cluster(rq, CLUSTER_LOCK, error);
    if (!cluster)
        return NULL;
    json_object_update(cluster->details, changes);
    if (!clusters_set_details(rq->tx, cluster->id, cluster->details, error))
        return NULL;
    return cluster_answer(rq, cluster->name, error);
}

json_t *update_cluster(Request *rq, GError **error)
{
    return change_details(rq, error);
}

json_t *update_cluster_settings(Request *rq, GError **error)
{
    return change_details(rq, error);
}

static gboolean check_empty(const Cluster *cluster, GError **error)
{
    if (cluster->container_instances > 0)
        return fail(error, CLUSTER_HAS_INSTANCES,
                    "The Cluster cannot be deleted while Container"
                    " Instances are active or draining.");
    if (cluster->services + cluster->draining_services > 0)
        return fail(error, CLUSTER_HAS_SERVICES,
                    "The Cluster cannot be deleted while Services are active.");
    if (cluster->running_tasks + cluster->pending_tasks > 0)
        return fail(error, CLUSTER_HAS_TASKS,
                    "The Cluster cannot be deleted while Tasks are active.");
    return TRUE;
}

json_t *delete_cluster(Request *rq, GError **error)
{
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_LOCK, error);

    if (!cluster)
        return NULL;
    const char *name = cluster->name;
    g_autoptr(GPtrArray) found = clusters_describe(rq->tx, rq->account_id, &name, 1, error);
    if (!found || !check_empty(g_ptr_array_index(found, 0), error) ||
        !clusters_deactivate(rq->tx, cluster->id, error))
        return NULL;
    return cluster_answer(rq, name, error);
}
