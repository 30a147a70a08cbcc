/*
 * agent/events.h - Docker's events about our containers, while Docker is there
 *
 * Every time the stream opens, all containers are looked at, so that nothing that happened before
 * is missed. Source: Docker Engine API v1.41, SystemEvents.
 */
#pragma once

#include "agent/engine.h"

typedef struct AgentEvents AgentEvents;

/* Docker was reached; version is Docker's. */
typedef void (*AgentEventsUp)(gpointer user, const char *version);

AgentEvents *agent_events_start(AgentEngine *engine, AgentEventsUp up, gpointer user);

/* One line of the stream. */
void agent_events_line(AgentEngine *engine, const char *line, gsize length);
