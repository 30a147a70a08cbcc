/*
 * drivers/stream.h - a byte stream: TCP, TCP with TLS, or a unix socket
 *
 * Blocking calls take an absolute deadline of clock_mono_ms(); the *_now calls never block and are
 * for an event loop. TLS verifies the peer against a CA file (or the system's store) and the
 * host name or address of the URL, TLS 1.2 at least. One thread uses a stream at a time.
 * Errors: HTTP_CLIENT (transient: refused, reset, timed out, certificate); CONFIG (bad CA file).
 * Source: RFC 5280 and 6125 by OpenSSL's X509_VERIFY_PARAM_set1_host and _set1_ip_asc.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct Stream Stream;
typedef struct StreamTls StreamTls;

typedef enum { STREAM_TCP, STREAM_TLS, STREAM_UNIX } StreamKind;

/* Where to connect: host and port, or path for a unix socket. Borrowed strings. */
typedef struct {
    StreamKind kind;
    const char *host;
    guint port;
    const char *path;
} StreamAddress;

/* Answers of the *_now calls beside a positive count of bytes and -1 (error is set). */
#define STREAM_EOF   0
#define STREAM_AGAIN (-2)

/* Trust for TLS: ca_file is PEM, or NULL for the system's store. May be shared by threads. */
StreamTls *stream_tls_new(const char *ca_file, GError **error);
void stream_tls_free(StreamTls *tls);

/* Connects (and shakes hands) before deadline_ms. tls may be NULL for other kinds than TLS. */
Stream *stream_open(const StreamAddress *to, StreamTls *tls, gint64 deadline_ms, GError **error);
/* Drops the connection without a goodbye. */
void stream_free(Stream *stream);

/* For poll(2). stream_wants says which events the last *_now call waits for. */
int stream_fd(const Stream *stream);
short stream_wants(const Stream *stream);
/* Whether nothing has come in (data or end of file) on a stream that should be silent. */
gboolean stream_is_quiet(Stream *stream);

/* Writes all of it. */
gboolean stream_write(Stream *stream, const void *data, gsize length, gint64 deadline_ms,
                      GError **error);
/* Bytes read, 0 at the end, -1 on error. */
gssize stream_read(Stream *stream, void *buffer, gsize size, gint64 deadline_ms, GError **error);
gssize stream_write_now(Stream *stream, const void *data, gsize length, GError **error);
gssize stream_read_now(Stream *stream, void *buffer, gsize size, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stream, stream_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StreamTls, stream_tls_free)
