#include "handlers/ec2_page.h"
#include "base/errors.h"

#include <string.h>

#define MAC_SIZE 16

void ec2_page_clear(Ec2Page *page)
{
    g_clear_pointer(&page->after, g_free);
}

static void token_mac(const Request *rq, const char *what, const char *after,
                      guint8 ret_mac[CRYPTO_SHA256_SIZE])
{
    json_auto_t *query = json_copy((json_t *)rq->params);

    json_object_del(query, "NextToken");
    json_object_del(query, "MaxResults");
    char *text = json_dumps(query, JSON_COMPACT | JSON_SORT_KEYS);
    g_autofree char *all = g_strjoin("\n", what, rq->account_id, after, text, NULL);
    free(text);
    crypto_hmac_sha256(rq->context->master_key, CRYPTO_KEY_SIZE, all, strlen(all), ret_mac);
}

static gboolean token_read(const Request *rq, const char *token, Ec2Page *page)
{
    guint8 mac[CRYPTO_SHA256_SIZE];
    gsize length = 0;
    g_autofree guint8 *data = g_base64_decode(token, &length);

    if (!data || length <= MAC_SIZE || memchr(data + MAC_SIZE, '\0', length - MAC_SIZE))
        return FALSE;
    g_autofree char *after = g_strndup((const char *)data + MAC_SIZE, length - MAC_SIZE);
    token_mac(rq, page->what, after, mac);
    if (!crypto_equal(mac, data, MAC_SIZE))
        return FALSE;
    page->after = g_steal_pointer(&after);
    return TRUE;
}

gboolean ec2_page_open(const Request *rq, const char *what, gint minimum, gint maximum,
                       Ec2Page *ret_page, GError **error)
{
    const char *token = request_text(rq, "NextToken");
    gint64 limit = request_int(rq, "MaxResults", 0);
    gboolean limited = request_member(rq, "MaxResults") != NULL;

    *ret_page = (Ec2Page){ .what = what, .limit = limited ? (guint)limit : EC2_PAGE_ALL };
    if (limited && (limit < minimum || limit > maximum))
        return fail(error, INVALID_PARAMETER,
                    "Value ( %" G_GINT64_FORMAT " ) for parameter maxResults is invalid."
                    " Expecting a value between %d and %d.",
                    limit, minimum, maximum);
    if (token && *token && !token_read(rq, token, ret_page))
        return fail(error, INVALID_NEXT_TOKEN, "The token '%s' is invalid", token);
    return TRUE;
}

void ec2_page_continue(const Request *rq, const Ec2Page *page, const char *after, json_t *answer)
{
    guint8 mac[CRYPTO_SHA256_SIZE];
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    token_mac(rq, page->what, after, mac);
    g_byte_array_append(bytes, mac, MAC_SIZE);
    g_byte_array_append(bytes, (const guint8 *)after, (guint)strlen(after));
    g_autofree char *token = g_base64_encode(bytes->data, bytes->len);
    json_object_set_new(answer, "NextToken", json_string(token));
}

json_t *ec2_page_answer(const Request *rq, const Ec2Page *page, const char *member, json_t *items,
                        GError **error)
{
    json_auto_t *all = items;
    guint64 from = 0;

    if (page->after && !g_ascii_string_to_unsigned(page->after, 10, 0, G_MAXUINT, &from, NULL))
        return fail_null(error, INVALID_NEXT_TOKEN, "The token '%s' is invalid", page->after);
    json_t *part = json_array();
    gsize size = json_array_size(all), until = MIN(size, from + page->limit);
    for (gsize n = from; n < until; n++)
        json_array_append(part, json_array_get(all, n));
    json_t *answer = json_object();
    json_object_set_new(answer, member, part);
    if (until < size) {
        g_autofree char *after = g_strdup_printf("%zu", until);
        ec2_page_continue(rq, page, after, answer);
    }
    return answer;
}
