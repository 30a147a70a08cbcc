/*
 * store/task_reports.h - what agents report of tasks and containers (tables "tasks", "containers")
 *
 * Reports may come twice, late, or out of order: later states never become earlier ones, and what
 * is known is not forgotten. The same report again changes nothing. Times are UTC microseconds, 0:
 * not said. Errors: those of db.h.
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

typedef struct {
    gint64 task_key;
    gint64 ci_id;
    gint64 cluster_id;
    gint64 service_id;     /* 0: no service's */
    char *ec2_instance_id; /* of its container instance; NULL: a machine that is not ours */
    char *last_status;
    char *stop_code; /* NULL: not stopping yet */
    gboolean ever_running;
} ReportedTask;

void reported_task_free(ReportedTask *task);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReportedTask, reported_task_free)

/* The placed task, locked until the transaction ends; NULL without an error when there is none. */
ReportedTask *task_reports_find(DbTx *tx, const char *account_id, const char *task_id,
                                GError **error);

/* Containers: [{name, status, runtime_id?, exit_code?, reason?, image_digest?, bindings}].
 * *ret_changed is raised by the number of containers that changed. */
gboolean task_reports_containers(DbTx *tx, gint64 task_key, const json_t *containers,
                                 guint *ret_changed, GError **error);

/* Whether the task ran, though it may never have been RUNNING: every container that has stopped has
 * an exit code, and there is one. */
gboolean task_reports_ran(DbTx *tx, gint64 task_key, gboolean *ret_ran, GError **error);

typedef struct {
    const char *status;    /* "PENDING", "RUNNING", "STOPPED" */
    const char *stop_code; /* of a task that stopped by itself; else NULL */
    const char *stopped_reason;
    gint64 pull_started_us;
    gint64 pull_stopped_us;
    gint64 execution_stopped_us;
    const GArray *dynamic_tcp; /* gint64: host ports in use */
    const GArray *dynamic_udp;
} TaskReport;

/* Whether any of the task's containers was told to have stopped. */
gboolean task_reports_any_end(DbTx *tx, gint64 task_key, gboolean *ret_any, GError **error);

/* Records the task's part, and wakes its service when its status changed or force_wake is set, and
 * its cluster when there is room since. */
gboolean task_reports_task(DbTx *tx, const ReportedTask *task, const TaskReport *report,
                           gboolean force_wake, GError **error);
