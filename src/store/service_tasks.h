/*
 * store/service_tasks.h - what the scheduler of a service reads and what it records
 *
 * For reconcile/. Times are UTC microseconds. Errors: TX_CONFLICT, UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "model/service_plan.h"
#include "store/services.h"

/* The tasks of a service that are not STOPPED: keys, ids and facts run in parallel. */
typedef struct {
    PGresult *rows;       /* owns the texts */
    GArray *keys;         /* of gint64 */
    GPtrArray *ids;       /* of char *, borrowed */
    GArray *tasks;        /* of PlanTask */
    gboolean primary_ran; /* one of PRIMARY has been RUNNING */
} ServiceTasks;

ServiceTasks *service_tasks_load(DbTx *tx, gint64 service_id, const char *primary, GError **error);
void service_tasks_free(ServiceTasks *tasks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ServiceTasks, service_tasks_free)

/* Takes ended tasks into account once: how many of PRIMARY ended without having run, by no one's
 * will. */
gboolean service_tasks_count_ended(DbTx *tx, gint64 service_id, const char *primary,
                                   gint64 *ret_failures, GError **error);
/* Whether any task of the deployment, ended or not, has been RUNNING. */
gboolean deployment_ever_ran(DbTx *tx, const char *deployment_id, gboolean *ret_ran,
                             GError **error);
/* Ids of DRAINING container instances with tasks that are no daemons: a set of ids as pointers. */
GHashTable *draining_with_others(DbTx *tx, gint64 cluster_id, GError **error);

/* Writes what was seen of the service: failed_starts, next_start_us, steady_us, stuck_us and
 * stuck_reason of the record. */
gboolean services_set_seen(DbTx *tx, const EcsService *service, GError **error);
/* Ends a service that was deleted and holds no task. */
gboolean services_end(DbTx *tx, gint64 service_id, GError **error);
