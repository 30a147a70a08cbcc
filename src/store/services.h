/*
 * store/services.h - rows of tables "services", "deployments" and "service_events"
 *
 * handlers/ writes what is wanted, reconcile/ what is seen; database grants enforce it. Times are
 * UTC microseconds, 0: never. Errors: TX_CONFLICT, UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

typedef struct {
    gint64 id;
    char *account_id;
    gint64 cluster_id;
    char *cluster_name;
    char *name;
    char *status; /* ACTIVE, DRAINING, INACTIVE */
    gint64 desired_count;
    char *scheduling_strategy; /* REPLICA, DAEMON */
    char *launch_type;
    gint64 minimum_percent, maximum_percent;
    json_t *constraints, *strategy;
    json_t *details; /* given back: by the names of the SDKs */
    char *created_by;
    gint64 created_us;
    gint64 failed_starts, next_start_us, steady_us, stuck_us;
    char *stuck_reason;
} EcsService; /* "Service" is shape.h's word for an API */

void service_free(EcsService *service);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EcsService, service_free)

typedef enum { SERVICE_READ, SERVICE_LOCK } ServiceLock;

/* The service of this name that is not INACTIVE, or the last INACTIVE one; *ret_service is NULL
 * when there is none. */
gboolean services_find(DbTx *tx, gint64 cluster_id, const char *name, ServiceLock lock,
                       EcsService **ret_service, GError **error);
gboolean services_get_by_id(DbTx *tx, gint64 service_id, ServiceLock lock, EcsService **ret_service,
                            GError **error);
/* One for each of names that exists; a GPtrArray of EcsService. */
GPtrArray *services_describe(DbTx *tx, gint64 cluster_id, const char *const *names, gsize count,
                             GError **error);
/* Names of ACTIVE services after this one, in order; a GPtrArray of char *. NULL filters: any. */
GPtrArray *services_list(DbTx *tx, gint64 cluster_id, const char *launch_type,
                         const char *scheduling_strategy, const char *after, gint64 limit,
                         GError **error);
/* Adds the service and sets its id. */
gboolean services_add(DbTx *tx, EcsService *service, GError **error);
/* Writes status, counts, percentages, placement and details; forgets failed starts. Wakes it. */
gboolean services_update(DbTx *tx, const EcsService *service, GError **error);
/* Whether tasks of it are not STOPPED yet. */
gboolean services_hold_tasks(DbTx *tx, gint64 service_id, gboolean *ret_holds, GError **error);
gboolean services_wake(DbTx *tx, gint64 service_id, GError **error);
/* Wakes every service that may have tasks on the container instance: those that have, and daemons.
 */
gboolean services_wake_for_instance(DbTx *tx, gint64 ci_id, GError **error);

typedef struct {
    char *id;
    gint64 service_id;
    char *status; /* PRIMARY, ACTIVE, INACTIVE */
    gint64 task_definition_id;
    char *family;
    gint64 revision;
    gint64 desired_count, failed_tasks;
    char *rollout_state, *rollout_reason;
    gint64 created_us, updated_us;
    gint64 pending, running; /* derived from its tasks */
} Deployment;

void deployment_free(Deployment *deployment);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Deployment, deployment_free)

/* PRIMARY and ACTIVE ones of these services, PRIMARY first; a GPtrArray of Deployment. */
GPtrArray *deployments_of(DbTx *tx, const gint64 *service_ids, gsize count, GError **error);
/* Makes a new PRIMARY; the one before becomes ACTIVE. Caller frees the id. */
char *deployments_begin(DbTx *tx, gint64 service_id, gint64 task_definition_id,
                        gint64 desired_count, const char *reason, GError **error);
/* The definition of the newest deployment that completed, but for this one; 0: there is none. */
gboolean deployments_last_completed(DbTx *tx, gint64 service_id, const char *but,
                                    gint64 *ret_task_definition_id, char **ret_id, GError **error);
/* Writes what the scheduler sees of PRIMARY. */
gboolean deployments_set(DbTx *tx, const char *id, gint64 desired_count, gint64 failed_tasks,
                         const char *rollout_state, const char *reason, GError **error);
/* Ends ACTIVE deployments that hold no task, tells the others how many tasks they have left, and
 * ends PRIMARY too when all is set. */
gboolean deployments_retire(DbTx *tx, gint64 service_id, gboolean all, GError **error);

typedef struct {
    gint64 service_id;
    char *id;
    gint64 created_us;
    char *message;
} ServiceEvent;

void service_event_free(ServiceEvent *event);
/* The newest limit events of each service, newest first; a GPtrArray of ServiceEvent. */
GPtrArray *service_events_of(DbTx *tx, const gint64 *service_ids, gsize count, gint64 limit,
                             GError **error);
/* Adds "(service NAME) TEXT" and drops events beyond the newest 100. */
gboolean service_events_add(DbTx *tx, gint64 service_id, const char *service_name, const char *text,
                            GError **error);
