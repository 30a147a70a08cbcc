/*
 * agent/metadata.h - tasks and containers as the agent's endpoints describe them; pure
 *
 * Results are new trees. Times are RFC 3339, states the agent's own words (v3, v4) or those of
 * reports (introspection). What was never seen is left out.
 * Source: agent protocol, response fields of metadata v2 to v4 and introspection.
 */
#pragma once

#include "agent/task.h"

typedef enum { METADATA_V3, METADATA_V4 } MetadataVersion;

json_t *agent_metadata_container(const AgentTask *task, const AgentContainer *container,
                                 const char *cluster, MetadataVersion version);
json_t *agent_metadata_task(const AgentTask *task, const char *cluster, MetadataVersion version);
/* A task of /v1/tasks. */
json_t *agent_metadata_listed(const AgentTask *task);
/* Whether the container has this IPv4 address. */
gboolean agent_metadata_has_address(const AgentContainer *container, const char *address);
