/*
 * store/placement_batch.h - the tasks of a cluster that wait for a place, and where they go
 *
 * For reconcile/. Identical tasks come as one batch. Errors: TX_CONFLICT, UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "model/placement.h"
#include "store/db.h"

typedef struct {
    gint64 service_id; /* 0: none */
    char *service_name;
    char *stuck_reason; /* last told; NULL: none */
    gint64 stuck_us;
    char *group;
    gint64 cpu, memory_mib;
    GArray *ports_tcp, *ports_udp;
    json_t *required, *definition_constraints, *constraints, *strategy;
    gint64 pinned;
    GArray *keys; /* of gint64 */
    char **ids;   /* in the same order */
} WaitingBatch;

void waiting_batch_free(WaitingBatch *batch);

/* Daemons first, then in the order in which they came; a GPtrArray of WaitingBatch. */
GPtrArray *tasks_waiting(DbTx *tx, gint64 cluster_id, GError **error);
/* The same for one task, placed or not, or a service's next one: what "berth why" explains. NULL
 * without error when there is none. */
gboolean task_as_waiting(DbTx *tx, gint64 task_key, WaitingBatch **ret_batch, GError **error);
/* Gives tasks that still wait to container instances: keys and ci_ids run in parallel. Wakes their
 * channels. */
gboolean tasks_place(DbTx *tx, const GArray *keys, const GArray *ci_ids, GError **error);
/* Remembers what was told of a placement that failed. */
gboolean services_set_stuck(DbTx *tx, gint64 service_id, const char *reason, GError **error);
/* The request for placement_run; borrows from batch. */
void waiting_request(const WaitingBatch *batch, PlacementRequest *ret_request);
