#include "server/upgrade.h"
#include "base/errors.h"
#include "wire/ws.h"

#include <string.h>

#define TOKEN_CHARS "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

void upgrade_free(Upgrade *upgrade)
{
    if (!upgrade)
        return;
    g_free(upgrade->text);
    g_free(upgrade);
}

const char *upgrade_header(const Upgrade *upgrade, const char *name)
{
    for (gsize i = 0; i < upgrade->header_count; i++)
        if (g_ascii_strcasecmp(upgrade->headers[i].name, name) == 0)
            return upgrade->headers[i].value;
    return NULL;
}

/* Ends the line that begins at text and gives the next one; NULL when the text ends. */
static char *next_line(char *text)
{
    char *end = strchr(text, '\n');

    if (!end)
        return NULL;
    *end = '\0';
    if (end > text && end[-1] == '\r')
        end[-1] = '\0';
    return end + 1;
}

static gboolean parse_request_line(Upgrade *upgrade, char *line, GError **error)
{
    char *target = g_str_has_prefix(line, "GET ") ? line + strlen("GET ") : NULL;
    char *version = target ? strrchr(target, ' ') : NULL;

    if (!version || strcmp(version, " HTTP/1.1") != 0)
        return fail(error, MALFORMED_REQUEST, "the request is not a GET of HTTP/1.1");
    *version = '\0';
    if (*target != '/' || strpbrk(target, " \t\r"))
        return fail(error, MALFORMED_REQUEST, "the request's target is malformed");
    char *query = strchr(target, '?');
    if (query)
        *query++ = '\0';
    upgrade->path = target;
    upgrade->query = query ? query : "";
    return TRUE;
}

static gboolean parse_header(Upgrade *upgrade, char *line, GError **error)
{
    gsize name = strspn(line, TOKEN_CHARS);

    if (upgrade->header_count == UPGRADE_HEADERS_MAX)
        return fail(error, TOO_LARGE, "more than %d headers", UPGRADE_HEADERS_MAX);
    if (name == 0 || line[name] != ':')
        return fail(error, MALFORMED_REQUEST, "header %" G_GSIZE_FORMAT " is malformed",
                    upgrade->header_count + 1);
    line[name] = '\0';
    char *value = line + name + 1;
    value += strspn(value, " \t");
    for (gsize end = strlen(value); end > 0 && strchr(" \t", value[end - 1]); end--)
        value[end - 1] = '\0';
    upgrade->headers[upgrade->header_count++] = (SigV4Header){ .name = line, .value = value };
    return TRUE;
}

/* Whether a list of words by commas has this one. */
static gboolean has_word(const char *list, const char *word)
{
    gsize length = strlen(word);

    for (const char *p = list; p && *p;) {
        p += strspn(p, " \t,");
        if (g_ascii_strncasecmp(p, word, length) == 0 && strchr(" \t,", p[length]))
            return TRUE;
        p += strcspn(p, ",");
    }
    return FALSE;
}

static gboolean check_websocket(Upgrade *upgrade, GError **error)
{
    const char *version = upgrade_header(upgrade, "Sec-WebSocket-Version");
    const char *length = upgrade_header(upgrade, "Content-Length");

    if (!has_word(upgrade_header(upgrade, "Connection"), "upgrade") ||
        !has_word(upgrade_header(upgrade, "Upgrade"), "websocket"))
        return fail(error, MALFORMED_REQUEST, "the request does not ask for a WebSocket");
    if (g_strcmp0(version, "13") != 0)
        return fail(error, MALFORMED_REQUEST, "only version 13 of WebSocket is spoken here");
    if (upgrade_header(upgrade, "Transfer-Encoding") || (length && strcmp(length, "0") != 0))
        return fail(error, MALFORMED_REQUEST, "a request for a WebSocket has no body");
    upgrade->key = upgrade_header(upgrade, "Sec-WebSocket-Key");
    if (!upgrade->key || !ws_check_key(upgrade->key))
        return fail(error, MALFORMED_REQUEST, "Sec-WebSocket-Key is malformed");
    return TRUE;
}

/* Bytes up to and with the empty line; 0 when it has not come. */
static gsize header_length(const char *data, gsize length)
{
    for (gsize i = 0; i + 1 < length; i++) {
        if (data[i] != '\n')
            continue;
        if (data[i + 1] == '\n')
            return i + 2;
        if (i + 2 < length && data[i + 1] == '\r' && data[i + 2] == '\n')
            return i + 3;
    }
    return 0;
}

gboolean upgrade_parse(const char *data, gsize length, Upgrade **ret_upgrade, gsize *ret_used,
                       GError **error)
{
    gsize used = header_length(data, MIN(length, UPGRADE_BYTES_MAX));

    *ret_upgrade = NULL;
    if (!used && length >= UPGRADE_BYTES_MAX)
        return fail(error, TOO_LARGE, "headers of more than %d bytes", UPGRADE_BYTES_MAX);
    if (!used)
        return TRUE;
    if (memchr(data, '\0', used))
        return fail(error, MALFORMED_REQUEST, "the request holds a NUL");
    g_autoptr(Upgrade) upgrade = g_new0(Upgrade, 1);
    upgrade->text = g_strndup(data, used);
    char *line = upgrade->text, *next = next_line(line);
    if (!parse_request_line(upgrade, line, error))
        return FALSE;
    for (line = next; line && (next = next_line(line)) && *line; line = next)
        if (!parse_header(upgrade, line, error))
            return FALSE;
    if (!check_websocket(upgrade, error))
        return FALSE;
    *ret_used = used;
    *ret_upgrade = g_steal_pointer(&upgrade);
    return TRUE;
}
