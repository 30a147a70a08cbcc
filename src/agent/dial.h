/*
 * agent/dial.h - opening a WebSocket: connection, signed upgrade, answer; blocks, for a worker
 *
 * Source: RFC 6455 section 4; Signature Version 4 of the upgrade as the agent protocol has it.
 */
#pragma once

#include "agent/api.h"
#include "drivers/http.h"

typedef struct {
    gpointer owner; /* for the caller */
    AgentApi *api;  /* borrowed */
    char *url;
    /* out */
    HttpUrl *parsed;
    Stream *stream;  /* NULL when it failed */
    GString *early;  /* what came behind the answer's head */
    char *exception; /* the name in a refusal's body, or NULL */
    GError *error;
} AgentDial;

void agent_dial_run(gpointer dial);
void agent_dial_free(AgentDial *dial);

/* Signature of GET url with this body's hash. target is path and query. */
void agent_dial_sign(const AgentSigner *signer, const HttpUrl *url, const char *body,
                     SigV4Signature *ret_signature);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentDial, agent_dial_free)
