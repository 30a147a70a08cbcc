/*
 * agent/pause.h - the pause container: it holds the namespaces that the containers of a task share
 *
 * A task whose pidMode or ipcMode is "task" gets one more container, made by the agent: the first
 * to start and the last to stop, never reported, measured or counted. What it runs is carried in
 * the agent's own program (images/pause), so that no registry is needed.
 * Source: agent protocol, pause container.
 */
#pragma once

#include "agent/task.h"
#include "drivers/docker.h"

#define AGENT_INTERNAL_PREFIX "~internal~"
#define AGENT_PAUSE_NAME      AGENT_INTERNAL_PREFIX "ecs~pause~namespace"
#define AGENT_PAUSE_REPO      "berth/pause"
#define AGENT_PAUSE_TAG       "1"
#define AGENT_PAUSE_IMAGE     AGENT_PAUSE_REPO ":" AGENT_PAUSE_TAG

/* Adds the container, when the task shares namespaces, and has all others wait for it. */
void agent_pause_add(AgentTask *task);
/* The task's pause container, or NULL. */
const AgentContainer *agent_pause_of(const AgentTask *task);

/* Makes the image where it is not there. Blocks: for workers. Errors: those of Docker. */
gboolean agent_pause_make_image(Docker *docker, GError **error);
