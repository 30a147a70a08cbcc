/*
 * agent/names.h - names of what the agent makes in Docker, and port ranges; pure
 *
 * A name follows from the task, so that making it again finds what was made before.
 * Callers free results.
 */
#pragma once

#include "agent/task.h"

/* Characters of a task's id: it is used as a file name. */
#define AGENT_NAME_SAFE "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* "ecs-<family>-<version>-<container>-<20 hex digits>" */
char *agent_name_container(const AgentTask *task, const char *container);
/* The same for a volume of the task alone. */
char *agent_name_volume(const AgentTask *task, const char *volume);

/* "9000-9003"; at most 100 ports. */
gboolean agent_port_range(const char *text, guint *ret_first, guint *ret_last);
