#include "agent/channel.h"
#include "agent/dial.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "base/log.h"
#include "base/tree.h"
#include "wire/ws.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX      (4 * 1024 * 1024)
#define READ_SIZE        16384
#define HEALTHY_MS       60000
#define SHORT_MS         1000 /* a connection that lives less did not end well, whatever it says */
#define TROUBLE_EVERY    8    /* failures */
#define UNKNOWN_FIRST    3    /* a session of ours that has just died may be in the way */
#define CLOSE_WAIT_MS    5000
#define INACTIVE_WAIT_MS (3600 * 1000)
#define JITTER           0.2

struct AgentChannel {
    Loop *loop;
    Pool *dials;
    const AgentConfig *config;
    AgentApi *api;
    const AgentChannelKind *kind;
    gpointer user;
    gboolean dialling;
    gboolean feeding; /* a message is being handled: what it sends is written afterwards */
    gboolean over;    /* the peer said goodbye, or broke the protocol */
    HttpUrl *url;     /* of the open connection */
    Stream *stream;
    Ws *ws;
    gint64 opened_ms;
    guint failures;
    LoopTimer redial, silence, rotation;
};

static void on_ready(gpointer user);
static void on_dialled(gpointer user);

static gint64 jittered(guint base_ms, double share)
{
    guint32 bits = 0;

    id_random(&bits, sizeof bits);
    return base_ms + (gint64)(base_ms * share * (bits / (double)G_MAXUINT32));
}

static void close_now(AgentChannel *channel)
{
    if (channel->stream)
        loop_watch(channel->loop, stream_fd(channel->stream), 0, NULL, NULL);
    loop_timer_stop(channel->loop, &channel->silence);
    loop_timer_stop(channel->loop, &channel->rotation);
    g_clear_pointer(&channel->ws, ws_free);
    g_clear_pointer(&channel->stream, stream_free);
    g_clear_pointer(&channel->url, http_url_free);
    channel->over = FALSE;
}

static void redial_in(AgentChannel *channel, gint64 delay_ms)
{
    loop_timer_set(channel->loop, &channel->redial, clock_mono_ms() + delay_ms);
}

/* The wait before the next try: it grows with each failure. */
static void back_off(AgentChannel *channel)
{
    const AgentChannelKind *kind = channel->kind;
    double delay_ms = kind->backoff_first_ms;

    for (guint i = 0; i < channel->failures && delay_ms < kind->backoff_max_ms; i++)
        delay_ms *= kind->backoff_growth;
    channel->failures++;
    redial_in(channel, jittered((guint)MIN(delay_ms, kind->backoff_max_ms), JITTER));
}

/* The open channel has ended; code is the peer's, 0 for an end without a close frame. */
static void ended(AgentChannel *channel, guint16 code, gboolean good)
{
    gint64 lived_ms = clock_mono_ms() - channel->opened_ms;
    gboolean healthy = lived_ms >= HEALTHY_MS;

    log_info("-", "%s channel closed (code %u)", channel->kind->name, code);
    close_now(channel);
    good = good && lived_ms >= SHORT_MS;
    if (good || healthy)
        channel->failures = 0;
    if (good)
        redial_in(channel, 0);
    else
        back_off(channel);
}

static gboolean is_good_close(guint16 code)
{
    return code == 0 || code == WS_CLOSE_NORMAL || code == WS_CLOSE_AWAY || code == 1006 ||
           code == WS_CLOSE_ERROR;
}

/* Writes what the WebSocket has to say. FALSE when the connection ended by it. */
static gboolean flush(AgentChannel *channel)
{
    g_autoptr(GError) cause = NULL;
    gsize length = 0;
    const guint8 *data;
    short events = POLLIN;

    while ((data = ws_output(channel->ws, &length)) && length > 0) {
        gssize count = stream_write_now(channel->stream, data, length, &cause);
        if (count == STREAM_AGAIN) {
            events = (short)(POLLIN | stream_wants(channel->stream));
            break;
        }
        if (count < 0) {
            ended(channel, 0, TRUE);
            return FALSE;
        }
        ws_output_done(channel->ws, (gsize)count);
    }
    if (length == 0 && (channel->over || ws_is_closed(channel->ws))) {
        guint16 code = ws_peer_close_code(channel->ws);
        ended(channel, code, is_good_close(code));
        return FALSE;
    }
    loop_watch(channel->loop, stream_fd(channel->stream), events, on_ready, channel);
    return TRUE;
}

static void alive(AgentChannel *channel)
{
    loop_timer_set(channel->loop, &channel->silence,
                   clock_mono_ms() + jittered(channel->config->inactivity_ms, 1.0));
}

static void on_text(Ws *ws, const char *text, gsize length, gpointer user)
{
    AgentChannel *channel = user;
    json_auto_t *tree = json_loadb(text, length, 0, NULL);
    const char *type = json_string_value(json_object_get(tree, "type"));
    const json_t *message = json_object_get(tree, "message");

    (void)ws;
    if (!type || (message && !json_is_object(message))) {
        log_warn("-", "%s: a message of %" G_GSIZE_FORMAT " bytes cannot be read",
                 channel->kind->name, length);
        return;
    }
    if (channel->kind->on_message(channel->user, type, message))
        alive(channel);
    else
        log_info("-", "%s: message \"%.60s\" is not known", channel->kind->name, type);
}

static void dial(gpointer user)
{
    AgentChannel *channel = user;

    if (channel->dialling || channel->stream)
        return;
    AgentDial *job = g_new0(AgentDial, 1);
    job->owner = channel;
    job->api = channel->api;
    job->url = channel->kind->url(channel->user);
    channel->dialling = TRUE;
    pool_push(channel->dials, agent_dial_run, on_dialled, job);
}

/* Gives bytes to the WebSocket, then writes its answers. FALSE when the connection ended. */
static gboolean feed(AgentChannel *channel, const char *data, gsize length)
{
    channel->feeding = TRUE;
    if (!ws_feed(channel->ws, data, length))
        channel->over = TRUE;
    channel->feeding = FALSE;
    return flush(channel);
}

static void on_ready(gpointer user)
{
    AgentChannel *channel = user;
    g_autoptr(GError) cause = NULL;
    char piece[READ_SIZE];
    gssize count;

    while ((count = stream_read_now(channel->stream, piece, sizeof piece, &cause)) > 0)
        if (!feed(channel, piece, (gsize)count))
            return;
    if (count == STREAM_AGAIN)
        flush(channel);
    else
        ended(channel, 0, TRUE);
}

static void report_failure(AgentChannel *channel, const char *exception)
{
    const AgentChannelKind *kind = channel->kind;
    gboolean unknown = g_strcmp0(exception, "InvalidInstanceException") == 0;

    if (channel->failures % TROUBLE_EVERY == 0 && kind->on_trouble)
        kind->on_trouble(channel->user);
    else if (channel->failures % TROUBLE_EVERY == UNKNOWN_FIRST && unknown && kind->on_unknown)
        kind->on_unknown(channel->user);
}

static void on_dialled(gpointer user)
{
    g_autoptr(AgentDial) job = user;
    AgentChannel *channel = job->owner;

    channel->dialling = FALSE;
    if (!job->stream) {
        log_warn("-", "%s channel is not open: %s", channel->kind->name, job->error->message);
        if (g_strcmp0(job->exception, "InactiveInstanceException") == 0)
            redial_in(channel, INACTIVE_WAIT_MS);
        else
            back_off(channel);
        report_failure(channel, job->exception);
        return;
    }
    log_info("-", "%s channel open", channel->kind->name);
    channel->stream = g_steal_pointer(&job->stream);
    channel->url = g_steal_pointer(&job->parsed);
    channel->ws = ws_new(WS_CLIENT, MESSAGE_MAX, on_text, NULL, channel);
    channel->opened_ms = clock_mono_ms();
    alive(channel);
    if (channel->kind->rotates)
        loop_timer_set(channel->loop, &channel->rotation,
                       channel->opened_ms + jittered(channel->config->rotation_ms, 2.0));
    channel->kind->on_open(channel->user);
    if (channel->stream)
        feed(channel, job->early->str, job->early->len);
}

static void on_silence(gpointer user)
{
    AgentChannel *channel = user;

    log_warn("-", "%s channel is silent", channel->kind->name);
    ended(channel, 0, FALSE);
}

/* Says goodbye; the peer's own goodbye or the end of its patience opens the next one. */
static void on_rotation(gpointer user)
{
    AgentChannel *channel = user;

    loop_timer_set(channel->loop, &channel->silence, clock_mono_ms() + CLOSE_WAIT_MS);
    ws_send_close(channel->ws, WS_CLOSE_NORMAL, "ConnectionExpired: Reconnect to continue");
    flush(channel);
}

AgentChannel *agent_channel_new(Loop *loop, Pool *dials, const AgentConfig *config, AgentApi *api,
                                const AgentChannelKind *kind, gpointer user)
{
    AgentChannel *channel = g_new0(AgentChannel, 1);

    *channel = (AgentChannel){
        .loop = loop, .dials = dials, .config = config, .api = api, .kind = kind, .user = user
    };
    loop_timer_init(&channel->redial, dial, channel);
    loop_timer_init(&channel->silence, on_silence, channel);
    loop_timer_init(&channel->rotation, on_rotation, channel);
    return channel;
}

void agent_channel_open(AgentChannel *channel)
{
    dial(channel);
}

void agent_channel_reopen(AgentChannel *channel)
{
    if (channel->stream)
        ended(channel, 0, TRUE);
}

gboolean agent_channel_is_open(const AgentChannel *channel)
{
    return channel->ws && !channel->over;
}

static void send_text(AgentChannel *channel, const char *text)
{
    ws_send_text(channel->ws, text, strlen(text));
    if (!channel->feeding)
        flush(channel);
}

static char *envelope(const char *type, json_t *message)
{
    json_auto_t *tree = json_pack("{s:s, s:o}", "type", type, "message", message);

    return json_dumps(tree, JSON_COMPACT);
}

void agent_channel_send(AgentChannel *channel, const char *type, json_t *message)
{
    g_autoptr(JsonText) text = envelope(type, message);

    if (agent_channel_is_open(channel))
        send_text(channel, text);
}

void agent_channel_send_signed(AgentChannel *channel, const char *type, json_t *message)
{
    g_autoptr(JsonText) text = envelope(type, message);
    g_auto(AgentSigner) signer = { 0 };
    g_auto(SigV4Signature) signature = { 0 };

    if (!agent_channel_is_open(channel))
        return;
    agent_api_signer(channel->api, &signer);
    agent_dial_sign(&signer, channel->url, text, &signature);
    g_autoptr(GString) whole = g_string_new(NULL);
    g_string_printf(whole, "Authorization: %s\r\nHost: %s\r\nX-Amz-Date: %s\r\n",
                    signature.authorization, channel->url->authority, signature.date);
    if (*signer.token)
        g_string_append_printf(whole, "X-Amz-Security-Token: %s\r\n", signer.token);
    g_string_append_printf(whole, "\r\n%s", text);
    send_text(channel, whole->str);
}
