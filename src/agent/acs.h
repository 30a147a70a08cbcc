/*
 * agent/acs.h - the channel on which work comes: payloads, manifests, credentials, heartbeats
 *
 * Source: agent protocol, ACS messages. A message that is not known is ignored.
 */
#pragma once

#include "agent/channel.h"
#include "agent/engine.h"

typedef struct AgentAcs AgentAcs;

/* What the rest of the agent wants to know of. */
typedef struct {
    void (*beat)(gpointer user);    /* after each heartbeat */
    void (*trouble)(gpointer user); /* the endpoint cannot be reached */
    void (*unknown)(gpointer user); /* the control plane does not know the container instance */
    gpointer user;
} AgentAcsEvents;

/* Opens the channel. endpoint is DiscoverPollEndpoint's; arn, the container instance's. */
AgentAcs *agent_acs_start(AgentEngine *engine, Pool *dials, const char *endpoint,
                          const char *docker_version, const AgentAcsEvents *events);
/* The address has changed. */
void agent_acs_set_endpoint(AgentAcs *acs, const char *endpoint);

/* "agentVersion=...&..." of names and values, NULL at the end, escaped. Caller frees. */
char *agent_acs_query(const char *const *names_and_values);
/* The endpoint with "/ws?" and a query behind it. Caller frees. */
char *agent_acs_url(const char *endpoint, const char *query);
