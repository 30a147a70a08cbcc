/*
 * agent/session.h - from start to channels: Docker, orphans, registration, endpoints
 *
 * Each part is tried again for ever, with a growing wait; only what no retry can help ends the
 * agent. Source: agent protocol, registration and DiscoverPollEndpoint.
 */
#pragma once

#include "agent/engine.h"

/* Exit codes as supervisors of the stock agent know them. */
#define AGENT_EXIT_ERROR    1
#define AGENT_EXIT_TERMINAL 5 /* do not start it again as it is */

typedef struct AgentSession AgentSession;

AgentSession *agent_session_start(AgentEngine *engine);
/* 0 unless the session ended the loop. */
int agent_session_exit_code(const AgentSession *session);
