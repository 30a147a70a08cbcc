#include "server/http.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "base/log.h"
#include "server/http_deadline.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISCARD_MAX       (8 * HTTP_BODY_MAX)
#define TOO_LARGE         "the request is larger than 1 MiB\n"
#define IDLE_SECONDS      75
#define REQUEST_MS        30000                        /* for a handshake, or a request */
#define ANSWER_MS         60000                        /* for the peer to take it */
#define PAUSE_MS          (IDLE_SECONDS * 1000 + 5000) /* until the next has begun */
#define CONNECTION_MEMORY (40 * 1024)
#define CONNECTIONS_MAX   8192
#define PER_ADDRESS_MAX   1024
#define STOP_DEADLINE_MS  10000
#define TLS_PRIORITIES    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct HttpServer {
    const Api *api;
    struct MHD_Daemon *daemon;
    HttpDeadlines *deadlines;
    char *certificate;
    char *key;
    gint active; /* atomic: requests begun and not yet answered */
};

/* One request, from its first line to the end of its answer. */
typedef struct {
    char *uri; /* raw, with its query string */
    GString *body;
    gboolean begun;   /* counted as active */
    gboolean refused; /* too large: its body is read and thrown away, so that the peer hears why */
    gsize received;
} HttpCall;

static HttpPeer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

static void *call_new(void *cls G_GNUC_UNUSED, const char *uri, struct MHD_Connection *connection)
{
    HttpCall *call = g_new0(HttpCall, 1);

    http_peer_expect(peer_of(connection), REQUEST_MS);
    call->uri = g_strdup(uri);
    return call;
}

static void call_done(void *cls, struct MHD_Connection *connection, void **con_cls,
                      enum MHD_RequestTerminationCode how G_GNUC_UNUSED)
{
    HttpServer *server = cls;
    HttpCall *call = *con_cls;

    *con_cls = NULL;
    http_peer_expect(peer_of(connection), PAUSE_MS);
    if (!call)
        return;
    if (call->begun)
        g_atomic_int_add(&server->active, -1);
    if (call->body)
        g_string_free(call->body, TRUE);
    g_free(call->uri);
    g_free(call);
}

/* Takes body, which g_malloc made. */
static enum MHD_Result respond(struct MHD_Connection *connection, int status, char *body,
                               gsize length, const char *content_type, const char *request_id,
                               const char *error_type)
{
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(
        length, body, (MHD_ContentReaderFreeCallback)g_free);

    http_peer_expect(peer_of(connection), ANSWER_MS);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", content_type);
    MHD_add_response_header(response, "x-amzn-RequestId", request_id);
    if (error_type)
        MHD_add_response_header(response, "x-amzn-ErrorType", error_type);
    enum MHD_Result queued = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result respond_text(struct MHD_Connection *connection, int status, const char *text)
{
    g_autofree char *id = id_uuid();

    return respond(connection, status, g_strdup(text), strlen(text), "text/plain", id, NULL);
}

typedef struct {
    SigV4Header *rows;
    gsize count, size;
} HeaderList;

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind G_GNUC_UNUSED,
                                   const char *name, const char *value)
{
    HeaderList *list = cls;

    if (list->count < list->size)
        list->rows[list->count++] = (SigV4Header){ .name = name, .value = value ? value : "" };
    return MHD_YES;
}

static void peer_name(struct MHD_Connection *connection, char ret_name[INET6_ADDRSTRLEN])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *peer = info ? info->client_addr : NULL;

    g_strlcpy(ret_name, "-", INET6_ADDRSTRLEN);
    if (peer && peer->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, ret_name,
                  INET6_ADDRSTRLEN);
    else if (peer && peer->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, ret_name,
                  INET6_ADDRSTRLEN);
}

static enum MHD_Result serve(HttpServer *server, struct MHD_Connection *connection, HttpCall *call,
                             const char *method)
{
    int headers = MHD_get_connection_values(connection, MHD_HEADER_KIND, NULL, NULL);
    g_autofree SigV4Header *rows = g_new(SigV4Header, MAX(headers, 1));
    HeaderList list = { .rows = rows, .size = (gsize)MAX(headers, 0) };
    char peer[INET6_ADDRSTRLEN];
    g_autofree char *request_id = id_uuid();
    char *query = strchr(call->uri, '?');
    ApiAnswer answer;

    http_peer_expect(peer_of(connection), 0);
    MHD_get_connection_values(connection, MHD_HEADER_KIND, take_header, &list);
    peer_name(connection, peer);
    if (query)
        *query++ = '\0';
    ApiCall api_request = {
        .http = { .method = method,
                  .path = call->uri,
                  .query = query,
                  .headers = list.rows,
                  .header_count = list.count,
                  .body = call->body ? call->body->str : "",
                  .body_length = call->body ? call->body->len : 0,
                  .secure = TRUE },
        .request_id = request_id,
        .client_address = peer,
    };
    api_call(server->api, &api_request, &answer);
    return respond(connection, answer.status, answer.body, answer.length, answer.content_type,
                   request_id, answer.json ? answer.code : NULL);
}

/* A request with nothing in it: a load balancer's probe. */
static gboolean is_probe(struct MHD_Connection *connection, const HttpCall *call)
{
    return !strchr(call->uri, '?') &&
           !MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
}

/* The first call for a request, when its headers have come. */
static enum MHD_Result begin(HttpServer *server, struct MHD_Connection *connection, HttpCall *call,
                             const char *method)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");

    call->begun = TRUE;
    g_atomic_int_inc(&server->active);
    call->refused = length && g_ascii_strtoull(length, NULL, 10) > HTTP_BODY_MAX;
    /* Somebody before us might have read it to another end. */
    if (length && MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Transfer-Encoding"))
        return respond_text(connection, 400, "a body has a length, or comes in chunks\n");
    if (length && g_ascii_strtoull(length, NULL, 10) > DISCARD_MAX)
        return respond_text(connection, 413, TOO_LARGE);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "POST") != 0)
        return respond_text(connection, 405, "only POST, GET and HEAD are served\n");
    return MHD_YES;
}

static enum MHD_Result take_body(HttpCall *call, const char *data, size_t *size)
{
    call->received += *size;
    if (call->received > DISCARD_MAX)
        return MHD_NO;
    call->refused |= call->received > HTTP_BODY_MAX;
    if (!call->body)
        call->body = g_string_sized_new(*size);
    if (!call->refused)
        g_string_append_len(call->body, data, (gssize)*size);
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection,
                              const char *url G_GNUC_UNUSED, const char *method,
                              const char *version G_GNUC_UNUSED, const char *upload,
                              size_t *upload_size, void **con_cls)
{
    HttpServer *server = cls;
    HttpCall *call = *con_cls;

    if (!call->begun)
        return begin(server, connection, call, method);
    if (*upload_size > 0)
        return take_body(call, upload, upload_size);
    if (call->refused)
        return respond_text(connection, 413, TOO_LARGE);
    if (strcmp(method, "POST") != 0 && is_probe(connection, call))
        return respond_text(connection, 200, "berth\n");
    return serve(server, connection, call, method);
}

static void log_library(void *cls G_GNUC_UNUSED, const char *format, va_list args)
{
    g_autofree char *line = g_strdup_vprintf(format, args);

    log_line(LOG_DEBUG, "http", "%s", g_strchomp(line));
}

static void connection_changed(void *cls, struct MHD_Connection *connection, void **socket_context,
                               enum MHD_ConnectionNotificationCode what)
{
    HttpServer *server = cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    int on = 1;

    if (what == MHD_CONNECTION_NOTIFY_STARTED && info) {
        setsockopt(info->connect_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        *socket_context = http_peer_new(server->deadlines, info->connect_fd);
        http_peer_expect(*socket_context, REQUEST_MS);
    } else if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        http_peer_free(g_steal_pointer(socket_context));
    }
}

static gboolean listen_address(const Config *config, struct sockaddr_in *ret, GError **error)
{
    *ret = (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons((guint16)config->listen_port) };
    if (inet_pton(AF_INET, config->listen_address, &ret->sin_addr) != 1)
        return fail(error, CONFIG, "[api] listen_address = \"%s\" is not an IPv4 address",
                    config->listen_address);
    return TRUE;
}

static gboolean read_pem(const char *file, char **ret_text, GError **error)
{
    g_autoptr(GError) cause = NULL;

    if (!g_file_get_contents(file, ret_text, NULL, &cause))
        return fail(error, CONFIG, "cannot read \"%s\": %s", file, cause->message);
    return TRUE;
}

static struct MHD_Daemon *daemon_start(HttpServer *server, const Config *config,
                                       const struct sockaddr_in *address)
{
    return MHD_start_daemon(
        MHD_USE_TLS | MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, handle,
        server, MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL, MHD_OPTION_SOCK_ADDR, address,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_HTTPS_MEM_CERT, server->certificate,
        MHD_OPTION_HTTPS_MEM_KEY, server->key, MHD_OPTION_HTTPS_PRIORITIES, TLS_PRIORITIES,
        MHD_OPTION_THREAD_POOL_SIZE, config->api_threads, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)PER_ADDRESS_MAX, MHD_OPTION_URI_LOG_CALLBACK, call_new, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, call_done, server, MHD_OPTION_NOTIFY_CONNECTION,
        connection_changed, server, MHD_OPTION_END);
}

HttpServer *http_start(const Config *config, const char *cert_file, const char *key_file,
                       const Api *api, GError **error)
{
    g_autoptr(HttpServer) server = g_new0(HttpServer, 1);
    struct sockaddr_in address;

    server->api = api;
    if (!listen_address(config, &address, error) ||
        !read_pem(cert_file, &server->certificate, error) ||
        !read_pem(key_file, &server->key, error))
        return NULL;
    server->deadlines = http_deadlines_new();
    errno = 0;
    server->daemon = daemon_start(server, config, &address);
    if (!server->daemon)
        return fail_null(error, CONFIG, "cannot listen on %s port %u with \"%s\": %s",
                         config->listen_address, config->listen_port, cert_file,
                         errno ? g_strerror(errno) : "certificate and key do not fit");
    return g_steal_pointer(&server);
}

void http_stop(HttpServer *server)
{
    if (!server)
        return;
    if (server->daemon) {
        gint64 until = clock_mono_ms() + STOP_DEADLINE_MS;
        int listener = MHD_quiesce_daemon(server->daemon);
        if (listener >= 0)
            close(listener);
        while (g_atomic_int_get(&server->active) > 0 && clock_mono_ms() < until)
            g_usleep(5000);
        MHD_stop_daemon(server->daemon);
    }
    http_deadlines_free(server->deadlines);
    g_free(server->certificate);
    if (server->key)
        explicit_bzero(server->key, strlen(server->key));
    g_free(server->key);
    g_free(server);
}
