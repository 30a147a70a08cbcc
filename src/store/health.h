/*
 * store/health.h - counts over a region's tables, and who is not well, for its status
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
    gint64 hosts_away; /* not reached, with instances */
    gint64 instances;  /* not terminated */
    gint64 instances_running;
    gint64 instances_failed; /* with a fault, and not terminated yet */
    gint64 agents;           /* container instances neither deregistered nor to be stopped */
    gint64 agents_connected;
    gint64 retries; /* objects whose last step failed */
    /* The first HEALTH_NAMED that are not well, each with why: "i-1: no disk; i-2: ..."; "" for
     * none */
    char *hosts_ill;
    char *instances_ill;
    char *agents_ill;
    char *retries_ill;
} RegionHealth;

#define HEALTH_NAMED "3"

/* Caller frees. */
RegionHealth *health_read(DbTx *tx, GError **error);
void region_health_free(RegionHealth *health);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RegionHealth, region_health_free)
