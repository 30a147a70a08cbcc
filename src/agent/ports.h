/*
 * agent/ports.h - host ports for ranges of container ports: next to each other, and free
 *
 * Docker chooses free ports one by one; a range must be chosen here. Looking at a port does not
 * keep it: who loses the race is refused by Docker when the container starts. Source: agent
 * protocol, containerPortRange of port mappings and bindings.
 */
#pragma once

#include "agent/task.h"
#include "drivers/docker.h"

/* Puts host ports into create (a ContainerCreate body made for this container) for each of its
 * ranges. next_port is where the search begins, and is moved behind what was taken.
 * Error: UNAVAILABLE (there are not so many in a row). */
gboolean agent_ports_choose(const AgentContainer *container, json_t *create, guint *next_port,
                            GError **error);
/* The bindings of a running container as reports list them: a range is one. ports: DockerPort. */
json_t *agent_ports_bindings(const AgentContainer *container, const GPtrArray *ports);
