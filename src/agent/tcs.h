/*
 * agent/tcs.h - the telemetry channel: metrics, container health, state of the runtime
 *
 * Every message carries a signed head. Source: agent protocol, TCS.
 */
#pragma once

#include "agent/channel.h"
#include "agent/engine.h"

typedef struct AgentTcs AgentTcs;

/* endpoint NULL: there is none, nothing is sent. */
AgentTcs *agent_tcs_start(AgentEngine *engine, Pool *dials, const char *endpoint,
                          const char *docker_version);
void agent_tcs_set_endpoint(AgentTcs *tcs, const char *endpoint);
/* A heartbeat came on the other channel: Docker's state is to be told. */
void agent_tcs_beat(AgentTcs *tcs);
