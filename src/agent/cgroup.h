/*
 * agent/cgroup.h - the control group of a task: all its containers together stay in its sizes
 *
 * Groups are /ecs/<task id> in each hierarchy, of either version of the kernel's interface. A task
 * of one container without sizes of its own has none: the container's own group, in /ecs beside
 * those of tasks, weighs and bounds the same, and a second one takes a start 3 % of its time. They
 * are made where Docker itself keeps groups by the file system; with another driver (systemd's), or
 * without the file system, there are none, and each container alone is bounded. Blocks: for
 * workers.
 * Errors: DOCKER (a limit cannot be set).
 * Source: Linux admin guide, cgroup-v1 and cgroup-v2; agent protocol, cgroup parent.
 */
#pragma once

#include "drivers/docker.h"

typedef struct {
    gint64 quota_us;     /* CPU time each CGROUP_PERIOD_US; 0: no limit */
    gint64 shares;       /* of CPU, when it is scarce: CPU units */
    gint64 memory_bytes; /* 0: no limit */
    gboolean alone;      /* nothing but one container's own limits: no group is needed */
} AgentCgroupLimits;

#define CGROUP_PERIOD_US 100000

/* Makes the group where one is needed, or brings its limits up to date. root is the mounted file
 * system. ret_parent is what the containers' groups are made in, as Docker calls it, or NULL when
 * there are no groups. Caller frees. */
gboolean agent_cgroup_make(Docker *docker, const char *root, const char *task_id,
                           const AgentCgroupLimits *limits, char **ret_parent, GError **error);
/* A group that is not there is no matter. FALSE when something still is in it. */
gboolean agent_cgroup_remove(const char *root, const char *task_id);
