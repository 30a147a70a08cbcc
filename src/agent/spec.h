/*
 * agent/spec.h - a container of a task -> the body of Docker's ContainerCreate; pure
 *
 * The task's own members first, then dockerConfig.config and .hostConfig merged over them (keys in
 * any case), then what may not be overridden: the labels. Results are new trees that share nothing
 * with the task, so that another thread may have them.
 * Source: agent protocol, container members; Docker Engine API v1.41, ContainerCreate.
 */
#pragma once

#include "agent/cgroup.h"
#include "agent/task.h"

/* cluster and owner (AgentState; NULL: no label) are values of labels. Errors: INVALID_PARAMETER (a
 * volume or container that is not there, a health check that is missing). Caller owns the result.
 */
json_t *agent_spec_container(const AgentTask *task, const AgentContainer *container,
                             const char *cluster, const char *owner, GError **error);

/* What all containers of the task may use together. */
void agent_spec_limits(const AgentTask *task, AgentCgroupLimits *ret_limits);

/* VolumeCreate bodies of the named volumes the container mounts: a list. Caller owns. */
json_t *agent_spec_volumes(const AgentTask *task, const AgentContainer *container);
/* Names of the volumes that belong to the task alone and go with it. Caller owns. */
GPtrArray *agent_spec_own_volumes(const AgentTask *task);

/* Lays over upon base: a key of over replaces base's key that is equal but for case; keys that
 * keys does not list are left out. */
void agent_spec_merge(json_t *base, const json_t *over, const char *const *keys);
