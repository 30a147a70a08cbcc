#include "drivers/http.h"
#include "base/clock.h"
#include "base/errors.h"

#include <poll.h>
#include <string.h>

#define DEFAULT_TIMEOUT_MS 30000
#define DEFAULT_MAX_BODY   (1024 * 1024)
#define PIECE_SIZE         8192
#define CANCEL_LOOK_MS     200

struct HttpClient {
    HttpUrl *url;
    StreamTls *tls;
    Stream *idle; /* the connection kept from the request before */
};

/* Where the body goes while an answer is read. */
typedef struct {
    const HttpRequest *request;
    HttpResponse *response;
} Exchange;

static gboolean url_host(HttpUrl *url, const char *text, GError **error)
{
    const char *end = text + strcspn(text, "/?#");
    g_autofree char *authority = g_strndup(text, (gsize)(end - text));
    char *close = authority[0] == '[' ? strchr(authority, ']') : NULL;
    char *colon = strchr(close ? close : authority, ':');
    guint64 port = url->address.kind == STREAM_TLS ? 443 : 80;

    if (colon && !g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &port, NULL))
        return fail(error, INVALID_PARAMETER, "the URL has a bad port");
    url->authority = g_strdup(authority);
    if (colon)
        *colon = '\0';
    if (close)
        *close = '\0';
    url->host = g_strdup(close ? authority + 1 : authority);
    for (const char *c = url->authority; *c; c++)
        if (!g_ascii_isgraph(*c) || *c == '@')
            return fail(error, INVALID_PARAMETER, "the URL has a bad host");
    if (!*url->host)
        return fail(error, INVALID_PARAMETER, "the URL has no host");
    url->target = *end == '/' ? g_strdup(end) : g_strconcat("/", *end == '?' ? end : NULL, NULL);
    url->address.host = url->host;
    url->address.port = (guint)port;
    return TRUE;
}

HttpUrl *http_url_parse(const char *text, GError **error)
{
    g_autoptr(HttpUrl) url = g_new0(HttpUrl, 1);
    gboolean good = TRUE;

    if (g_str_has_prefix(text, "unix://")) {
        url->address.kind = STREAM_UNIX;
        url->socket_path = g_strdup(text + strlen("unix://"));
        url->address.path = url->socket_path;
        url->authority = g_strdup("localhost");
        url->target = g_strdup("/");
    } else if (g_str_has_prefix(text, "https://")) {
        url->address.kind = STREAM_TLS;
        good = url_host(url, text + strlen("https://"), error);
    } else if (g_str_has_prefix(text, "http://")) {
        url->address.kind = STREAM_TCP;
        good = url_host(url, text + strlen("http://"), error);
    } else {
        good = fail(error, INVALID_PARAMETER, "the URL begins with none of http, https, unix");
    }
    if (good)
        return g_steal_pointer(&url);
    fail_prefix(error, "cannot use \"%s\"", text);
    return NULL;
}

void http_url_free(HttpUrl *url)
{
    if (!url)
        return;
    g_free(url->host);
    g_free(url->socket_path);
    g_free(url->authority);
    g_free(url->target);
    g_free(url);
}

void http_response_free(HttpResponse *response)
{
    if (!response)
        return;
    g_string_free(response->body, TRUE);
    http_parser_free(response->parser);
    g_free(response);
}

const char *http_response_header(const HttpResponse *response, const char *name)
{
    return http_parser_header(response->parser, name);
}

HttpClient *http_client_new(const char *url, const char *ca_file, GError **error)
{
    g_autoptr(HttpClient) client = g_new0(HttpClient, 1);

    client->url = http_url_parse(url, error);
    if (!client->url)
        return NULL;
    if (client->url->address.kind == STREAM_TLS && !(client->tls = stream_tls_new(ca_file, error)))
        return NULL;
    return g_steal_pointer(&client);
}

void http_client_free(HttpClient *client)
{
    if (!client)
        return;
    http_client_rest(client);
    stream_tls_free(client->tls);
    http_url_free(client->url);
    g_free(client);
}

const char *http_client_authority(const HttpClient *client)
{
    return client->url->authority;
}

StreamTls *http_client_tls(const HttpClient *client)
{
    return client->tls;
}

void http_client_rest(HttpClient *client)
{
    g_clear_pointer(&client->idle, stream_free);
}

static gboolean is_one_line(const char *text)
{
    return strpbrk(text, "\r\n") == NULL;
}

GString *http_request_bytes(const HttpRequest *request, const char *authority, GError **error)
{
    g_autoptr(GString) bytes = g_string_new(NULL);

    if (!is_one_line(request->target) || strchr(request->target, ' '))
        return fail_null(error, INVALID_PARAMETER, "the path of the request cannot be sent");
    g_string_append_printf(bytes, "%s %s HTTP/1.1\r\nHost: %s\r\n", request->method,
                           request->target, authority);
    for (const char *const *h = request->headers; h && *h; h += 2) {
        if (!is_one_line(h[0]) || !is_one_line(h[1]))
            return fail_null(error, INVALID_PARAMETER, "header \"%.40s\" cannot be sent", h[0]);
        g_string_append_printf(bytes, "%s: %s\r\n", h[0], h[1]);
    }
    if (request->body || strcmp(request->method, "POST") == 0 ||
        strcmp(request->method, "PUT") == 0)
        g_string_append_printf(bytes, "Content-Length: %" G_GSIZE_FORMAT "\r\n",
                               request->body_length);
    g_string_append(bytes, "\r\n");
    if (request->body)
        g_string_append_len(bytes, request->body, (gssize)request->body_length);
    return g_steal_pointer(&bytes);
}

static gboolean take_body(const char *data, gsize length, gpointer user, GError **error)
{
    Exchange *x = user;
    gsize limit = x->request->max_body ? x->request->max_body : DEFAULT_MAX_BODY;

    if (x->request->sink && http_parser_status(x->response->parser) / 100 == 2)
        return x->request->sink(data, length, x->request->user, error);
    if (x->response->body->len + length > limit)
        return fail(error, TOO_LARGE, "the answer is longer than %" G_GSIZE_FORMAT " bytes", limit);
    g_string_append_len(x->response->body, data, (gssize)length);
    return TRUE;
}

/* When the exchange must be over that began at began_ms, or, with an idle timeout, when its next
 * byte must be there. */
static gint64 request_deadline(const HttpRequest *request, gint64 began_ms)
{
    gint64 now_ms = clock_mono_ms();
    gint64 idle_ms = request->idle_timeout_ms ? now_ms + request->idle_timeout_ms : G_MAXINT64;
    guint whole_ms =
        request->timeout_ms || request->idle_timeout_ms ? request->timeout_ms : DEFAULT_TIMEOUT_MS;

    return MIN(idle_ms, whole_ms ? began_ms + whole_ms : G_MAXINT64);
}

/* As stream_read, and looks every now and then whether the exchange was cancelled. */
static gssize read_piece(Stream *stream, const HttpRequest *request, char *piece, gsize size,
                         gint64 deadline_ms, GError **error)
{
    if (!request->cancelled)
        return stream_read(stream, piece, size, deadline_ms, error);
    while (!g_atomic_int_get(request->cancelled)) {
        gssize count = stream_read_now(stream, piece, size, error);
        gint64 left_ms = deadline_ms - clock_mono_ms();
        if (count != STREAM_AGAIN)
            return count;
        if (left_ms <= 0) {
            fail(error, HTTP_CLIENT, "timed out");
            return -1;
        }
        struct pollfd p = { .fd = stream_fd(stream), .events = stream_wants(stream) };
        poll(&p, 1, (int)MIN(left_ms, CANCEL_LOOK_MS));
    }
    fail(error, GAVE_UP, "cancelled");
    return -1;
}

static gboolean read_answer(Stream *stream, const HttpRequest *request, HttpParser *parser,
                            gint64 began_ms, GError **error)
{
    char piece[PIECE_SIZE];

    while (!http_parser_is_done(parser)) {
        gssize count = read_piece(stream, request, piece, sizeof piece,
                                  request_deadline(request, began_ms), error);
        if (count < 0)
            return FALSE;
        if (count == 0)
            return http_parser_end(parser, error);
        if (http_parser_feed(parser, piece, (gsize)count, error) < 0)
            return FALSE;
    }
    return TRUE;
}

/* The kept connection when it is still good, else a new one. */
static Stream *client_connect(HttpClient *client, gint64 deadline_ms, GError **error)
{
    g_autoptr(Stream) idle = g_steal_pointer(&client->idle);

    if (idle && stream_is_quiet(idle))
        return g_steal_pointer(&idle);
    return stream_open(&client->url->address, client->tls, deadline_ms, error);
}

HttpResponse *http_client_send(HttpClient *client, const HttpRequest *request, GError **error)
{
    g_autoptr(HttpResponse) response = g_new0(HttpResponse, 1);
    Exchange exchange = { request, response };
    gint64 began_ms = clock_mono_ms();
    gint64 deadline_ms = request_deadline(request, began_ms);

    response->body = g_string_new(NULL);
    response->parser = http_parser_new(strcmp(request->method, "HEAD") == 0, take_body, &exchange);
    g_autoptr(GString) bytes = http_request_bytes(request, client->url->authority, error);
    if (!bytes)
        return NULL;
    g_autoptr(Stream) stream = client_connect(client, deadline_ms, error);
    if (!stream || !stream_write(stream, bytes->str, bytes->len, deadline_ms, error) ||
        !read_answer(stream, request, response->parser, began_ms, error)) {
        fail_prefix(error, "%s %s", request->method, client->url->authority);
        return NULL;
    }
    response->status = http_parser_status(response->parser);
    if (http_parser_keeps(response->parser))
        client->idle = g_steal_pointer(&stream);
    return g_steal_pointer(&response);
}
