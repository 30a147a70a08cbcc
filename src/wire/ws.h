/*
 * wire/ws.h - WebSockets over memory: handshake values, and frames <-> whole text messages
 *
 * A Ws never touches a socket: feed it what came, write what it has to say. Pings are answered,
 * fragments joined, text checked to be UTF-8; a peer that breaks the protocol gets a close frame.
 * Not thread-safe: one owner. Source: RFC 6455; wslay does the framing.
 */
#pragma once

#include <glib.h>

#define WS_KEY_SIZE        25 /* with NUL */
#define WS_ACCEPT_SIZE     29

#define WS_CLOSE_NORMAL    1000
#define WS_CLOSE_AWAY      1001
#define WS_CLOSE_POLICY    1008
#define WS_CLOSE_TOO_LARGE 1009
#define WS_CLOSE_ERROR     1011

/* A client's random Sec-WebSocket-Key. */
void ws_make_key(char ret_key[WS_KEY_SIZE]);
/* Whether a received key is base64 of 16 bytes. */
gboolean ws_check_key(const char *key);
/* The Sec-WebSocket-Accept that answers key. */
void ws_make_accept(const char *key, char ret_accept[WS_ACCEPT_SIZE]);

typedef enum { WS_SERVER, WS_CLIENT } WsRole;
typedef struct Ws Ws;

/* One whole text message, NUL-terminated beyond length, valid during the call, which may send on ws
 * but not free it. */
typedef void (*WsOnText)(Ws *ws, const char *text, gsize length, gpointer user);
/* A pong or ping came: the peer lives. May be NULL. */
typedef void (*WsOnPong)(Ws *ws, gpointer user);

/* message_max bounds a received message in bytes. */
Ws *ws_new(WsRole role, gsize message_max, WsOnText on_text, WsOnPong on_pong, gpointer user);
void ws_free(Ws *ws);

/* Takes bytes that came; calls on_text for each message they complete. FALSE when the connection is
 * over (closed by the peer, or broken): write what ws_output still has, then close. */
gboolean ws_feed(Ws *ws, const void *data, gsize length);

/* Each queues a frame; FALSE when the connection is closing. */
gboolean ws_send_text(Ws *ws, const char *text, gsize length);
gboolean ws_send_ping(Ws *ws);
gboolean ws_send_close(Ws *ws, guint16 code, const char *reason);

/* The bytes to write next, ret_length of them (0: nothing to do); valid until the next call. */
const guint8 *ws_output(Ws *ws, gsize *ret_length);
/* length of them were written. */
void ws_output_done(Ws *ws, gsize length);

/* Whether no more data will be read or written after what ws_output has. */
gboolean ws_is_closed(const Ws *ws);
/* The code of the peer's close frame; 0 before it came, 1005 when it had none. */
guint16 ws_peer_close_code(const Ws *ws);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ws, ws_free)
