/*
 * agent/channel.h - a WebSocket to the control plane that is opened again whenever it ends
 *
 * Dialling (name look-up, TLS, signed upgrade) happens in a worker; the open channel lives in the
 * loop. A silent channel is dropped, one that ended well is opened again at once, others after a
 * growing wait. Source: agent protocol, WebSocket connection rules.
 */
#pragma once

#include "agent/api.h"
#include "agent/loop.h"
#include "agent/pool.h"

#include <jansson.h>

typedef struct AgentChannel AgentChannel;

typedef struct {
    const char *name; /* for the log */
    guint backoff_first_ms;
    double backoff_growth;
    guint backoff_max_ms;
    gboolean rotates; /* after config->rotation_ms */
    /* The URL to open, http or https. Caller frees. */
    char *(*url)(gpointer user);
    void (*on_open)(gpointer user);
    /* Dialling has failed many times: the address may have changed. May be NULL. */
    void (*on_trouble)(gpointer user);
    /* The peer says again and again that it does not know who dials. May be NULL. */
    void (*on_unknown)(gpointer user);
    /* A whole text message; type and message of its envelope. TRUE when it was recognised, which
     * shows that the peer lives. */
    gboolean (*on_message)(gpointer user, const char *type, const json_t *message);
} AgentChannelKind;

/* Nothing is dialled yet. All arguments must outlive it. */
AgentChannel *agent_channel_new(Loop *loop, Pool *dials, const AgentConfig *config, AgentApi *api,
                                const AgentChannelKind *kind, gpointer user);
/* Dials unless it is open or being dialled. */
void agent_channel_open(AgentChannel *channel);
/* Drops the connection and opens a new one. */
void agent_channel_reopen(AgentChannel *channel);
gboolean agent_channel_is_open(const AgentChannel *channel);
/* Takes message and sends {"type", "message"}; dropped when the channel is not open. */
void agent_channel_send(AgentChannel *channel, const char *type, json_t *message);
/* The same with a signed head before it, as telemetry is sent. */
void agent_channel_send_signed(AgentChannel *channel, const char *type, json_t *message);
