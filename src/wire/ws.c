#include "wire/ws.h"

#include "base/id.h"

#include <string.h>
#include <wslay/wslay.h>

/* RFC 6455 section 1.3. */
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define KEY_BYTES   16
/* RFC 6455 section 5.5: a control frame has 125 bytes, two of them the close code. */
#define REASON_MAX 123

struct Ws {
    wslay_event_context_ptr context; /* it has 8 KiB of buffers; NULL while the channel rests */
    WsRole role;
    gsize message_max;
    WsOnText on_text;
    WsOnPong on_pong;
    gpointer user;
    gboolean feeding; /* within ws_feed: */
    const guint8 *input;
    gsize input_length;
    guint64 ahead;       /* bytes that came, less those of the frames that have begun */
    gboolean in_message; /* more fragments are to come */
    GByteArray *output;
    gsize output_at;
    gboolean broken; /* nothing can be written any more */
};

void ws_make_key(char ret_key[WS_KEY_SIZE])
{
    guint8 bytes[KEY_BYTES];

    id_random(bytes, sizeof bytes);
    g_autofree char *text = g_base64_encode(bytes, sizeof bytes);
    g_strlcpy(ret_key, text, WS_KEY_SIZE);
}

gboolean ws_check_key(const char *key)
{
    const gsize digits = WS_KEY_SIZE - 3;

    if (strlen(key) != WS_KEY_SIZE - 1 || !g_str_has_suffix(key, "=="))
        return FALSE;
    for (gsize i = 0; i < digits; i++)
        if (!g_ascii_isalnum(key[i]) && key[i] != '+' && key[i] != '/')
            return FALSE;
    return TRUE;
}

void ws_make_accept(const char *key, char ret_accept[WS_ACCEPT_SIZE])
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    guint8 digest[20];
    gsize length = sizeof digest;

    g_checksum_update(sum, (const guchar *)key, (gssize)strlen(key));
    g_checksum_update(sum, (const guchar *)ACCEPT_GUID, (gssize)strlen(ACCEPT_GUID));
    g_checksum_get_digest(sum, digest, &length);
    g_autofree char *text = g_base64_encode(digest, length);
    g_strlcpy(ret_accept, text, WS_ACCEPT_SIZE);
}

static ssize_t take_input(wslay_event_context_ptr context, uint8_t *buffer, size_t length,
                          int flags G_GNUC_UNUSED, void *user)
{
    Ws *ws = user;
    gsize count = MIN(length, ws->input_length);

    if (count == 0) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buffer, ws->input, count);
    ws->input += count;
    ws->input_length -= count;
    return (ssize_t)count;
}

static ssize_t put_output(wslay_event_context_ptr context G_GNUC_UNUSED, const uint8_t *data,
                          size_t length, int flags G_GNUC_UNUSED, void *user)
{
    Ws *ws = user;

    g_byte_array_append(ws->output, data, (guint)length);
    return (ssize_t)length;
}

static int make_mask(wslay_event_context_ptr context G_GNUC_UNUSED, uint8_t *buffer, size_t length,
                     void *user G_GNUC_UNUSED)
{
    id_random(buffer, length);
    return 0;
}

static void take_message(wslay_event_context_ptr context,
                         const struct wslay_event_on_msg_recv_arg *message, void *user)
{
    Ws *ws = user;

    if (message->opcode == WSLAY_TEXT_FRAME) {
        g_autofree char *text = g_malloc(message->msg_length + 1);
        if (message->msg_length)
            memcpy(text, message->msg, message->msg_length);
        text[message->msg_length] = '\0';
        ws->on_text(ws, text, message->msg_length, ws->user);
    } else if (message->opcode == WSLAY_BINARY_FRAME) {
        wslay_event_shutdown_read(context);
        wslay_event_queue_close(context, WSLAY_CODE_UNSUPPORTED_DATA, NULL, 0);
    } else if (message->opcode != WSLAY_CONNECTION_CLOSE && ws->on_pong) {
        ws->on_pong(ws, ws->user);
    }
}

/* RFC 6455 section 5.2; wslay refuses a length that is not written in the shortest way. */
static void take_frame(wslay_event_context_ptr context G_GNUC_UNUSED,
                       const struct wslay_event_on_frame_recv_start_arg *frame, void *user)
{
    Ws *ws = user;
    guint64 length = frame->payload_length;
    guint header = 2 + (length > G_MAXUINT16 ? 8u : length > 125 ? 2u : 0u);

    ws->ahead -= header + (ws->role == WS_SERVER ? 4u : 0u) + length;
    if (!wslay_is_ctrl_frame(frame->opcode))
        ws->in_message = !frame->fin;
}

/* A resting channel has something to do again. */
static void start(Ws *ws)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = take_input,
        .send_callback = put_output,
        .genmask_callback = make_mask,
        .on_frame_recv_start_callback = take_frame,
        .on_msg_recv_callback = take_message,
    };

    if (ws->context)
        return;
    int failed = ws->role == WS_SERVER
                     ? wslay_event_context_server_init(&ws->context, &callbacks, ws)
                     : wslay_event_context_client_init(&ws->context, &callbacks, ws);
    if (failed)
        g_error("out of memory for a WebSocket");
    wslay_event_config_set_max_recv_msg_length(ws->context, ws->message_max);
}

/* Between two messages a channel that nobody closes has nothing to remember. */
static void rest(Ws *ws)
{
    if (!ws->context || ws->feeding || ws->broken || ws->ahead != 0 || ws->in_message ||
        wslay_event_want_write(ws->context) || !wslay_event_want_read(ws->context) ||
        wslay_event_get_close_received(ws->context) || wslay_event_get_close_sent(ws->context))
        return;
    wslay_event_context_free(g_steal_pointer(&ws->context));
}

Ws *ws_new(WsRole role, gsize message_max, WsOnText on_text, WsOnPong on_pong, gpointer user)
{
    Ws *ws = g_new0(Ws, 1);

    ws->role = role;
    ws->message_max = message_max;
    ws->on_text = on_text;
    ws->on_pong = on_pong;
    ws->user = user;
    ws->output = g_byte_array_new();
    return ws;
}

void ws_free(Ws *ws)
{
    if (!ws)
        return;
    if (ws->context)
        wslay_event_context_free(ws->context);
    g_byte_array_free(ws->output, TRUE);
    g_free(ws);
}

gboolean ws_feed(Ws *ws, const void *data, gsize length)
{
    start(ws);
    ws->feeding = TRUE;
    ws->input = data;
    ws->input_length = length;
    ws->ahead += length;
    /* After a failure wslay reads no more, and has queued the close frame that says so. */
    if (wslay_event_want_read(ws->context) && wslay_event_recv(ws->context) != 0)
        wslay_event_shutdown_read(ws->context);
    ws->input = NULL;
    ws->input_length = 0;
    ws->feeding = FALSE;
    gboolean goes_on = wslay_event_want_read(ws->context);
    rest(ws);
    return goes_on;
}

static gboolean queue(Ws *ws, const struct wslay_event_msg *message)
{
    if (ws->broken)
        return FALSE;
    start(ws);
    return wslay_event_queue_msg(ws->context, message) == 0;
}

gboolean ws_send_text(Ws *ws, const char *text, gsize length)
{
    const struct wslay_event_msg message = { WSLAY_TEXT_FRAME, (const uint8_t *)text, length };

    return queue(ws, &message);
}

gboolean ws_send_ping(Ws *ws)
{
    const struct wslay_event_msg message = { WSLAY_PING, NULL, 0 };

    return queue(ws, &message);
}

/* Makes bytes of what is queued. */
static void flush(Ws *ws)
{
    if (!ws->context || ws->broken)
        return;
    if (wslay_event_want_write(ws->context) && wslay_event_send(ws->context) != 0)
        ws->broken = TRUE;
    rest(ws);
}

gboolean ws_send_close(Ws *ws, guint16 code, const char *reason)
{
    gsize length = MIN(strlen(reason), REASON_MAX);
    const char *end;

    /* A cut must not split a character. */
    if (!g_utf8_validate(reason, (gssize)length, &end))
        length = (gsize)(end - reason);
    /* wslay sends control frames first, and nothing after a close: what was queued before it goes
     * before it. */
    flush(ws);
    if (ws->broken)
        return FALSE;
    start(ws);
    return wslay_event_queue_close(ws->context, code, (const uint8_t *)reason, length) == 0;
}

const guint8 *ws_output(Ws *ws, gsize *ret_length)
{
    flush(ws);
    *ret_length = ws->output->len - ws->output_at;
    return ws->output->data ? ws->output->data + ws->output_at : (const guint8 *)"";
}

void ws_output_done(Ws *ws, gsize length)
{
    ws->output_at += length;
    if (ws->output_at < ws->output->len)
        return;
    /* An idle channel keeps no buffer. */
    g_byte_array_set_size(ws->output, 0);
    ws->output_at = 0;
    g_byte_array_free(ws->output, TRUE);
    ws->output = g_byte_array_new();
}

gboolean ws_is_closed(const Ws *ws)
{
    return ws->broken || (ws->context && !wslay_event_want_read(ws->context) &&
                          !wslay_event_want_write(ws->context));
}

guint16 ws_peer_close_code(const Ws *ws)
{
    return ws->context && wslay_event_get_close_received(ws->context)
               ? wslay_event_get_status_code_received(ws->context)
               : 0;
}
