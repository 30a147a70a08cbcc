#include "drivers/stream.h"
#include "base/clock.h"
#include "base/errors.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct addrinfo AddressList;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AddressList, freeaddrinfo)

struct StreamTls {
    SSL_CTX *context;
};

struct Stream {
    int fd;
    SSL *ssl;
    short wants;
};

/* The first cause in OpenSSL's queue of this thread, which is emptied. */
static const char *tls_cause(char *buffer, gsize size)
{
    unsigned long code = ERR_get_error();

    if (code)
        ERR_error_string_n(code, buffer, size);
    else
        g_strlcpy(buffer, "connection closed", size);
    ERR_clear_error();
    return buffer;
}

StreamTls *stream_tls_new(const char *ca_file, GError **error)
{
    g_autoptr(StreamTls) tls = g_new0(StreamTls, 1);
    char cause[256];

    tls->context = SSL_CTX_new(TLS_client_method());
    if (!tls->context)
        return fail_null(error, INTERNAL, "cannot set up TLS: %s", tls_cause(cause, sizeof cause));
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(tls->context, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    int loaded = ca_file ? SSL_CTX_load_verify_file(tls->context, ca_file)
                         : SSL_CTX_set_default_verify_paths(tls->context);
    if (loaded != 1)
        return fail_null(error, CONFIG, "cannot read certificates from \"%s\": %s",
                         ca_file ? ca_file : "system store", tls_cause(cause, sizeof cause));
    return g_steal_pointer(&tls);
}

void stream_tls_free(StreamTls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    g_free(tls);
}

void stream_free(Stream *stream)
{
    if (!stream)
        return;
    SSL_free(stream->ssl);
    if (stream->fd >= 0)
        close(stream->fd);
    g_free(stream);
}

int stream_fd(const Stream *stream)
{
    return stream->fd;
}

short stream_wants(const Stream *stream)
{
    return stream->wants;
}

/* Waits for events until the deadline. */
static gboolean stream_wait(Stream *stream, short events, gint64 deadline_ms, GError **error)
{
    for (;;) {
        struct pollfd p = { .fd = stream->fd, .events = events };
        gint64 left = deadline_ms - clock_mono_ms();
        if (left <= 0)
            return fail(error, HTTP_CLIENT, "timed out");
        int ready = poll(&p, 1, (int)MIN(left, G_MAXINT));
        if (ready > 0)
            return TRUE;
        if (ready < 0 && errno != EINTR)
            return fail(error, HTTP_CLIENT, "cannot wait: %s", g_strerror(errno));
    }
}

static gboolean connect_finish(Stream *stream, gint64 deadline_ms, GError **error)
{
    int cause = 0;
    socklen_t size = sizeof cause;

    if (!stream_wait(stream, POLLOUT, deadline_ms, error))
        return FALSE;
    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &cause, &size) < 0)
        cause = errno;
    return cause == 0 || fail(error, HTTP_CLIENT, "%s", g_strerror(cause));
}

static gboolean connect_socket(Stream *stream, int family, const struct sockaddr *address,
                               socklen_t size, gint64 deadline_ms, GError **error)
{
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (stream->fd < 0)
        return fail(error, HTTP_CLIENT, "cannot make a socket: %s", g_strerror(errno));
    if (connect(stream->fd, address, size) == 0)
        return TRUE;
    if (errno != EINPROGRESS)
        return fail(error, HTTP_CLIENT, "%s", g_strerror(errno));
    return connect_finish(stream, deadline_ms, error);
}

static gboolean connect_unix(Stream *stream, const char *path, gint64 deadline_ms, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (g_strlcpy(address.sun_path, path, sizeof address.sun_path) >= sizeof address.sun_path)
        return fail(error, HTTP_CLIENT, "the path is too long");
    return connect_socket(stream, AF_UNIX, (const struct sockaddr *)&address, sizeof address,
                          deadline_ms, error);
}

/* Tries each address of the host in turn. */
static gboolean connect_tcp(Stream *stream, const char *host, guint port, gint64 deadline_ms,
                            GError **error)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
    g_autoptr(AddressList) list = NULL;
    g_autofree char *service = g_strdup_printf("%u", port);
    int on = 1;

    int cause = getaddrinfo(host, service, &hints, &list);
    if (cause == EAI_NONAME) {
        hints.ai_flags = AI_ADDRCONFIG;
        cause = getaddrinfo(host, service, &hints, &list);
    }
    if (cause != 0)
        return fail(error, HTTP_CLIENT, "%s", gai_strerror(cause));
    for (const AddressList *a = list; a; a = a->ai_next) {
        g_clear_error(error);
        if (connect_socket(stream, a->ai_family, a->ai_addr, a->ai_addrlen, deadline_ms, error)) {
            setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            return TRUE;
        }
    }
    return FALSE;
}

/* What a failed SSL call means: TRUE to try again once stream->wants has come. */
static gboolean tls_may_retry(Stream *stream, int result, GError **error)
{
    char cause[256];
    int saved = errno;

    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        stream->wants = POLLIN;
        return TRUE;
    case SSL_ERROR_WANT_WRITE:
        stream->wants = POLLOUT;
        return TRUE;
    case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        return fail(error, HTTP_CLIENT, "%s", saved ? g_strerror(saved) : "connection closed");
    default:
        return fail(error, HTTP_CLIENT, "TLS: %s", tls_cause(cause, sizeof cause));
    }
}

static gboolean tls_name(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *verify = SSL_get0_param(ssl);

    if (X509_VERIFY_PARAM_set1_ip_asc(verify, host) == 1)
        return TRUE;
    ERR_clear_error();
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static gboolean tls_handshake(Stream *stream, StreamTls *tls, const char *host, gint64 deadline_ms,
                              GError **error)
{
    stream->ssl = SSL_new(tls->context);
    if (!stream->ssl || SSL_set_fd(stream->ssl, stream->fd) != 1 || !tls_name(stream->ssl, host))
        return fail(error, INTERNAL, "cannot set up TLS");
    for (;;) {
        ERR_clear_error();
        errno = 0;
        int done = SSL_connect(stream->ssl);
        if (done == 1)
            return TRUE;
        long verdict = SSL_get_verify_result(stream->ssl);
        if (verdict != X509_V_OK)
            return fail(error, HTTP_CLIENT, "the certificate is refused: %s",
                        X509_verify_cert_error_string(verdict));
        if (!tls_may_retry(stream, done, error) ||
            !stream_wait(stream, stream->wants, deadline_ms, error))
            return FALSE;
    }
}

Stream *stream_open(const StreamAddress *to, StreamTls *tls, gint64 deadline_ms, GError **error)
{
    g_autoptr(Stream) stream = g_new0(Stream, 1);

    stream->fd = -1;
    stream->wants = POLLIN;
    if (to->kind == STREAM_UNIX) {
        if (connect_unix(stream, to->path, deadline_ms, error))
            return g_steal_pointer(&stream);
        fail_prefix(error, "cannot connect to \"%s\"", to->path);
        return NULL;
    }
    if (connect_tcp(stream, to->host, to->port, deadline_ms, error) &&
        (to->kind == STREAM_TCP || tls_handshake(stream, tls, to->host, deadline_ms, error)))
        return g_steal_pointer(&stream);
    fail_prefix(error, "cannot connect to \"%s:%u\"", to->host, to->port);
    return NULL;
}

static gssize plain_result(Stream *stream, gssize count, short wants, GError **error)
{
    if (count >= 0)
        return count;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        stream->wants = wants;
        return STREAM_AGAIN;
    }
    return fail_int(error, HTTP_CLIENT, "%s", g_strerror(errno));
}

gssize stream_read_now(Stream *stream, void *buffer, gsize size, GError **error)
{
    if (!stream->ssl)
        return plain_result(stream, recv(stream->fd, buffer, size, 0), POLLIN, error);
    ERR_clear_error();
    errno = 0;
    int count = SSL_read(stream->ssl, buffer, (int)MIN(size, G_MAXINT));
    if (count > 0)
        return count;
    if (SSL_get_error(stream->ssl, count) == SSL_ERROR_ZERO_RETURN)
        return STREAM_EOF;
    return tls_may_retry(stream, count, error) ? STREAM_AGAIN : -1;
}

gssize stream_write_now(Stream *stream, const void *data, gsize length, GError **error)
{
    if (!stream->ssl)
        return plain_result(stream, send(stream->fd, data, length, MSG_NOSIGNAL), POLLOUT, error);
    ERR_clear_error();
    errno = 0;
    int count = SSL_write(stream->ssl, data, (int)MIN(length, G_MAXINT));
    if (count > 0)
        return count;
    return tls_may_retry(stream, count, error) ? STREAM_AGAIN : -1;
}

gssize stream_read(Stream *stream, void *buffer, gsize size, gint64 deadline_ms, GError **error)
{
    for (;;) {
        gssize count = stream_read_now(stream, buffer, size, error);
        if (count != STREAM_AGAIN)
            return count;
        if (!stream_wait(stream, stream->wants, deadline_ms, error))
            return -1;
    }
}

gboolean stream_write(Stream *stream, const void *data, gsize length, gint64 deadline_ms,
                      GError **error)
{
    const char *from = data;

    while (length > 0) {
        gssize count = stream_write_now(stream, from, length, error);
        if (count == -1)
            return FALSE;
        if (count == STREAM_AGAIN) {
            if (!stream_wait(stream, stream->wants, deadline_ms, error))
                return FALSE;
            continue;
        }
        from += count;
        length -= (gsize)count;
    }
    return TRUE;
}

gboolean stream_is_quiet(Stream *stream)
{
    struct pollfd p = { .fd = stream->fd, .events = POLLIN };

    return poll(&p, 1, 0) == 0 && (!stream->ssl || SSL_pending(stream->ssl) == 0);
}
