#include "wire/canonical.h"

#include "base/crypto.h"
#include "wire/form.h"

#include <string.h>

guint canonical_header(const SigV4Request *request, const char *name, const char **ret_value)
{
    guint count = 0;

    for (gsize i = 0; i < request->header_count; i++) {
        if (g_ascii_strcasecmp(request->headers[i].name, name) != 0)
            continue;
        if (count++ == 0)
            *ret_value = request->headers[i].value;
    }
    return count;
}

/* A broken escape stands for itself: the signature will tell. */
static void append_decoded(GString *out, const char *text, gsize length)
{
    for (gsize i = 0; i < length; i++) {
        int high = text[i] == '%' && length - i > 2 ? g_ascii_xdigit_value(text[i + 1]) : -1;
        int low = high >= 0 ? g_ascii_xdigit_value(text[i + 2]) : -1;

        if (low >= 0) {
            g_string_append_c(out, (char)(high << 4 | low));
            i += 2;
        } else {
            g_string_append_c(out, text[i] == '+' ? ' ' : text[i]);
        }
    }
}

void canonical_query_each(const char *query, CanonicalParameter each, gpointer user)
{
    g_autoptr(GString) name = g_string_new(NULL);
    g_autoptr(GString) value = g_string_new(NULL);

    for (const char *at = query ? query : ""; *at;) {
        gsize length = strcspn(at, "&");
        const char *equals = memchr(at, '=', length);
        gsize name_length = equals ? (gsize)(equals - at) : length;

        if (length > 0) {
            g_string_truncate(name, 0);
            g_string_truncate(value, 0);
            append_decoded(name, at, name_length);
            if (equals)
                append_decoded(value, equals + 1, length - name_length - 1);
            each(name, value, user);
        }
        at += length + (at[length] == '&');
    }
}

static void collect_parameter(GString *name, GString *value, gpointer user)
{
    GString *pair;

    if (g_str_equal(name->str, "X-Amz-Signature"))
        return;
    pair = g_string_sized_new(name->len + value->len + 16);
    form_escape_bytes(pair, name->str, name->len);
    /* "=" would sort after "%" and "-", which may follow where another name is longer. */
    g_string_append_c(pair, '\x01');
    form_escape_bytes(pair, value->str, value->len);
    g_ptr_array_add(user, g_string_free(pair, FALSE));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void append_query(GString *out, const char *query)
{
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(g_free);

    if (!query || !*query)
        return;
    canonical_query_each(query, collect_parameter, pairs);
    if (pairs->len)
        qsort(pairs->pdata, pairs->len, sizeof(gpointer), by_text);
    for (guint i = 0; i < pairs->len; i++) {
        char *pair = pairs->pdata[i];
        *strchr(pair, '\x01') = '=';
        if (i)
            g_string_append_c(out, '&');
        g_string_append(out, pair);
    }
}

/* The path as received is percent-encoded once already and is encoded once more, as all services
 * but S3 want. */
static void append_path(GString *out, const char *path)
{
    gsize start = out->len;
    gboolean ends_in_slash = FALSE;

    while (*path) {
        gsize length = strcspn(path, "/");
        gboolean up = length == 2 && strncmp(path, "..", 2) == 0;
        gboolean here = length == 1 && *path == '.';

        if (up) {
            const char *last = strrchr(out->str + start, '/');
            g_string_truncate(out, last ? (gsize)(last - out->str) : start);
        } else if (length > 0 && !here) {
            g_string_append_c(out, '/');
            form_escape_bytes(out, path, length);
        }
        path += length;
        ends_in_slash = *path == '/';
        path += ends_in_slash;
    }
    if (ends_in_slash || out->len == start)
        g_string_append_c(out, '/');
}

/* Trimmed, with runs of spaces made one. */
static void append_trimmed(GString *out, const char *value)
{
    gboolean space = FALSE;

    for (value += strspn(value, " \t"); *value; value++) {
        if (*value == ' ' || *value == '\t') {
            space = TRUE;
            continue;
        }
        if (space)
            g_string_append_c(out, ' ');
        space = FALSE;
        g_string_append_c(out, *value);
    }
}

static gboolean append_header(GString *out, const SigV4Request *request, const char *name,
                              gsize length)
{
    gboolean found = FALSE;

    g_string_append_len(out, name, (gssize)length);
    g_string_append_c(out, ':');
    for (gsize i = 0; i < request->header_count; i++) {
        const SigV4Header *header = &request->headers[i];
        if (g_ascii_strncasecmp(header->name, name, length) != 0 || header->name[length])
            continue;
        if (found)
            g_string_append_c(out, ',');
        append_trimmed(out, header->value);
        found = TRUE;
    }
    g_string_append_c(out, '\n');
    return found;
}

static gboolean append_request(GString *out, const SigV4Request *request,
                               const char *signed_headers, const char *payload_hash)
{
    g_string_append(out, request->method);
    g_string_append_c(out, '\n');
    append_path(out, request->path);
    g_string_append_c(out, '\n');
    append_query(out, request->query);
    g_string_append_c(out, '\n');
    for (const char *name = signed_headers; *name;) {
        gsize length = strcspn(name, ";");
        if (!append_header(out, request, name, length))
            return FALSE;
        name += length + (name[length] == ';');
    }
    g_string_append_c(out, '\n');
    g_string_append(out, signed_headers);
    g_string_append_c(out, '\n');
    g_string_append(out, payload_hash);
    return TRUE;
}

gboolean canonical_signature(const SigV4Request *request, const char *signed_headers,
                             const char *payload_hash, const char *time_text, const char *date,
                             const char *region, const char *service,
                             const guint8 key[SIGV4_KEY_SIZE], char ret_hex[65])
{
    g_autoptr(GString) text = g_string_sized_new(1024);
    char hash[CRYPTO_SHA256_HEX_SIZE];
    guint8 mac[CRYPTO_SHA256_SIZE];

    if (!append_request(text, request, signed_headers, payload_hash))
        return FALSE;
    crypto_sha256_hex(text->str, text->len, hash);
    g_string_printf(text, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", time_text, date,
                    region, service, hash);
    crypto_hmac_sha256(key, SIGV4_KEY_SIZE, text->str, text->len, mac);
    crypto_hex(mac, sizeof mac, ret_hex);
    return TRUE;
}
