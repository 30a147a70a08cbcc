#include "server/channels.h"
#include "base/errors.h"
#include "base/log.h"
#include "server/channel_loop.h"
#include "server/channel_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS         4
#define BACKLOG         4096 /* all agents at once; the kernel's own bound is net.core.somaxconn */
#define LISTEN_WAIT_MS  100
#define LISTEN_AGAIN_US 1000000
/* TLS 1.3; the first is the cheapest, and must be there (RFC 8446 section 9.1). */
#define CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

struct Channels {
    ChannelLoop loop;
    pthread_t loop_thread;
    pthread_t listen_thread;
    gboolean running;
};

/* -- wakes from the database */

static void take_wakes(Channels *channels, char **payloads)
{
    for (char **payload = payloads; *payload; payload++)
        if (g_str_has_prefix(*payload, "channel:"))
            session_wake(channels->loop.jobs,
                         g_ascii_strtoll(*payload + strlen("channel:"), NULL, 10));
}

/* Until the session breaks or it is time to end. */
static void listen_on(Channels *channels, DbListener *listener)
{
    while (!g_atomic_int_get(&channels->loop.stopping)) {
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) payloads = db_listener_wait(listener, LISTEN_WAIT_MS, &error);
        if (!payloads) {
            log_line(LOG_WARN, "channel", "%s", error->message);
            return;
        }
        take_wakes(channels, payloads);
    }
}

static void *listen_main(void *arg)
{
    Channels *channels = arg;
    const ChannelWorld *world = channels->loop.world;

    while (!g_atomic_int_get(&channels->loop.stopping)) {
        g_autoptr(GError) error = NULL;
        DbListener *listener =
            db_listen(world->config->region_dsn, "berth_api", "berth_wake", &error);
        if (listener) {
            session_wake(channels->loop.jobs, 0); /* wakes were lost until now */
            listen_on(channels, listener);
        } else {
            log_line(LOG_WARN, "channel", "%s", error->message);
            g_usleep(LISTEN_AGAIN_US);
        }
        db_listener_free(listener);
    }
    return NULL;
}

static void *loop_main(void *arg)
{
    Channels *channels = arg;

    loop_run(&channels->loop);
    return NULL;
}

/* -- set-up */

static gboolean tls_failed(const char *file, GError **error)
{
    char cause[256];

    ERR_error_string_n(ERR_get_error(), cause, sizeof cause);
    return fail(error, CONFIG, "cannot use \"%s\" for the channels' TLS: %s", file, cause);
}

static gboolean use_certificate(ChannelLoop *loop, const char *name, gboolean needed,
                                GError **error)
{
    const char *state_dir = loop->world->config->state_dir;
    g_autofree char *cert_name = g_strconcat(name, ".crt", NULL);
    g_autofree char *key_name = g_strconcat(name, ".key", NULL);
    g_autofree char *cert = g_build_filename(state_dir, "tls", cert_name, NULL);
    g_autofree char *key = g_build_filename(state_dir, "tls", key_name, NULL);

    if (!needed && !g_file_test(cert, G_FILE_TEST_EXISTS))
        return TRUE;
    if (SSL_CTX_use_certificate_chain_file(loop->tls, cert) != 1)
        return tls_failed(cert, error);
    /* A key of the other kind would go to the other certificate. */
    X509 *leaf = SSL_CTX_get0_certificate(loop->tls);
    if (SSL_CTX_use_PrivateKey_file(loop->tls, key, SSL_FILETYPE_PEM) != 1 ||
        X509_check_private_key(leaf, SSL_CTX_get0_privatekey(loop->tls)) != 1)
        return tls_failed(key, error);
    return TRUE;
}

/* Our order counts: agents name RSA first, and ECDSA costs us a tenth of it. No session is resumed:
 * no agent in the field asks for it. */
static gboolean make_tls(ChannelLoop *loop, GError **error)
{
    loop->tls = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_min_proto_version(loop->tls, TLS1_2_VERSION);
    SSL_CTX_set_options(loop->tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_ciphersuites(loop->tls, CIPHERS);
    SSL_CTX_set_mode(loop->tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(loop->tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(loop->tls, 0);
    return use_certificate(loop, "server", TRUE, error) &&
           use_certificate(loop, "channel", FALSE, error);
}

static gboolean make_listener(ChannelLoop *loop, GError **error)
{
    const Config *config = loop->world->config;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((guint16)config->channel_port) };
    int on = 1, defer_s = 3;

    if (inet_pton(AF_INET, config->listen_address, &address.sin_addr) != 1)
        return fail(error, CONFIG, "[api] listen_address = \"%s\" is not an IPv4 address",
                    config->listen_address);
    loop->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(loop->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* Who has not spoken yet waits in the kernel, not among those whose handshakes are bounded. */
    setsockopt(loop->listen_fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer_s, sizeof defer_s);
    if (bind(loop->listen_fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(loop->listen_fd, BACKLOG) < 0)
        return fail(error, CONFIG, "cannot listen for agents on %s port %u: %s",
                    config->listen_address, config->channel_port, g_strerror(errno));
    return TRUE;
}

Channels *channels_start(const ChannelWorld *world, GError **error)
{
    g_autoptr(Channels) channels = g_new0(Channels, 1);
    ChannelLoop *loop = &channels->loop;

    loop->world = world;
    loop->listen_fd = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->conns =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)conn_free);
    loop->by_ci = g_hash_table_new(g_int64_hash, g_int64_equal);
    loop->early = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    loop->tcs_by_ci = g_hash_table_new(g_int64_hash, g_int64_equal);
    if (!make_tls(loop, error) || !make_listener(loop, error) || !loop_watch_all(loop, error))
        return NULL;
    loop->jobs = channel_jobs_new(world, WORKERS, loop->event_fd);
    pthread_create(&channels->loop_thread, NULL, loop_main, channels);
    pthread_create(&channels->listen_thread, NULL, listen_main, channels);
    channels->running = TRUE;
    return g_steal_pointer(&channels);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void channels_stop(Channels *channels)
{
    const guint64 one = 1;

    if (!channels)
        return;
    ChannelLoop *loop = &channels->loop;
    g_atomic_int_set(&loop->stopping, 1);
    if (channels->running && write(loop->event_fd, &one, sizeof one) < 0)
        log_line(LOG_WARN, "channel", "cannot wake the loop: %s", g_strerror(errno));
    if (channels->running) {
        pthread_join(channels->loop_thread, NULL);
        pthread_join(channels->listen_thread, NULL);
    }
    channel_jobs_free(loop->jobs);
    session_drop_asking(loop);
    channel_ends_clear(&loop->ends);
    json_decref(loop->samples);
    json_decref(loop->pulls);
    g_hash_table_destroy(loop->early);
    g_hash_table_destroy(loop->by_ci);
    g_hash_table_destroy(loop->tcs_by_ci);
    g_hash_table_destroy(loop->conns);
    SSL_CTX_free(loop->tls);
    close_fd(loop->listen_fd);
    close_fd(loop->epoll_fd);
    close_fd(loop->event_fd);
    g_free(channels);
}
