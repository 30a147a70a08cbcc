#include "handlers/filters.h"
#include "base/clock.h"
#include "base/errors.h"
#include "model/glob.h"

#include <string.h>

#define VALUES_MAX 200
#define TAG_PREFIX "tag:"

typedef struct {
    const char *path;     /* NULL: a tag's filter */
    const char *tag_key;  /* of "tag:KEY"; NULL: any tag */
    const char *tag_part; /* "Key" or "Value" */
    const json_t *values;
} Filter;

struct Filters {
    GArray *list;
    json_t *kept; /* the request's tree, which the filters point into */
};

void filters_free(Filters *filters)
{
    if (!filters)
        return;
    g_array_unref(filters->list);
    json_decref(filters->kept);
    g_free(filters);
}

static gboolean read_name(const char *name, const FilterName *names, gboolean tags, Filter *ret)
{
    for (; names->name; names++)
        if (strcmp(names->name, name) == 0) {
            ret->path = names->path;
            return TRUE;
        }
    if (!tags)
        return FALSE;
    ret->tag_part = strcmp(name, "tag-key") == 0 ? "Key" : "Value";
    if (g_str_has_prefix(name, TAG_PREFIX))
        ret->tag_key = name + strlen(TAG_PREFIX);
    return ret->tag_key || strcmp(name, "tag-key") == 0 || strcmp(name, "tag-value") == 0;
}

Filters *filters_new(const Request *rq, const FilterName *names, gboolean tags, GError **error)
{
    const json_t *given = request_member(rq, "Filters");
    g_autoptr(Filters) filters = g_new0(Filters, 1);
    const json_t *row;
    size_t n;

    filters->list = g_array_new(FALSE, TRUE, sizeof(Filter));
    filters->kept = json_incref((json_t *)rq->params);
    json_array_foreach(given, n, row)
    {
        Filter filter = { .values = json_object_get(row, "Values") };
        const char *name = json_string_value(json_object_get(row, "Name"));
        if (!name || !read_name(name, names, tags, &filter))
            return fail_null(error, INVALID_PARAMETER, "The filter '%s' is invalid",
                             name ? name : "null");
        if (json_array_size(filter.values) > VALUES_MAX)
            return fail_null(error, INVALID_PARAMETER, "The filter '%s' has more than %d values",
                             name, VALUES_MAX);
        g_array_append_val(filters->list, filter);
    }
    return g_steal_pointer(&filters);
}

gboolean filters_none(const Filters *filters)
{
    return filters->list->len == 0;
}

static gboolean matches_text(const json_t *values, const char *text, gboolean fold)
{
    const json_t *value;
    size_t n;

    json_array_foreach(values, n, value)
    {
        const char *pattern = json_string_value(value);
        if (!pattern)
            continue;
        if (fold ? g_ascii_strcasecmp(pattern, text) == 0 : glob_match(pattern, text))
            return TRUE;
    }
    return FALSE;
}

static gboolean matches_leaf(const json_t *values, const json_t *leaf, gboolean time)
{
    char number[CLOCK_ISO_SIZE];

    if (json_is_string(leaf))
        return matches_text(values, json_string_value(leaf), FALSE);
    if (json_is_boolean(leaf))
        return matches_text(values, json_is_true(leaf) ? "true" : "false", TRUE);
    if (!json_is_integer(leaf))
        return FALSE;
    if (time)
        clock_iso_ms(json_integer_value(leaf), number);
    else
        g_snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(leaf));
    return matches_text(values, number, FALSE);
}

static gboolean matches_path(const json_t *values, const json_t *tree, const char *path,
                             gboolean time)
{
    const json_t *element;
    size_t n;

    if (json_is_array(tree)) {
        json_array_foreach(tree, n, element)
        {
            if (matches_path(values, element, path, time))
                return TRUE;
        }
        return FALSE;
    }
    if (*path == '\0')
        return matches_leaf(values, tree, time);
    gsize length = strcspn(path, ".");
    const json_t *next = json_object_getn(tree, path, length);
    return next && matches_path(values, next, path + length + (path[length] == '.'), time);
}

static gboolean matches_tags(const Filter *filter, const json_t *tags)
{
    const json_t *tag;
    size_t n;

    json_array_foreach(tags, n, tag)
    {
        const char *key = json_string_value(json_object_get(tag, "Key"));
        if ((!filter->tag_key || g_strcmp0(key, filter->tag_key) == 0) &&
            matches_leaf(filter->values, json_object_get(tag, filter->tag_part), FALSE))
            return TRUE;
    }
    return FALSE;
}

gboolean filters_match(const Filters *filters, const json_t *item, const json_t *outer)
{
    for (guint n = 0; n < filters->list->len; n++) {
        const Filter *filter = &g_array_index(filters->list, Filter, n);
        const char *path = filter->path;
        if (!path) {
            if (!matches_tags(filter, json_object_get(item, "Tags")))
                return FALSE;
            continue;
        }
        const json_t *tree = *path == '^' ? outer : item;
        gboolean time = *path == '@';
        if (!matches_path(filter->values, tree, path + (*path == '^' || time), time))
            return FALSE;
    }
    return TRUE;
}
