#include "store/task_reports.h"
#include "base/errors.h"
#include "store/ecs_rows.h"

#include <string.h>

void reported_task_free(ReportedTask *task)
{
    if (!task)
        return;
    g_free(task->ec2_instance_id);
    g_free(task->last_status);
    g_free(task->stop_code);
    g_free(task);
}

ReportedTask *task_reports_find(DbTx *tx, const char *account_id, const char *task_id,
                                GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT t.task_key, t.ci_id, t.cluster_id, t.service_id, i.ec2_instance_id,"
                 " t.last_status, t.stop_code, t.ever_running"
                 " FROM tasks t JOIN container_instances i USING (ci_id)"
                 " WHERE t.account_id = $1 AND t.task_id = $2 FOR NO KEY UPDATE OF t",
                 DB_ARGS(account_id, task_id));
    if (!res || PQntuples(res) == 0)
        return NULL;
    ReportedTask *task = g_new0(ReportedTask, 1);
    task->task_key = db_int64(res, 0, 0);
    task->ci_id = db_int64(res, 0, 1);
    task->cluster_id = db_int64(res, 0, 2);
    task->service_id = db_int64(res, 0, 3);
    task->ec2_instance_id = g_strdup(db_text(res, 0, 4));
    task->last_status = g_strdup(db_text(res, 0, 5));
    task->stop_code = g_strdup(db_text(res, 0, 6));
    task->ever_running = db_truth(res, 0, 7);
    return task;
}

/* The order of statuses, as SQL. */
#define RANK(status)                                                                               \
    "array_position(ARRAY['PROVISIONING', 'PENDING', 'RUNNING', 'STOPPING', 'STOPPED'], " status ")"

gboolean task_reports_containers(DbTx *tx, gint64 task_key, const json_t *containers,
                                 guint *ret_changed, GError **error)
{
    g_autofree char *text = json_dumps(containers, JSON_COMPACT);
    guint rows = 0;

    if (!db_exec(
            tx, error,
            "UPDATE containers c SET last_status = r.status,"
            " runtime_id = coalesce(r.runtime_id, c.runtime_id),"
            " exit_code = coalesce(c.exit_code, r.exit_code),"
            " reason = coalesce(nullif(r.reason, ''), c.reason),"
            " image_digest = coalesce(r.image_digest, c.image_digest),"
            " network_bindings = CASE WHEN jsonb_array_length(r.bindings) > 0 THEN r.bindings"
            "  ELSE c.network_bindings END"
            " FROM jsonb_to_recordset($2::jsonb) AS r (name text, status text, runtime_id text,"
            "  exit_code integer, reason text, image_digest text, bindings jsonb)"
            " WHERE c.task_key = $1 AND c.name = r.name"
            "  AND " RANK("r.status") " >= " RANK(
                "c.last_status") "  AND (c.last_status, c.runtime_id, c.exit_code, c.reason, "
                                 "c.image_digest,"
                                 "   c.network_bindings) IS DISTINCT FROM (r.status,"
                                 "   coalesce(r.runtime_id, c.runtime_id), coalesce(c.exit_code, "
                                 "r.exit_code),"
                                 "   coalesce(nullif(r.reason, ''), c.reason),"
                                 "   coalesce(r.image_digest, c.image_digest),"
                                 "   CASE WHEN jsonb_array_length(r.bindings) > 0 THEN r.bindings"
                                 "    ELSE c.network_bindings END)",
            DB_ARGS(db_int(tx, task_key), text), &rows))
        return FALSE;
    *ret_changed += rows;
    return TRUE;
}

gboolean task_reports_ran(DbTx *tx, gint64 task_key, gboolean *ret_ran, GError **error)
{
    return db_ask(tx, error,
                  "SELECT coalesce(bool_and(exit_code IS NOT NULL), false) FROM containers"
                  " WHERE task_key = $1 AND last_status = 'STOPPED'",
                  DB_ARGS(db_int(tx, task_key)), ret_ran);
}

gboolean task_reports_any_end(DbTx *tx, gint64 task_key, gboolean *ret_any, GError **error)
{
    return db_ask(
        tx, error,
        "SELECT EXISTS (SELECT 1 FROM containers WHERE task_key = $1 AND last_status = 'STOPPED')",
        DB_ARGS(db_int(tx, task_key)), ret_any);
}

static const char *time_or_null(DbTx *tx, gint64 us)
{
    return us ? db_time(tx, us) : NULL;
}

/* What becomes of the columns when the task moves forward to $2. */
#define MOVE_TASK                                                                                  \
    "UPDATE tasks SET last_status = $2, version = version + 1,"                                    \
    " ever_running = ever_running OR $2 = 'RUNNING',"                                              \
    " started_at = CASE WHEN $2 = 'RUNNING' THEN coalesce(started_at, now()) ELSE started_at END," \
    " desired_status = CASE $2 WHEN 'STOPPED' THEN 'STOPPED' ELSE desired_status END,"             \
    " stopping_at = CASE $2 WHEN 'STOPPED' THEN coalesce(stopping_at, now())"                      \
    "  ELSE stopping_at END,"                                                                      \
    " stopped_at = CASE $2 WHEN 'STOPPED' THEN now() END,"                                         \
    " stop_code = coalesce(stop_code, $3),"                                                        \
    " stopped_reason = coalesce(stopped_reason, $4)"                                               \
    " WHERE task_key = $1 AND " RANK("last_status") " < " RANK("$2")

static gboolean move_task(DbTx *tx, const ReportedTask *task, const TaskReport *report,
                          gboolean *ret_moved, GError **error)
{
    const char *key = db_int(tx, task->task_key);
    guint rows = 0;

    if (!db_exec(tx, error, MOVE_TASK,
                 DB_ARGS(key, report->status, report->stop_code, report->stopped_reason), &rows))
        return FALSE;
    *ret_moved = rows > 0;
    if (!*ret_moved || strcmp(report->status, "STOPPED") != 0)
        return TRUE;
    return db_exec(tx, error,
                   "UPDATE containers SET last_status = 'STOPPED'"
                   " WHERE task_key = $1 AND last_status <> 'STOPPED'",
                   DB_ARGS(key), NULL);
}

/* A port stays with its task until that has stopped. */
#define ADD_PORTS(column, fixed, ports)                                                            \
    column " = ARRAY(SELECT DISTINCT port FROM unnest(" column " || " ports "::integer[]) AS port" \
           " WHERE port <> ALL(" fixed ") ORDER BY port)"

static gboolean add_facts(DbTx *tx, const ReportedTask *task, const TaskReport *report,
                          GError **error)
{
    if (!report->pull_started_us && !report->pull_stopped_us && !report->execution_stopped_us &&
        report->dynamic_tcp->len + report->dynamic_udp->len == 0)
        return TRUE;
    return db_exec(
        tx, error,
        "UPDATE tasks SET pull_started_at = coalesce(pull_started_at, $2),"
        " pull_stopped_at = coalesce(pull_stopped_at, $3),"
        " execution_stopped_at = coalesce(execution_stopped_at, $4),"
        " " ADD_PORTS("dynamic_tcp", "ports_tcp", "$5") ","
                                                        " " ADD_PORTS("dynamic_udp", "ports_udp",
                                                                      "$6") " WHERE task_key = $1",
        DB_ARGS(db_int(tx, task->task_key), time_or_null(tx, report->pull_started_us),
                time_or_null(tx, report->pull_stopped_us),
                time_or_null(tx, report->execution_stopped_us), ints_param(tx, report->dynamic_tcp),
                ints_param(tx, report->dynamic_udp)),
        NULL);
}

gboolean task_reports_task(DbTx *tx, const ReportedTask *task, const TaskReport *report,
                           gboolean force_wake, GError **error)
{
    gboolean moved = FALSE;

    if (!add_facts(tx, task, report, error) || !move_task(tx, task, report, &moved, error))
        return FALSE;
    if (!moved && !force_wake)
        return TRUE;
    gboolean makes_room = moved && strcmp(report->status, "STOPPED") == 0;
    return (!makes_room || db_wake(tx, "cluster", db_int(tx, task->cluster_id), error)) &&
           (!task->service_id || db_wake(tx, "service", db_int(tx, task->service_id), error));
}
