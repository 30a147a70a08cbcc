/*
 * agent/facts.h - what this machine offers: the body of RegisterContainerInstance
 *
 * Source: agent protocol, registration; proc(5), sysconf(3).
 */
#pragma once

#include "agent/config.h"
#include "agent/state.h"

/* first: also the attributes of the configuration. docker_version may be "". Caller owns. */
json_t *agent_facts_registration(const AgentConfig *config, const AgentState *state,
                                 const char *cluster, const char *docker_version);
/* MemTotal of a text in /proc/meminfo's form, in MiB; 0 when it is not there. */
gint64 agent_facts_memory_mib(const char *meminfo);
