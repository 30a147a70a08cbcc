#include "handlers/ec2_common.h"
#include "base/errors.h"
#include "base/id.h"

#include <string.h>

#define TAG_KEY_MAX   128
#define TAG_VALUE_MAX 256

const char **json_strings(const json_t *list)
{
    g_autoptr(GPtrArray) strings = g_ptr_array_new();
    const json_t *value;
    size_t n;

    json_array_foreach(list, n, value)
    {
        if (json_is_string(value))
            g_ptr_array_add(strings, (gpointer)json_string_value(value));
    }
    if (strings->len == 0)
        return NULL;
    g_ptr_array_add(strings, NULL);
    return (const char **)g_ptr_array_steal(strings, NULL);
}

const char **request_strings(const Request *rq, const char *name)
{
    return json_strings(request_member(rq, name));
}

const char *json_text_at(const json_t *tree, const char *path)
{
    while (tree && *path) {
        gsize length = strcspn(path, ".");
        tree = json_object_getn(tree, path, length);
        path += length + (path[length] == '.');
    }
    return json_string_value(tree);
}

gboolean ec2_refuse_others(const json_t *params, const char *inside, const char *const *supported,
                           GError **error)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)params, name, value)
    {
        gboolean empty = json_is_array(value) && json_array_size(value) == 0;
        if (empty || strcmp(name, "DryRun") == 0 || strcmp(name, "ClientToken") == 0)
            continue;
        if (!g_strv_contains(supported, name))
            return fail(error, UNSUPPORTED, "The parameter %s%s%s is not supported here", inside,
                        *inside ? "." : "", name);
    }
    return TRUE;
}

gboolean ec2_check_instance_ids(const char *const *ids, GError **error)
{
    for (; ids && *ids; ids++)
        if (!id_is_ec2(*ids, "i"))
            return fail(error, INSTANCE_ID_MALFORMED, "Invalid id: \"%s\"", *ids);
    return TRUE;
}

gboolean ec2_missing(const char *wire_name, GError **error)
{
    return fail(error, MISSING_PARAMETER, "The request must contain the parameter %s", wire_name);
}

DefaultNetwork *ec2_network(const Request *rq, GError **error)
{
    return default_network_new(rq->account_id, rq->region, rq->context->config->network_cidr,
                               error);
}

static json_t *tag_json(const Tag *tag)
{
    return json_pack("{s:s, s:s}", "Key", tag->key, "Value", tag->value);
}

GHashTable *ec2_tags_of(Request *rq, const char *const *ids, GError **error)
{
    g_autoptr(GPtrArray) list = tags_list(rq->tx, rq->account_id, ids, NULL, NULL, 0, error);

    if (!list)
        return NULL;
    GHashTable *tags =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_decref);
    for (guint n = 0; n < list->len; n++) {
        const Tag *tag = list->pdata[n];
        json_t *own = g_hash_table_lookup(tags, tag->resource_id);
        if (!own) {
            own = json_array();
            g_hash_table_insert(tags, g_strdup(tag->resource_id), own);
        }
        json_array_append_new(own, tag_json(tag));
    }
    return tags;
}

void ec2_tags_add(GHashTable *tags, const char *id, json_t *item)
{
    json_t *own = g_hash_table_lookup(tags, id);

    if (own)
        json_object_set(item, "Tags", own);
}

static gboolean tag_check(const json_t *tag, GError **error)
{
    const char *key = json_string_value(json_object_get(tag, "Key"));
    const char *value = json_string_value(json_object_get(tag, "Value"));

    if (!key || !*key)
        return fail(error, INVALID_PARAMETER, "Tag key cannot be null or empty.");
    if (!value)
        return fail(error, INVALID_PARAMETER,
                    "Tag value cannot be null. Use empty string instead.");
    if (g_ascii_strncasecmp(key, "aws:", 4) == 0)
        return fail(error, INVALID_PARAMETER,
                    "Tag keys starting with 'aws:' are reserved for internal use");
    if (g_utf8_strlen(key, -1) > TAG_KEY_MAX)
        return fail(error, INVALID_PARAMETER, "Tag key exceeds the maximum length of %d characters",
                    TAG_KEY_MAX);
    if (g_utf8_strlen(value, -1) > TAG_VALUE_MAX)
        return fail(error, INVALID_PARAMETER,
                    "Tag value exceeds the maximum length of %d characters", TAG_VALUE_MAX);
    return TRUE;
}

gboolean ec2_tags_check(const json_t *tags, GError **error)
{
    g_autoptr(GHashTable) keys = g_hash_table_new(g_str_hash, g_str_equal);
    const json_t *tag;
    size_t n;

    json_array_foreach(tags, n, tag)
    {
        if (!tag_check(tag, error))
            return FALSE;
        const char *key = json_string_value(json_object_get(tag, "Key"));
        if (!g_hash_table_add(keys, (gpointer)key))
            return fail(error, INVALID_PARAMETER, "Duplicate tag key '%s' specified.", key);
    }
    if (json_array_size(tags) > TAGS_MAX)
        return fail(error, TAG_LIMIT,
                    "The maximum number of Tags for a resource has been reached.");
    return TRUE;
}

gboolean ec2_tag_specifications_check(const Request *rq, const char *const *allowed, GError **error)
{
    const json_t *row;
    size_t n;

    json_array_foreach(request_member(rq, "TagSpecifications"), n, row)
    {
        const char *type = json_string_value(json_object_get(row, "ResourceType"));
        if (!type || !g_strv_contains(allowed, type))
            return fail(error, INVALID_PARAMETER,
                        "'%s' is not a valid taggable resource type for this operation.",
                        type ? type : "null");
        if (json_array_size(json_object_get(row, "Tags")) == 0)
            return fail(error, INVALID_PARAMETER, "Tag specification must have at least one tag");
        if (!ec2_tags_check(json_object_get(row, "Tags"), error))
            return FALSE;
    }
    return TRUE;
}

json_t *ec2_tag_specification(const Request *rq, const char *type)
{
    const json_t *row;
    size_t n;

    json_array_foreach(request_member(rq, "TagSpecifications"), n, row)
    {
        if (g_strcmp0(json_string_value(json_object_get(row, "ResourceType")), type) == 0)
            return json_object_get(row, "Tags");
    }
    return NULL;
}

gboolean ec2_tag_specifications_set(Request *rq, const char *type, const char *const *ids,
                                    guint count, GError **error)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    g_autoptr(GPtrArray) values = g_ptr_array_new();
    g_autofree const char **types = g_new0(const char *, count + 1);
    const json_t *tag;
    size_t n;

    json_array_foreach(ec2_tag_specification(rq, type), n, tag)
    {
        g_ptr_array_add(keys, (gpointer)json_string_value(json_object_get(tag, "Key")));
        g_ptr_array_add(values, (gpointer)json_string_value(json_object_get(tag, "Value")));
    }
    if (keys->len == 0)
        return TRUE;
    g_ptr_array_add(keys, NULL);
    g_ptr_array_add(values, NULL);
    for (guint i = 0; i < count; i++)
        types[i] = type;
    return tags_set(rq->tx, rq->account_id, ids, types, (const char *const *)keys->pdata,
                    (const char *const *)values->pdata, error);
}
