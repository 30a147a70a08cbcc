#include "handlers/iam_common.h"
#include "base/errors.h"

#include <string.h>

#define PAGE_DEFAULT 100
#define TAGS_MAX     50

json_t *iam_arn(const Request *rq, const char *kind, const char *path, const char *name)
{
    return json_sprintf("arn:aws:iam::%s:%s%s%s", rq->account_id, kind, path, name);
}

const char *iam_path(const Request *rq, GError **error)
{
    const char *path = request_text(rq, "Path");
    gsize length = path ? strlen(path) : 0;

    if (!path)
        return "/";
    gboolean good =
        path[0] == '/' && path[length - (length > 0)] == '/' && length <= 512 && length != 2;
    for (const char *p = path; good && *p; p++)
        good = *p >= '!' && *p <= '~';
    if (!good)
        return fail_null(error, INVALID_PARAMETER,
                         "The specified value for path is invalid. It must begin and end with / "
                         "and contain only alphanumeric characters and/or / characters.");
    return path;
}

const char *iam_new_name(const Request *rq, const char *member, const char *shown, GError **error)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789+=,.@_-";
    const char *name = request_text(rq, member);

    if (!name[strspn(name, allowed)])
        return name;
    return fail_null(error, INVALID_PARAMETER,
                     "The specified value for %s is invalid. It must contain only alphanumeric "
                     "characters and/or the following: +=,.@_-",
                     shown);
}

json_t *iam_tags(const Request *rq, GError **error)
{
    const json_t *tags = request_member(rq, "Tags");
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const json_t *tag;
    size_t n;

    if (json_array_size(tags) > TAGS_MAX)
        return fail_null(error, LIMIT_EXCEEDED, "Cannot exceed quota for TagsPerResource: %d",
                         TAGS_MAX);
    json_array_foreach(tags, n, tag)
    {
        const char *key = json_string_value(json_object_get(tag, "Key"));
        if (!g_hash_table_add(seen, g_utf8_casefold(key ? key : "", -1)))
            return fail_null(error, INVALID_PARAMETER,
                             "Duplicate tag keys found. Please note that Tag keys are case "
                             "insensitive.");
    }
    return tags ? json_deep_copy(tags) : json_array();
}

void iam_page_clear(IamPage *page)
{
    g_clear_pointer(&page->after, g_free);
}

gboolean iam_page(const Request *rq, IamPage *ret_page, GError **error)
{
    const char *marker = request_text(rq, "Marker");
    gsize length = 0;

    *ret_page = (IamPage){ .limit = request_int(rq, "MaxItems", PAGE_DEFAULT) };
    if (!marker)
        return TRUE;
    g_autofree guchar *decoded = g_base64_decode(marker, &length);
    g_autofree char *again = g_base64_encode(decoded, length);
    if (!length || strcmp(again, marker) != 0 ||
        !g_utf8_validate((char *)decoded, (gssize)length, NULL))
        return fail(error, INVALID_PARAMETER, "Invalid Marker.");
    ret_page->after = g_strndup((const char *)decoded, length);
    return TRUE;
}

json_t *iam_page_answer(const IamPage *page, const char *member, const GPtrArray *list,
                        json_t *(*item)(const Request *rq, gconstpointer row),
                        const char *(*name)(gconstpointer row), const Request *rq)
{
    gboolean more = list->len > page->limit;
    guint count = more ? (guint)page->limit : list->len;
    json_t *items = json_array();

    for (guint i = 0; i < count; i++)
        json_array_append_new(items, item(rq, list->pdata[i]));
    json_t *answer = json_pack("{s:o, s:b}", member, items, "IsTruncated", (int)more);
    if (more) {
        const char *last = name(list->pdata[count - 1]);
        g_autofree char *marker = g_base64_encode((const guchar *)last, strlen(last));
        json_object_set_new(answer, "Marker", json_string(marker));
    }
    return answer;
}
