/*
 * handlers/agent_self.h - an agent's calls are about its own container instance only, a task's
 * about itself
 *
 * A session of the agent's role was made for one instance. Whatever container instance a request
 * of such a session names must be registered on that instance.
 */
#pragma once

#include "handlers/request.h"

/* Whether rq comes from a container agent. */
gboolean agent_is_caller(const Request *rq);
/* A task names itself in "tasks", nobody else. TRUE for every other caller, and for an agent that
 * names nobody else in "containerInstance", "containerInstances" or "containerInstanceArn", and in
 * "resourceArn" only its container instance or a task that is placed there. Error: ACCESS_DENIED;
 * those of db.h. */
gboolean agent_check_self(Request *rq, GError **error);
