/*
 * store/health.h - counts over a region's tables, for its status
 *
 * Errors: those of db.h. Times are UTC microseconds.
 */
#pragma once

#include "store/db.h"

typedef struct {
    gint64 api_daemons;
    gint64 reconcile_daemons;
    gint64 started_us; /* of the oldest daemon that lives */
    gint64 zones;
    gint64 hosts; /* not removed */
    gint64 hosts_up;
    gint64 instances; /* not terminated */
    gint64 instances_running;
    gint64 instances_failed; /* that ended with a fault in the last hour */
    gint64 agents;           /* container instances that are not deregistered */
    gint64 agents_connected;
    gint64 retries; /* objects whose last step failed */
} RegionHealth;

/* Caller frees with g_free. */
RegionHealth *health_read(DbTx *tx, GError **error);
static inline void region_health_free(RegionHealth *health)
{
    g_free(health);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RegionHealth, region_health_free)
