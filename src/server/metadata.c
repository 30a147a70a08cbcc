#include "server/metadata.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "base/log.h"
#include "server/metadata_source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINK_LOCAL        "169.254.169.254"
#define THREADS           4
#define IDLE_SECONDS      30
#define CONNECTIONS_MAX   4096
#define PER_ADDRESS_MAX   64 /* one instance cannot take them all */
#define CONNECTION_MEMORY (16 * 1024)
#define LOOK_SECONDS      2

struct MetadataServer {
    const Config *config;
    MetadataSource *source;
    guint8 token_key[CRYPTO_KEY_SIZE];
    struct sockaddr_in address;
    const char *bridge; /* NULL: heard on every interface */
    guint bridge_index; /* at which the listener was opened */
    struct MHD_Daemon *daemon;
    pthread_t thread;
    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t wake;
    gboolean stopping;
};

static const char *reason_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = { { 400, "Bad Request" },        { 401, "Unauthorized" },
                    { 403, "Forbidden" },          { 404, "Not Found" },
                    { 405, "Method Not Allowed" }, { 503, "Service Unavailable" } };

    for (gsize i = 0; i < G_N_ELEMENTS(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Internal Server Error";
}

/* The answer may cross so many routers. It stays so for the connection: what is sent again of an
 * earlier answer goes with the value of a later one. */
static void set_hops(struct MHD_Connection *connection, int hops)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (info)
        setsockopt(info->connect_fd, IPPROTO_IP, IP_TTL, &hops, sizeof hops);
}

static enum MHD_Result respond(struct MHD_Connection *connection, int status, const char *body,
                               gsize length, int ttl_seconds)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, (void *)body, MHD_RESPMEM_MUST_COPY);
    char ttl[16];

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "text/plain");
    MHD_add_response_header(response, "Server", "EC2ws");
    g_snprintf(ttl, sizeof ttl, "%d", ttl_seconds);
    if (ttl_seconds)
        MHD_add_response_header(response, "X-aws-ec2-metadata-token-ttl-seconds", ttl);
    enum MHD_Result queued = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result respond_status(struct MHD_Connection *connection, int status)
{
    const char *text = reason_text(status);

    return respond(connection, status, text, strlen(text), 0);
}

/* Makes what the model only named. */
static char *make_text(MetadataServer *server, const MetadataFacts *facts, MetadataAnswer *answer,
                       gint64 now_us, GError **error)
{
    const Signer *signer = NULL;

    switch (answer->kind) {
    case METADATA_CREDENTIALS:
        return metadata_source_credentials(server->source, facts, now_us, error);
    case METADATA_SIGNATURE:
        signer = metadata_source_signer(server->source, error);
        return signer ? signer_sign(signer, answer->text, error) : NULL;
    case METADATA_PKCS7:
        signer = metadata_source_signer(server->source, error);
        return signer ? signer_cms(signer, answer->text, error) : NULL;
    default:
        return g_steal_pointer(&answer->text);
    }
}

static enum MHD_Result respond_answer(MetadataServer *server, struct MHD_Connection *connection,
                                      const MetadataFacts *facts, MetadataAnswer *answer,
                                      gint64 now_us)
{
    g_autoptr(GError) error = NULL;

    if (answer->status != 200)
        return respond_status(connection, answer->status);
    if (answer->token)
        set_hops(connection, facts->hop_limit);
    if (answer->kind == METADATA_USER_DATA)
        return respond(connection, 200, g_bytes_get_data(facts->user_data, NULL),
                       g_bytes_get_size(facts->user_data), 0);
    g_autofree char *text = make_text(server, facts, answer, now_us, &error);
    if (text)
        return respond(connection, 200, text, strlen(text), answer->ttl_seconds);
    log_line(LOG_WARN, facts->text[FACT_INSTANCE_ID], "metadata: %s", error->message);
    return respond_status(connection, error_is(error, ERROR_ACCESS_DENIED) ? 404 : 500);
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static gboolean peer_address(struct MHD_Connection *connection, char ret_text[INET_ADDRSTRLEN])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *peer = info ? info->client_addr : NULL;

    return peer && peer->sa_family == AF_INET &&
           inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, ret_text,
                     INET_ADDRSTRLEN);
}

static enum MHD_Result serve(MetadataServer *server, struct MHD_Connection *connection,
                             const char *method, const char *path)
{
    char address[INET_ADDRSTRLEN];
    guint8 nonce[METADATA_TOKEN_NONCE];
    gint64 now_us = clock_now_us();
    g_auto(MetadataAnswer) answer = { 0 };
    g_autoptr(GError) error = NULL;
    MetadataRequest request = {
        .method = method,
        .path = path,
        .host = header(connection, "Host"),
        .token = header(connection, "X-aws-ec2-metadata-token"),
        .ttl = header(connection, "X-aws-ec2-metadata-token-ttl-seconds"),
        .forwarded_for = header(connection, "X-Forwarded-For"),
    };

    if (!peer_address(connection, address))
        return MHD_NO;
    g_autoptr(MetadataCaller) caller =
        metadata_source_caller(server->source, address, now_us, &error);
    if (!caller) {
        log_line(LOG_WARN, "metadata", "%s: %s", address, error->message);
        return respond_status(connection, 503);
    }
    id_random(nonce, sizeof nonce);
    metadata_serve(&request, caller->facts, server->token_key, nonce, now_us, &answer);
    log_line(LOG_DEBUG, "metadata", "%s %s %s %d", address, method, path, answer.status);
    return respond_answer(server, connection, caller->facts, &answer, now_us);
}

/* A body has no meaning here; it is read to its end and forgotten. */
static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version G_GNUC_UNUSED,
                              const char *upload G_GNUC_UNUSED, size_t *upload_size, void **con_cls)
{
    static const char begun[] = "begun";

    if (!*con_cls) {
        *con_cls = (void *)begun;
        return MHD_YES;
    }
    if (*upload_size) {
        *upload_size = 0;
        return MHD_YES;
    }
    return serve(cls, connection, method, path);
}

/* The path is decoded by the model, once. */
static size_t keep_escapes(void *cls G_GNUC_UNUSED, struct MHD_Connection *connection G_GNUC_UNUSED,
                           char *text)
{
    return strlen(text);
}

/* -- the listener */

static int listener_open(const MetadataServer *server)
{
    const char *bridge = server->bridge;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if ((bridge && (setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on) < 0 ||
                    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, bridge, strlen(bridge) + 1) < 0)) ||
        bind(fd, (const struct sockaddr *)&server->address, sizeof server->address) < 0 ||
        listen(fd, SOMAXCONN) < 0) {
        int cause = errno;
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

static void log_library(void *cls G_GNUC_UNUSED, const char *format, va_list args)
{
    g_autofree char *line = g_strdup_vprintf(format, args);

    log_line(LOG_DEBUG, "metadata", "%s", g_strchomp(line));
}

/* FALSE with errno set. */
static gboolean listener_start(MetadataServer *server)
{
    int fd = listener_open(server);

    if (fd < 0)
        return FALSE;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, handle, server,
        MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)PER_ADDRESS_MAX, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_END);
    if (!server->daemon)
        close(fd);
    return server->daemon != NULL;
}

static void listener_stop(MetadataServer *server)
{
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
}

/* Opens the listener when it is not open, or when the bridge is another than it was. */
static void listener_look(MetadataServer *server, gboolean *told)
{
    guint index = server->bridge ? if_nametoindex(server->bridge) : 0;

    if (server->daemon && server->bridge_index == index)
        return;
    listener_stop(server);
    if (server->bridge && !index)
        return;
    if (listener_start(server)) {
        server->bridge_index = index;
        log_line(LOG_INFO, "metadata", "listening on %s port %u%s%s",
                 server->config->metadata_address, server->config->metadata_port,
                 server->bridge ? ", bridge " : "", server->bridge ? server->bridge : "");
        *told = FALSE;
    } else if (!*told) {
        log_line(LOG_WARN, "metadata", "cannot listen on %s port %u yet: %s",
                 server->config->metadata_address, server->config->metadata_port,
                 g_strerror(errno));
        *told = TRUE;
    }
}

static void *watch(void *arg)
{
    MetadataServer *server = arg;
    gboolean told = FALSE;

    pthread_mutex_lock(&server->lock);
    while (!server->stopping) {
        struct timespec until;
        pthread_mutex_unlock(&server->lock);
        listener_look(server, &told);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOOK_SECONDS;
        pthread_mutex_lock(&server->lock);
        while (!server->stopping &&
               pthread_cond_timedwait(&server->wake, &server->lock, &until) == 0)
            ;
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

MetadataServer *metadata_start(const HandlerContext *context, GError **error)
{
    const Config *config = context->config;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((guint16)config->metadata_port) };
    pthread_condattr_t monotonic;

    if (inet_pton(AF_INET, config->metadata_address, &address.sin_addr) != 1)
        return fail_null(error, CONFIG, "[metadata] address = \"%s\" is not an IPv4 address",
                         config->metadata_address);
    MetadataServer *server = g_new0(MetadataServer, 1);
    server->config = config;
    server->address = address;
    server->bridge = strcmp(config->metadata_address, LINK_LOCAL) == 0 ? config->bridge : NULL;
    server->source = metadata_source_new(context);
    metadata_token_key(context->master_key, server->token_key);
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&server->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_create(&server->thread, NULL, watch, server);
    return server;
}

void metadata_stop(MetadataServer *server)
{
    if (!server)
        return;
    pthread_mutex_lock(&server->lock);
    server->stopping = TRUE;
    pthread_cond_signal(&server->wake);
    pthread_mutex_unlock(&server->lock);
    pthread_join(server->thread, NULL);
    listener_stop(server);
    pthread_cond_destroy(&server->wake);
    pthread_mutex_destroy(&server->lock);
    metadata_source_free(server->source);
    explicit_bzero(server->token_key, CRYPTO_KEY_SIZE);
    g_free(server);
}
