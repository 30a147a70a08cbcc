/*
 * agent/endpoint.h - what the agent serves: to containers their credentials and metadata, to this
 * machine the list of its tasks
 *
 * Containers reach 127.0.0.1:endpoint_port as 169.254.170.2:80 by rules of the machine; a container
 * is known by the id in its environment, credentials by theirs. Whoever asks for credentials is
 * written to the log, whether or not they were given.
 * Source: agent protocol, endpoints the agent serves.
 */
#pragma once

#include "agent/engine.h"
#include "agent/serve.h"

typedef struct {
    AgentEngine *engine;
    Serve *tasks;
    Serve *introspection;
    Pool *readings;
} AgentEndpoint;

/* Begins to listen. It lives as long as the process. */
void agent_endpoint_start(AgentEngine *engine);

/* -- between endpoint.c and the other endpoint_*.c: each answers the request */
/* Adds the tags of the task and of its container instance to a description of the task, which it
 * takes. */
void agent_endpoint_with_tags(AgentEndpoint *endpoint, const ServeRequest *request,
                              const AgentTask *task, json_t *tree, gboolean tells_errors);
void agent_endpoint_stats(AgentEndpoint *endpoint, const ServeRequest *request,
                          const AgentContainer *container, gboolean null_when_stopped);
void agent_endpoint_task_stats(AgentEndpoint *endpoint, const ServeRequest *request,
                               const AgentTask *task, gboolean null_when_stopped);
/* task NULL: nobody knows the id. */
void agent_endpoint_protection(AgentEndpoint *endpoint, const ServeRequest *request,
                               const AgentTask *task);
