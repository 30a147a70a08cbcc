/* Container instances: machines that run tasks, as clients read and change them. */
#include "handlers/container_instances.h"
#include "base/errors.h"
#include "handlers/agent_self.h"
#include "handlers/table.h"
#include "store/ecs_tags.h"
#include "store/placement_load.h"

#include <string.h>

#define CHANGE_MAX 10

static json_t *health_json(const ContainerInstance *i)
{
    const char *status = i->runtime_status ? i->runtime_status : "INSUFFICIENT_DATA";

    return json_pack("{s:s,s:[{s:s,s:s}]}", "overallStatus", status, "details", "type",
                     "CONTAINER_RUNTIME", "status", status);
}

/* The last part of each reference in member; what is no reference stays, and is missing. */
static GPtrArray *names_in(const Request *rq, const Cluster *cluster, const char *member)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    const json_t *item;
    size_t n;

    json_array_foreach(request_member(rq, member), n, item)
    {
        char *name = ecs_ref_in_cluster(rq->region, rq->account_id, "container-instance",
                                        cluster->name, json_string_value(item));
        g_ptr_array_add(names, name ? name : g_strdup(json_string_value(item)));
    }
    return names;
}

static const ContainerInstance *find(GPtrArray *found, const char *name)
{
    for (guint n = 0; n < found->len; n++) {
        const ContainerInstance *instance = g_ptr_array_index(found, n);
        if (strcmp(instance->name, name) == 0)
            return instance;
    }
    return NULL;
}

static json_t *tags_of(Request *rq, const Cluster *cluster, GPtrArray *names, GError **error)
{
    g_autoptr(GPtrArray) arns = g_ptr_array_new_with_free_func(g_free);

    for (guint n = 0; n < names->len; n++)
        g_ptr_array_add(
            arns, ecs_arn(rq, "container-instance", cluster->name, g_ptr_array_index(names, n)));
    return ecs_tags_of(rq->tx, rq->account_id, (const char *const *)arns->pdata, arns->len, error);
}

/* {containerInstances, failures} of names, in their order. */
static json_t *answer_of(Request *rq, const Cluster *cluster, GPtrArray *names, GError **error)
{
    json_auto_t *list = json_array();
    json_auto_t *failures = json_array();
    json_auto_t *tags =
        request_includes(rq, "TAGS") ? tags_of(rq, cluster, names, error) : json_object();

    if (!tags)
        return NULL;
    g_autoptr(GPtrArray) found = container_instances_describe(
        rq->tx, cluster->id, (const char *const *)names->pdata, names->len, error);
    if (!found)
        return NULL;
    for (guint n = 0; n < names->len; n++) {
        const char *name = g_ptr_array_index(names, n);
        const ContainerInstance *instance = find(found, name);
        g_autofree char *arn = ecs_arn(rq, "container-instance", cluster->name, name);
        if (!instance) {
            failure_add(failures, g_str_has_prefix(name, "arn:") ? name : arn, "MISSING", NULL);
            continue;
        }
        json_t *tree =
            container_instance_json(rq, cluster->name, instance, ecs_tags_shown(tags, arn));
        if (request_includes(rq, "CONTAINER_INSTANCE_HEALTH"))
            json_object_set_new(tree, "healthStatus", health_json(instance));
        json_array_append_new(list, tree);
    }
    return json_pack("{s:O,s:O}", "containerInstances", list, "failures", failures);
}

json_t *describe_container_instances(Request *rq, GError **error)
{
    gsize count = json_array_size(request_member(rq, "containerInstances"));

    if (count == 0)
        return fail_null(error, ECS_CLIENT, "Container Instances cannot be empty.");
    if (count > ECS_PAGE_MAX)
        return fail_null(error, INVALID_PARAMETER, "Container Instances can have at most %d items.",
                         ECS_PAGE_MAX);
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);
    if (!cluster || !agent_check_self(rq, error))
        return NULL;
    g_autoptr(GPtrArray) names = names_in(rq, cluster, "containerInstances");
    return answer_of(rq, cluster, names, error);
}

static gint compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names that the filter, an expression of the cluster query language, selects; sorted, after
 * `after`. */
static GPtrArray *filtered(Request *rq, const Cluster *cluster, const char *filter,
                           const char *status, const char *after, GError **error)
{
    json_auto_t *constraints = json_pack("[{s:s,s:s}]", "type", "memberOf", "expression", filter);
    PlacementRequest request = { .group = "", .constraints = { constraints, NULL } };
    g_autoptr(PlacementCluster) all = placement_load(rq->tx, cluster->id, NULL, 0, 0, error);

    if (!all)
        return NULL;
    g_autoptr(GArray) selected = placement_select(all, &request, 1u << RULE_MEMBER_OF, error);
    if (!selected) {
        fail_prefix(error, "Invalid filter");
        return NULL;
    }
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    for (guint n = 0; n < selected->len; n++) {
        const PlacementInstance *i = placement_instance(all, g_array_index(selected, guint, n));
        gboolean active = i->active, wants_active = g_strcmp0(status, "ACTIVE") == 0;
        if ((!status || active == wants_active) && strcmp(i->name, after ? after : "") > 0)
            g_ptr_array_add(names, g_strdup(i->name));
    }
    g_ptr_array_sort(names, compare_texts);
    return names;
}

json_t *list_container_instances(Request *rq, GError **error)
{
    const char *filter = request_text(rq, "filter"), *status = request_text(rq, "status");
    g_auto(Page) page = { 0 };

    if (!page_read(rq, ECS_PAGE_MAX, &page, error))
        return NULL;
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);
    if (!cluster)
        return NULL;
    g_autoptr(GPtrArray) names = filter && *filter
                                     ? filtered(rq, cluster, filter, status, page.after, error)
                                     : container_instances_list(rq->tx, cluster->id, status,
                                                                page.after, page.limit + 1, error);
    if (!names)
        return NULL;
    json_t *arns = json_array();
    guint shown = MIN(names->len, (guint)page.limit);
    for (guint n = 0; n < shown; n++) {
        g_autofree char *arn =
            ecs_arn(rq, "container-instance", cluster->name, g_ptr_array_index(names, n));
        json_array_append_new(arns, json_string(arn));
    }
    json_t *answer = json_pack("{s:o}", "containerInstanceArns", arns);
    if (shown)
        page_next(answer, &page, names->len, g_ptr_array_index(names, shown - 1));
    return answer;
}

/* ACTIVE or DRAINING: the schedulers move tasks away, or may place them again. */
json_t *update_container_instances_state(Request *rq, GError **error)
{
    const char *status = request_text(rq, "status");
    gsize count = json_array_size(request_member(rq, "containerInstances"));

    if (strcmp(status, "ACTIVE") != 0 && strcmp(status, "DRAINING") != 0)
        return fail_null(error, INVALID_PARAMETER,
                         "Container instance status should be one of [ACTIVE,DRAINING]");
    if (count == 0 || count > CHANGE_MAX)
        return fail_null(error, INVALID_PARAMETER, "Container Instances must have 1 to %d items.",
                         CHANGE_MAX);
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_LOCK, error);
    if (!cluster || !agent_check_self(rq, error))
        return NULL;
    g_autoptr(GPtrArray) names = names_in(rq, cluster, "containerInstances");
    g_autoptr(GPtrArray) found = container_instances_describe(
        rq->tx, cluster->id, (const char *const *)names->pdata, names->len, error);
    if (!found)
        return NULL;
    for (guint n = 0; n < found->len; n++) {
        const ContainerInstance *i = g_ptr_array_index(found, n);
        if (strcmp(i->status, "INACTIVE") == 0)
            return fail_null(error, INVALID_PARAMETER, "Container instance %s is INACTIVE.",
                             i->name);
        if (!container_instances_set_status(rq->tx, i->id, status, error))
            return NULL;
    }
    return answer_of(rq, cluster, names, error);
}

/* Agents are put on machines by "berth agent upgrade", or by their owners: the channel has no
 * update for any, and says so in the way that callers know. */
json_t *update_container_agent(Request *rq, GError **error)
{
    const char *named = request_text(rq, "containerInstance");
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);
    g_autofree char *name = cluster ? ecs_ref_in_cluster(rq->region, rq->account_id,
                                                         "container-instance", cluster->name, named)
                                    : NULL;
    g_autoptr(GPtrArray) found = NULL;

    if (!cluster)
        return NULL;
    if (name && !(found = container_instances_describe(rq->tx, cluster->id,
                                                       (const char *const *)&name, 1, error)))
        return NULL;
    if (!found || found->len == 0)
        return fail_null(error, INVALID_PARAMETER, "Referenced container instance %s not found.",
                         named);
    return fail_null(error, ECS_NO_UPDATE,
                     "There is no update available for your container agent.");
}
