/* Attributes that callers give container instances, beside those of the agent. */
#include "base/errors.h"
#include "handlers/container_instances.h"
#include "handlers/table.h"

#include <string.h>

#define ATTRIBUTES_MAX     10
#define ATTRIBUTE_NAME_MAX 128

/* One attribute of the request: where it goes and what it says. */
typedef struct {
    const char *name;
    const char *value; /* NULL: none */
    char *target;      /* container instance id */
} Change;

static void change_clear(Change *change)
{
    g_free(change->target);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Change, change_clear)

static gboolean name_is_valid(const char *name)
{
    gsize length = strlen(name);

    for (gsize n = 0; n < length; n++)
        if (!g_ascii_isalnum(name[n]) && !strchr("_./\\-", name[n]))
            return FALSE;
    return length >= 1 && length <= ATTRIBUTE_NAME_MAX;
}

static gboolean read_change(const Request *rq, const Cluster *cluster, const json_t *attribute,
                            Change *ret_change, GError **error)
{
    const char *target = tree_text(attribute, "targetId");

    ret_change->name = tree_text(attribute, "name");
    ret_change->value = tree_text(attribute, "value");
    if (!name_is_valid(ret_change->name))
        return fail(error, INVALID_PARAMETER, "Invalid attribute name \"%s\".", ret_change->name);
    if (ret_change->value && strlen(ret_change->value) > ATTRIBUTE_NAME_MAX)
        return fail(error, INVALID_PARAMETER, "The value of attribute \"%s\" is too long.",
                    ret_change->name);
    if (g_str_has_prefix(ret_change->name, "ecs.") ||
        g_str_has_prefix(ret_change->name, "com.amazonaws."))
        return fail(error, INVALID_PARAMETER, "Attribute \"%s\" is reserved.", ret_change->name);
    ret_change->target = target ? ecs_ref_in_cluster(rq->region, rq->account_id,
                                                     "container-instance", cluster->name, target)
                                : NULL;
    return ret_change->target || fail(error, INVALID_PARAMETER,
                                      "Attribute \"%s\" needs the targetId of a container"
                                      " instance.",
                                      ret_change->name);
}

/* attributes without those of this name. */
static json_t *without(const json_t *attributes, const char *name)
{
    json_t *left = json_array();
    json_t *entry;
    size_t n;

    json_array_foreach(attributes, n, entry) if (g_strcmp0(tree_text(entry, "name"), name) != 0)
        json_array_append(left, entry);
    return left;
}

static json_t *shown(const Request *rq, const Cluster *cluster, const char *target,
                     const char *name, const char *value)
{
    g_autofree char *arn = ecs_arn(rq, "container-instance", cluster->name, target);
    json_t *tree = json_pack("{s:s,s:s,s:s}", "name", name, "targetType", "container-instance",
                             "targetId", arn);

    if (value)
        json_object_set_new(tree, "value", json_string(value));
    return tree;
}

static gboolean apply(Request *rq, const Cluster *cluster, const Change *change, gboolean put,
                      GError **error)
{
    const char *target = change->target;
    g_autoptr(GPtrArray) found =
        container_instances_describe(rq->tx, cluster->id, &target, 1, error);

    if (!found)
        return FALSE;
    if (found->len == 0)
        return fail(error, ECS_TARGET_NOT_FOUND, "The target %s was not found.", target);
    const ContainerInstance *instance = g_ptr_array_index(found, 0);
    json_auto_t *list = without(instance->attributes, change->name);
    if (put) {
        json_t *entry = json_pack("{s:s}", "name", change->name);
        if (change->value)
            json_object_set_new(entry, "value", json_string(change->value));
        json_array_append_new(list, entry);
    }
    return container_instances_set_attributes(rq->tx, instance->id, list, error);
}

static json_t *change_attributes(Request *rq, gboolean put, GError **error)
{
    const json_t *asked = request_member(rq, "attributes");
    json_auto_t *done = json_array();
    const json_t *attribute;
    size_t n;

    if (json_array_size(asked) == 0 || json_array_size(asked) > ATTRIBUTES_MAX)
        return fail_null(error, INVALID_PARAMETER, "Attributes must have 1 to %d items.",
                         ATTRIBUTES_MAX);
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_LOCK, error);
    if (!cluster)
        return NULL;
    json_array_foreach(asked, n, attribute)
    {
        g_auto(Change) change = { 0 };
        if (!read_change(rq, cluster, attribute, &change, error) ||
            !apply(rq, cluster, &change, put, error))
            return NULL;
        json_array_append_new(done, shown(rq, cluster, change.target, change.name, change.value));
    }
    return json_pack("{s:O}", "attributes", done);
}

json_t *put_attributes(Request *rq, GError **error)
{
    return change_attributes(rq, TRUE, error);
}

json_t *delete_attributes(Request *rq, GError **error)
{
    return change_attributes(rq, FALSE, error);
}

static void list_of(const Request *rq, const Cluster *cluster, const ContainerInstance *i,
                    json_t *list)
{
    const char *name = request_text(rq, "attributeName");
    const char *value = request_text(rq, "attributeValue");
    const json_t *entry;
    size_t n;

    json_array_foreach(i->attributes, n, entry)
    {
        const char *own = tree_text(entry, "value");
        if ((name && g_strcmp0(tree_text(entry, "name"), name) != 0) ||
            (value && g_strcmp0(own, value) != 0))
            continue;
        json_array_append_new(list, shown(rq, cluster, i->name, tree_text(entry, "name"), own));
    }
}

/* A page is a number of container instances, all of whose attributes are shown. */
json_t *list_attributes(Request *rq, GError **error)
{
    g_auto(Page) page = { 0 };

    if (!page_read(rq, ECS_PAGE_MAX, &page, error))
        return NULL;
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);
    if (!cluster)
        return NULL;
    g_autoptr(GPtrArray) names =
        container_instances_list(rq->tx, cluster->id, NULL, page.after, page.limit + 1, error);
    if (!names)
        return NULL;
    guint count = MIN(names->len, (guint)page.limit);
    g_autoptr(GPtrArray) found = container_instances_describe(
        rq->tx, cluster->id, (const char *const *)names->pdata, count, error);
    if (!found)
        return NULL;
    json_t *list = json_array();
    for (guint n = 0; n < found->len; n++)
        list_of(rq, cluster, g_ptr_array_index(found, n), list);
    json_t *answer = json_pack("{s:o}", "attributes", list);
    if (count)
        page_next(answer, &page, names->len, g_ptr_array_index(names, count - 1));
    return answer;
}
