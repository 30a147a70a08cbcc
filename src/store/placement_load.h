/*
 * store/placement_load.h - a cluster as placement sees it, read in three statements
 *
 * Free room is derived from the tasks that hold it: those placed and not STOPPED. Errors:
 * TX_CONFLICT, UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "model/placement.h"
#include "store/db.h"

/* SQL: whether a container instance's agent is connected. */
#define CI_CONNECTED "(ci.channel_owner IS NOT NULL)"
/* SQL: whether a task holds room on its container instance. */
#define TASK_HOLDS "t.last_status <> 'STOPPED' AND t.ci_id IS NOT NULL"

/* When the last of the cluster's ACTIVE agents that a daemon lost by ending, and that have not come
 * back, was lost: UTC microseconds; 0: there are none. */
gboolean placement_absent(DbTx *tx, gint64 cluster_id, gint64 *ret_since_us, GError **error);
/* All ACTIVE and DRAINING container instances, with the tasks of groups counted on each; groups
 * NULL: of every group. Caller frees. */
PlacementCluster *placement_load(DbTx *tx, gint64 cluster_id, const char *const *groups,
                                 gsize group_count, guint64 seed, GError **error);
