/*
 * agent/restart.h - a container's restart policy: whether what has exited is started again; pure
 *
 * The agent starts the same container again, at once, without a word to the control plane: only the
 * last stop is reported. A container that did not run for the policy's period since its last start
 * is not started again. Restarts are counted by what is seen (a container that was started anew),
 * so that a crash of the agent between an exit, a start and the record of either miscounts nothing.
 * Source: ECS API reference, ContainerRestartPolicy; agent protocol, restartPolicy of a container.
 */
#pragma once

#include "agent/task.h"
#include "drivers/docker.h"

#define RESTART_PERIOD_S   300 /* when the policy names none */
#define RESTART_CODES_MAX  50
#define RESTART_PERIOD_MAX 86400

/* Reads the policy (NULL: none) of a container's tree. Errors: INVALID_PARAMETER. */
gboolean agent_restart_read(AgentContainer *container, const json_t *policy, GError **error);

/* Whether the exit that was seen is followed by a start. The task is to run. */
gboolean agent_restart_due(const AgentContainer *container, const DockerContainer *seen);
