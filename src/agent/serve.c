#include "agent/serve.h"
#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX        8192
#define BODY_MAX        8192
#define CONNECTIONS_MAX 64
#define TIMEOUT_MS      5000
#define RETRY_MS        5000
#define RATE_PER_S      40.0
#define RATE_BURST      60.0
#define BACKLOG         128

typedef struct {
    Serve *serve;
    guint64 id;
    int fd;
    LoopTimer timer;
    GString *in;
    GString *out; /* NULL until it is answered */
    gsize sent;
    gboolean handled;
    char peer[INET_ADDRSTRLEN];
    gboolean from_here;
} Connection;

struct Serve {
    Loop *loop;
    char *address;
    guint port;
    gboolean limited;
    ServeHandler handler;
    gpointer user;
    int fd;
    LoopTimer retry;
    GHashTable *connections; /* id -> Connection */
    guint64 last_id;
    double tokens;
    gint64 tokens_ms;
};

static void on_acceptable(gpointer user);

static void watch_listener(Serve *serve)
{
    gboolean full = g_hash_table_size(serve->connections) >= CONNECTIONS_MAX;

    loop_watch(serve->loop, serve->fd, full ? 0 : POLLIN, on_acceptable, serve);
}

static void connection_free(gpointer data)
{
    Connection *c = data;

    loop_watch(c->serve->loop, c->fd, 0, NULL, NULL);
    loop_timer_stop(c->serve->loop, &c->timer);
    close(c->fd);
    g_string_free(c->in, TRUE);
    if (c->out)
        g_string_free(c->out, TRUE);
    g_free(c);
}

static void connection_drop(gpointer user)
{
    Connection *c = user;
    Serve *serve = c->serve;

    g_hash_table_remove(serve->connections, &c->id);
    watch_listener(serve);
}

/* -- answers */

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } names[] = { { 200, "OK" },
                  { 400, "Bad Request" },
                  { 403, "Forbidden" },
                  { 404, "Not Found" },
                  { 405, "Method Not Allowed" },
                  { 413, "Content Too Large" },
                  { 429, "Too Many Requests" },
                  { 503, "Service Unavailable" },
                  { 504, "Gateway Timeout" } };

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        if (names[i].status == status)
            return names[i].text;
    return "Internal Server Error";
}

static void on_writable(gpointer user)
{
    Connection *c = user;
    gssize count = send(c->fd, c->out->str + c->sent, c->out->len - c->sent, MSG_NOSIGNAL);

    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count > 0)
        c->sent += (gsize)count;
    if (count < 0 || c->sent == c->out->len)
        connection_drop(c);
}

void serve_answer(Serve *serve, guint64 id, int status, json_t *body)
{
    Connection *c = g_hash_table_lookup(serve->connections, &id);

    if (c && !c->out) {
        char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        const char *content = text ? text : "null";
        c->out = g_string_new(NULL);
        g_string_printf(c->out,
                        "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
                        "Content-Length: %" G_GSIZE_FORMAT "\r\nConnection: close\r\n\r\n%s",
                        status, status_text(status), strlen(content), content);
        free(text);
        loop_timer_set(serve->loop, &c->timer, clock_mono_ms() + TIMEOUT_MS);
        loop_watch(serve->loop, c->fd, POLLOUT, on_writable, c);
    }
    json_decref(body);
}

/* -- requests */

/* Whether a request may be served now; else it was one too many. */
static gboolean take_token(Serve *serve)
{
    gint64 now_ms = clock_mono_ms();

    serve->tokens += (double)(now_ms - serve->tokens_ms) / 1000 * RATE_PER_S;
    serve->tokens = MIN(serve->tokens, RATE_BURST);
    serve->tokens_ms = now_ms;
    if (serve->tokens < 1)
        return FALSE;
    serve->tokens--;
    return TRUE;
}

/* The parts of a path, decoded; NULL when one cannot be. */
static char **split_path(const char *path, guint *ret_parts)
{
    g_auto(GStrv) raw = g_strsplit(path, "/", 16);
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);

    for (char **part = raw; *part; part++) {
        if (!**part)
            continue;
        char *text = g_uri_unescape_string(*part, NULL);
        if (!text)
            return NULL;
        g_ptr_array_add(parts, text);
    }
    *ret_parts = parts->len;
    g_ptr_array_add(parts, NULL);
    g_ptr_array_set_free_func(parts, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&parts), FALSE);
}

char *serve_query(const ServeRequest *request, const char *name)
{
    g_auto(GStrv) pairs = g_strsplit(request->query, "&", 16);
    gsize length = strlen(name);

    for (char **pair = pairs; *pair; pair++)
        if (strncmp(*pair, name, length) == 0 && (*pair)[length] == '=')
            return g_uri_unescape_string(*pair + length + 1, NULL);
    return NULL;
}

/* Hands the request line "GET /path?query HTTP/1.1" and the body to the handler. */
static void dispatch(Connection *c, const char *line, const char *body, gsize length)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 4);
    guint parts = 0;

    c->handled = TRUE;
    loop_watch(c->serve->loop, c->fd, 0, NULL, NULL);
    if (g_strv_length(words) != 3 || words[1][0] != '/' || !g_str_has_prefix(words[2], "HTTP/1.")) {
        serve_answer(c->serve, c->id, 400, json_string("this is no HTTP request"));
        return;
    }
    if (c->serve->limited && !take_token(c->serve)) {
        serve_answer(c->serve, c->id, 429, json_string("too many requests"));
        return;
    }
    char *mark = strchr(words[1], '?');
    if (mark)
        *mark = '\0';
    g_auto(GStrv) path = split_path(words[1], &parts);
    if (!path) {
        serve_answer(c->serve, c->id, 400, json_string("the path cannot be read"));
        return;
    }
    const ServeRequest request = { .id = c->id,
                                   .method = words[0],
                                   .path = path,
                                   .parts = parts,
                                   .query = mark ? mark + 1 : "",
                                   .body = body,
                                   .body_length = length,
                                   .peer = c->peer,
                                   .from_here = c->from_here };
    c->serve->handler(c->serve->user, &request);
}

/* Content-Length of a head, 0 without one; FALSE when it is none, or another framing is used. */
static gboolean body_length(char **lines, gsize *ret_length)
{
    *ret_length = 0;
    for (char **line = lines; *line; line++) {
        char *colon = strchr(*line, ':');
        if (!colon)
            continue;
        g_autofree char *name = g_strndup(*line, (gsize)(colon - *line));
        g_autofree char *value = g_strstrip(g_strdup(colon + 1));
        guint64 number = 0;
        if (g_ascii_strcasecmp(name, "Transfer-Encoding") == 0)
            return FALSE;
        if (g_ascii_strcasecmp(name, "Content-Length") != 0)
            continue;
        if (!g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT32, &number, NULL))
            return FALSE;
        *ret_length = (gsize)number;
    }
    return TRUE;
}

/* Serves the request once it is whole. */
static void consider(Connection *c)
{
    char *end = strstr(c->in->str, "\r\n\r\n");
    gsize length = 0;

    if (!end) {
        if (c->in->len >= HEAD_MAX)
            serve_answer(c->serve, c->id, 413, json_string("the head is too long"));
        return;
    }
    gsize head = (gsize)(end - c->in->str);
    g_autofree char *text = g_strndup(c->in->str, head);
    g_auto(GStrv) lines = g_strsplit(text, "\r\n", -1);
    if (!body_length(lines + 1, &length))
        serve_answer(c->serve, c->id, 400, json_string("the body's length is not told"));
    else if (length > BODY_MAX)
        serve_answer(c->serve, c->id, 413, json_string("the body is too long"));
    else if (c->in->len >= head + 4 + length)
        dispatch(c, lines[0], c->in->str + head + 4, length);
}

static void on_readable(gpointer user)
{
    Connection *c = user;
    char piece[4096];
    gssize count = recv(c->fd, piece, sizeof piece, 0);

    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        connection_drop(c);
        return;
    }
    g_string_append_len(c->in, piece, count);
    consider(c);
}

/* -- connections */

/* A caller with the address it calls, or a loopback one, is on this machine. */
static gboolean is_from_here(int fd, const struct sockaddr_in *peer)
{
    struct sockaddr_in own = { 0 };
    socklen_t size = sizeof own;

    if (ntohl(peer->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
        return TRUE;
    return getsockname(fd, (struct sockaddr *)&own, &size) == 0 &&
           own.sin_addr.s_addr == peer->sin_addr.s_addr;
}

static void on_acceptable(gpointer user)
{
    Serve *serve = user;
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    int fd = accept4(serve->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    Connection *c = g_new0(Connection, 1);
    c->serve = serve;
    c->id = ++serve->last_id;
    c->fd = fd;
    c->in = g_string_new(NULL);
    c->from_here = is_from_here(fd, &peer);
    inet_ntop(AF_INET, &peer.sin_addr, c->peer, sizeof c->peer);
    loop_timer_init(&c->timer, connection_drop, c);
    loop_timer_set(serve->loop, &c->timer, clock_mono_ms() + TIMEOUT_MS);
    g_hash_table_insert(serve->connections, &c->id, c);
    loop_watch(serve->loop, fd, POLLIN, on_readable, c);
    watch_listener(serve);
}

static int open_listener(const char *address, guint port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((guint16)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0)
        return -1;
    inet_pton(AF_INET, address, &at.sin_addr);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

static void start(gpointer user)
{
    Serve *serve = user;

    serve->fd = open_listener(serve->address, serve->port);
    if (serve->fd >= 0) {
        watch_listener(serve);
        return;
    }
    log_error("-", "cannot listen on %s:%u: %s", serve->address, serve->port, g_strerror(errno));
    loop_timer_set(serve->loop, &serve->retry, clock_mono_ms() + RETRY_MS);
}

Serve *serve_new(Loop *loop, const char *address, guint port, gboolean limited,
                 ServeHandler handler, gpointer user)
{
    Serve *serve = g_new0(Serve, 1);

    *serve = (Serve){ .loop = loop,
                      .address = g_strdup(address),
                      .port = port,
                      .limited = limited,
                      .handler = handler,
                      .user = user,
                      .tokens = RATE_BURST,
                      .tokens_ms = clock_mono_ms() };
    serve->connections = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, connection_free);
    loop_timer_init(&serve->retry, start, serve);
    start(serve);
    return serve;
}
