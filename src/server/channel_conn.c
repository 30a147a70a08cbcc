#include "server/channel_conn.h"
#include "base/clock.h"
#include "base/errors.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/err.h>
#include <string.h>
#include <unistd.h>

/* A TLS record: none is left within OpenSSL, where epoll does not see it. */
#define READ_SIZE   16384
#define READS_MAX   4
#define OPENING_MS  15000
#define CLOSING_MS  5000
#define MESSAGE_MAX (1024 * 1024 + 4096)

ChannelConn *conn_new(guint64 id, int fd, const char *peer, SSL_CTX *tls)
{
    ChannelConn *conn = g_new0(ChannelConn, 1);

    conn->id = id;
    conn->fd = fd;
    g_strlcpy(conn->peer, peer, sizeof conn->peer);
    conn->ssl = SSL_new(tls);
    SSL_set_fd(conn->ssl, fd);
    SSL_set_accept_state(conn->ssl);
    conn->in = g_byte_array_new();
    conn->raw = g_byte_array_new();
    conn->begun_ms = clock_mono_ms();
    conn->deadline_ms = conn->begun_ms + OPENING_MS;
    return conn;
}

void conn_free(ChannelConn *conn)
{
    if (!conn)
        return;
    SSL_free(conn->ssl);
    close(conn->fd);
    if (conn->in)
        g_byte_array_unref(conn->in);
    g_byte_array_unref(conn->raw);
    upgrade_free(conn->upgrade);
    ws_free(conn->ws);
    if (conn->acks)
        g_ptr_array_unref(conn->acks);
    if (conn->credential_acks)
        g_ptr_array_unref(conn->credential_acks);
    json_decref(conn->health);
    g_free(conn->session);
    g_free(conn->manifest_id);
    g_free(conn->external);
    g_free(conn->access_key_id);
    g_free(conn->over_session);
    g_free(conn->account_id);
    g_free(conn->cluster_name);
    g_free(conn->container_instance_id);
    g_free(conn->cluster_arn);
    g_free(conn->container_instance_arn);
    g_free(conn);
}

static gboolean conn_broke(ChannelConn *conn, const char *cause)
{
    conn->broken = TRUE;
    if (!conn->cause)
        conn->cause = cause;
    return FALSE;
}

/* What OpenSSL wants next; FALSE when the connection is over. */
static gboolean tls_waits(ChannelConn *conn, int result)
{
    switch (SSL_get_error(conn->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TRUE;
    case SSL_ERROR_WANT_WRITE:
        conn->wants_write = TRUE;
        return TRUE;
    case SSL_ERROR_ZERO_RETURN:
        return conn_broke(conn, "the peer closed");
    default:
        return conn_broke(conn, "the connection broke");
    }
}

static gboolean shake_hands(ChannelConn *conn)
{
    conn->wants_write = FALSE;
    ERR_clear_error();
    int done = SSL_do_handshake(conn->ssl);
    if (done == 1) {
        conn->stage = CONN_REQUEST;
        return TRUE;
    }
    return tls_waits(conn, done);
}

static gboolean take_request(ChannelConn *conn, const guint8 *data, gsize length, GError **error)
{
    gsize used = 0;

    g_byte_array_append(conn->in, data, (guint)length);
    if (!upgrade_parse((const char *)conn->in->data, conn->in->len, &conn->upgrade, &used, error))
        return FALSE;
    if (conn->upgrade && used < conn->in->len)
        return fail(error, MALFORMED_REQUEST, "data before the upgrade was answered");
    return TRUE;
}

static gboolean take_bytes(ChannelConn *conn, const guint8 *data, gsize length, GError **error)
{
    switch (conn->stage) {
    case CONN_REQUEST:
        return take_request(conn, data, length, error);
    case CONN_OPEN:
        return ws_feed(conn->ws, data, length) || conn_broke(conn, "the peer closed");
    case CONN_ADMITTING:
        return fail(error, MALFORMED_REQUEST, "data before the upgrade was answered");
    case CONN_HANDSHAKE:
    case CONN_CLOSING:
        break; /* nobody listens any more */
    }
    return TRUE;
}

gboolean conn_has_spoken(const ChannelConn *conn)
{
    return BIO_number_read(SSL_get_rbio(conn->ssl)) > 0;
}

gboolean conn_read(ChannelConn *conn, GError **error)
{
    guint8 buffer[READ_SIZE];

    if (conn->stage == CONN_HANDSHAKE && !shake_hands(conn))
        return FALSE;
    for (guint n = 0; n < READS_MAX && conn->stage != CONN_HANDSHAKE && !conn->broken; n++) {
        ERR_clear_error();
        int got = SSL_read(conn->ssl, buffer, sizeof buffer);
        if (got <= 0)
            return tls_waits(conn, got);
        if (!take_bytes(conn, buffer, (gsize)got, error))
            return FALSE;
        if (conn->stage == CONN_REQUEST && conn->upgrade)
            return TRUE;
    }
    return !conn->broken;
}

gsize conn_pending(const ChannelConn *conn)
{
    gsize frames = 0;

    if (conn->ws)
        ws_output(conn->ws, &frames);
    return conn->raw->len - conn->raw_done + frames;
}

/* Writes some; the count, or 0 when it cannot go on now. */
static gsize write_some(ChannelConn *conn, const guint8 *data, gsize length)
{
    ERR_clear_error();
    int sent = SSL_write(conn->ssl, data, (int)MIN(length, G_MAXINT32));
    if (sent > 0)
        return (gsize)sent;
    if (SSL_get_error(conn->ssl, sent) == SSL_ERROR_WANT_WRITE)
        conn->wants_write = TRUE;
    else
        tls_waits(conn, sent);
    return 0;
}

gboolean conn_flush(ChannelConn *conn)
{
    if (conn->broken || conn->stage == CONN_HANDSHAKE)
        return !conn->broken;
    conn->wants_write = FALSE;
    while (conn->raw_done < conn->raw->len) {
        gsize sent =
            write_some(conn, conn->raw->data + conn->raw_done, conn->raw->len - conn->raw_done);
        if (!sent)
            return !conn->broken;
        conn->raw_done += sent;
    }
    g_byte_array_set_size(conn->raw, 0);
    conn->raw_done = 0;
    for (gsize length = 0; conn->ws;) {
        const guint8 *frames = ws_output(conn->ws, &length);
        gsize sent = length ? write_some(conn, frames, length) : 0;
        if (!sent)
            break;
        ws_output_done(conn->ws, sent);
    }
    if (conn->broken)
        return FALSE;
    return conn->stage != CONN_CLOSING || conn_pending(conn) > 0;
}

static void add_raw(ChannelConn *conn, const char *text)
{
    g_byte_array_append(conn->raw, (const guint8 *)text, (guint)strlen(text));
}

void conn_open(ChannelConn *conn, WsOnText on_text, WsOnPong on_pong, gpointer user)
{
    char accept[WS_ACCEPT_SIZE];

    ws_make_accept(conn->upgrade->key, accept);
    add_raw(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    add_raw(conn, accept);
    add_raw(conn, "\r\n\r\n");
    conn->ws = ws_new(WS_SERVER, MESSAGE_MAX, on_text, on_pong, user);
    conn->stage = CONN_OPEN;
    conn->heard_ms = clock_mono_ms();
    upgrade_free(g_steal_pointer(&conn->upgrade));
    g_byte_array_unref(g_steal_pointer(&conn->in));
}

void conn_refuse(ChannelConn *conn, int status, const char *code, const char *message)
{
    json_auto_t *tree = json_pack("{s:s}", code, message);
    g_autofree char *body = json_dumps(tree, JSON_COMPACT);
    g_autofree char *head = g_strdup_printf(
        "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %" G_GSIZE_FORMAT
        "\r\nConnection: close\r\n\r\n",
        status, status >= 500 ? "Server Error" : "Refused", strlen(body));

    add_raw(conn, head);
    add_raw(conn, body);
    conn->stage = CONN_CLOSING;
    conn->deadline_ms = clock_mono_ms() + CLOSING_MS;
}

void conn_close(ChannelConn *conn, guint16 code, const char *cause)
{
    if (conn->stage == CONN_CLOSING)
        return;
    if (!conn->cause)
        conn->cause = cause;
    if (conn->ws)
        ws_send_close(conn->ws, code, cause);
    conn->stage = CONN_CLOSING;
    conn->deadline_ms = clock_mono_ms() + CLOSING_MS;
}
