#include "store/service_tasks.h"

#include <string.h>

/* SQL: times of rows as microseconds. */
#define CREATED_US   DB_US("t.created_at")
#define PROTECTED_US DB_US("t.protected_until")

/* SQL: an essential container of the definition has a health check. */
#define CHECKS_HEALTH                                                                              \
    "jsonb_path_exists(d.definition, '$.containerDefinitions[*] ? (@.essential == true"            \
    " && exists(@.healthCheck) && @.healthCheck.command[0] != \"NONE\")')"

void service_tasks_free(ServiceTasks *tasks)
{
    if (!tasks)
        return;
    PQclear(tasks->rows);
    g_array_unref(tasks->keys);
    g_ptr_array_unref(tasks->ids);
    g_array_unref(tasks->tasks);
    g_free(tasks);
}

static void read_task(ServiceTasks *tasks, int row, const char *primary)
{
    const PGresult *res = tasks->rows;
    gint64 key = db_int64(res, row, 0);
    gboolean running = strcmp(db_text(res, row, 5), "RUNNING") == 0;
    PlanTask task = {
        .deployment_id = db_text(res, row, 2),
        .instance = db_int64(res, row, 3),
        .zone = db_text(res, row, 4),
        .running = running,
        .healthy = running && db_truth(res, row, 6),
        .sick = running && db_truth(res, row, 7),
        .stopping = db_truth(res, row, 8),
        .lost = db_truth(res, row, 9),
        .draining = db_truth(res, row, 10),
        .created_us = db_int64(res, row, 11),
        .protected_us = db_int64(res, row, 13),
    };

    g_array_append_val(tasks->keys, key);
    g_ptr_array_add(tasks->ids, (gpointer)db_text(res, row, 1));
    g_array_append_val(tasks->tasks, task);
    tasks->primary_ran |= db_truth(res, row, 12) && strcmp(task.deployment_id, primary) == 0;
}

ServiceTasks *service_tasks_load(DbTx *tx, gint64 service_id, const char *primary, GError **error)
{
    PGresult *res = db_query(
        tx, error,
        "SELECT t.task_key, t.task_id, t.deployment_id, coalesce(t.ci_id, t.pinned_ci_id),"
        " ci.zone_name, t.last_status, t.health_status = 'HEALTHY' OR NOT " CHECKS_HEALTH ","
        " t.health_status = 'UNHEALTHY', t.desired_status = 'STOPPED',"
        " coalesce(ci.lost_at IS NOT NULL OR ci.status = 'INACTIVE', false),"
        " coalesce(ci.status = 'DRAINING', false), " CREATED_US ", t.ever_running,"
        " CASE WHEN t.protected_until > now() THEN " PROTECTED_US " ELSE 0 END"
        " FROM tasks t JOIN task_definitions d USING (task_definition_id)"
        " LEFT JOIN container_instances ci ON ci.ci_id = t.ci_id"
        " WHERE t.service_id = $1 AND t.last_status <> 'STOPPED' ORDER BY t.task_key",
        DB_ARGS(db_int(tx, service_id)));

    if (!res)
        return NULL;
    ServiceTasks *tasks = g_new0(ServiceTasks, 1);
    tasks->rows = res;
    tasks->keys = g_array_new(FALSE, FALSE, sizeof(gint64));
    tasks->ids = g_ptr_array_new();
    tasks->tasks = g_array_new(FALSE, FALSE, sizeof(PlanTask));
    for (int row = 0; row < PQntuples(res); row++)
        read_task(tasks, row, primary);
    return tasks;
}

gboolean service_tasks_count_ended(DbTx *tx, gint64 service_id, const char *primary,
                                   gint64 *ret_failures, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "WITH ended AS (UPDATE tasks SET counted = true WHERE service_id = $1"
                 "   AND last_status = 'STOPPED' AND NOT counted"
                 "   RETURNING deployment_id, ever_running, stop_code)"
                 " SELECT count(*) FROM ended WHERE deployment_id = $2 AND NOT ever_running"
                 " AND coalesce(stop_code, '') NOT IN"
                 "  ('UserInitiated', 'ServiceSchedulerInitiated', 'TerminationNotice')",
                 DB_ARGS(db_int(tx, service_id), primary));

    if (!res)
        return FALSE;
    *ret_failures = db_int64(res, 0, 0);
    return TRUE;
}

gboolean deployment_ever_ran(DbTx *tx, const char *deployment_id, gboolean *ret_ran, GError **error)
{
    return db_ask(tx, error,
                  "SELECT EXISTS (SELECT 1 FROM tasks WHERE deployment_id = $1 AND ever_running)",
                  DB_ARGS(deployment_id), ret_ran);
}

GHashTable *draining_with_others(DbTx *tx, gint64 cluster_id, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT DISTINCT t.ci_id FROM tasks t JOIN container_instances ci ON ci.ci_id = t.ci_id"
        " LEFT JOIN services s ON s.service_id = t.service_id WHERE t.cluster_id = $1"
        " AND ci.status = 'DRAINING' AND t.last_status <> 'STOPPED'"
        " AND coalesce(s.scheduling_strategy, 'REPLICA') <> 'DAEMON'",
        DB_ARGS(db_int(tx, cluster_id)));

    if (!res)
        return NULL;
    GHashTable *set = g_hash_table_new(NULL, NULL);
    for (int row = 0; row < PQntuples(res); row++)
        g_hash_table_add(set, GSIZE_TO_POINTER((gsize)db_int64(res, row, 0)));
    return set;
}

static const char *optional_time(DbTx *tx, gint64 us)
{
    return us ? db_time(tx, us) : NULL;
}

gboolean services_set_seen(DbTx *tx, const EcsService *s, GError **error)
{
    return db_exec(
        tx, error,
        "UPDATE services SET failed_starts = $2, next_start_at = $3, steady_at = $4, stuck_at = $5,"
        " stuck_reason = $6 WHERE service_id = $1 AND (failed_starts, next_start_at, steady_at,"
        " stuck_at, stuck_reason) IS DISTINCT FROM ($2::integer, $3::timestamptz,"
        " $4::timestamptz, $5::timestamptz, $6::text)",
        DB_ARGS(db_int(tx, s->id), db_int(tx, s->failed_starts),
                optional_time(tx, s->next_start_us), optional_time(tx, s->steady_us),
                optional_time(tx, s->stuck_us), s->stuck_reason),
        NULL);
}

gboolean services_end(DbTx *tx, gint64 service_id, GError **error)
{
    return db_exec(tx, error, "UPDATE services SET status = 'INACTIVE' WHERE service_id = $1",
                   DB_ARGS(db_int(tx, service_id)), NULL);
}
