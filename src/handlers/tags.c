/* CreateTags, DeleteTags, DescribeTags. */
#include "handlers/ec2_common.h"
#include "handlers/ec2_page.h"
#include "handlers/filters.h"
#include "handlers/table.h"
#include "base/errors.h"

static const FilterName tag_filters[] = {
    { "key", "Key" },
    { "resource-id", "ResourceId" },
    { "resource-type", "ResourceType" },
    { "value", "Value" },
    { NULL, NULL },
};

/* The account's resources among ids, locked by their existence; types runs in parallel. */
static const char **types_of(Request *rq, const char *const *ids, GError **error)
{
    g_autoptr(GHashTable) owners = tags_owners(rq->tx, rq->account_id, ids, error);
    guint count = g_strv_length((char **)ids);

    if (!owners)
        return NULL;
    g_autofree const char **types = g_new0(const char *, count + 1);
    for (guint n = 0; n < count; n++) {
        types[n] = g_hash_table_lookup(owners, ids[n]);
        if (!types[n])
            return fail_null(error, INVALID_ID, "The ID '%s' is not valid", ids[n]);
    }
    return g_steal_pointer(&types);
}

/* Members of the tags' objects, ended by NULL; an absent value stays NULL. */
static const char **parts(const json_t *tags, const char *member)
{
    const char **texts = g_new0(const char *, json_array_size(tags) + 1);
    const json_t *tag;
    size_t n;

    json_array_foreach(tags, n, tag)
    {
        texts[n] = json_string_value(json_object_get(tag, member));
    }
    return texts;
}

json_t *create_tags(Request *rq, GError **error)
{
    g_autofree const char **ids = request_strings(rq, "Resources");
    const json_t *tags = request_member(rq, "Tags");

    if (!EC2_ONLY(rq, error, "Resources", "Tags"))
        return NULL;
    if (!ids || json_array_size(tags) == 0) {
        ec2_missing(ids ? "tagSet" : "resourceIdSet", error);
        return NULL;
    }
    if (!ec2_tags_check(tags, error))
        return NULL;
    g_autofree const char **types = types_of(rq, ids, error);
    g_autofree const char **keys = parts(tags, "Key");
    g_autofree const char **values = parts(tags, "Value");
    if (!types || !tags_set(rq->tx, rq->account_id, ids, types, keys, values, error))
        return NULL;
    return json_object();
}

json_t *delete_tags(Request *rq, GError **error)
{
    g_autofree const char **ids = request_strings(rq, "Resources");
    const json_t *tags = request_member(rq, "Tags");

    if (!EC2_ONLY(rq, error, "Resources", "Tags"))
        return NULL;
    if (!ids) {
        ec2_missing("resourceIdSet", error);
        return NULL;
    }
    g_autofree const char **types = types_of(rq, ids, error);
    g_autofree const char **keys = json_array_size(tags) ? parts(tags, "Key") : NULL;
    g_autofree const char **values = parts(tags, "Value");
    for (gsize n = 0; keys && n < json_array_size(tags); n++)
        if (!keys[n])
            return fail_null(error, INVALID_PARAMETER, "Tag key cannot be null or empty.");
    if (!types || !tags_remove(rq->tx, rq->account_id, ids, keys, values,
                               (guint)json_array_size(tags), error))
        return NULL;
    return json_object();
}

static json_t *tag_json(const Tag *tag)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:[{s:s, s:s}]}", "ResourceId", tag->resource_id,
                     "ResourceType", tag->resource_type, "Key", tag->key, "Value", tag->value,
                     "Tags", "Key", tag->key, "Value", tag->value);
}

json_t *describe_tags(Request *rq, GError **error)
{
    g_auto(Ec2Page) page = { 0 };
    g_autoptr(Filters) filters = NULL;

    if (!EC2_ONLY(rq, error, "Filters", "MaxResults", "NextToken") ||
        !ec2_page_open(rq, "DescribeTags", 5, 1000, &page, error) ||
        !(filters = filters_new(rq, tag_filters, TRUE, error)))
        return NULL;
    g_autoptr(GPtrArray) list = tags_list(rq->tx, rq->account_id, NULL, NULL, NULL, 0, error);
    if (!list)
        return NULL;
    json_t *items = json_array();
    for (guint n = 0; n < list->len; n++) {
        const Tag *tag = list->pdata[n];
        json_auto_t *item = tag_json(tag);
        if (g_str_has_prefix(tag->resource_type, "ecs:") || !filters_match(filters, item, NULL))
            continue;
        json_object_del(item, "Tags");
        json_array_append(items, item);
    }
    return ec2_page_answer(rq, &page, "Tags", items, error);
}
