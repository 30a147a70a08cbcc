#include "store/task_protection.h"

gboolean task_protection_get(DbTx *tx, gint64 cluster_id, const char *task_id,
                             TaskProtection *ret_protection, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT service_id IS NOT NULL AND desired_status = 'RUNNING' AND last_status <> 'STOPPED',"
        " CASE WHEN protected_until > now() THEN " DB_US(
            "protected_until") " ELSE 0 END"
                               " FROM tasks WHERE cluster_id = $1 AND task_id = $2",
        DB_ARGS(db_int(tx, cluster_id), task_id));

    *ret_protection = (TaskProtection){ 0 };
    if (!res)
        return FALSE;
    if (PQntuples(res) > 0)
        *ret_protection = (TaskProtection){ TRUE, db_truth(res, 0, 0), db_int64(res, 0, 1) };
    return TRUE;
}

gboolean task_protection_set(DbTx *tx, gint64 cluster_id, const char *task_id, gint64 until_us,
                             GError **error)
{
    return db_exec(
        tx, error,
        "WITH asked AS (UPDATE tasks SET protected_until = $3, version = version + 1"
        "  WHERE cluster_id = $1 AND task_id = $2 RETURNING service_id)"
        " SELECT pg_notify('berth_wake', 'service:' || service_id) FROM asked"
        " WHERE service_id IS NOT NULL",
        DB_ARGS(db_int(tx, cluster_id), task_id, until_us ? db_time(tx, until_us) : NULL), NULL);
}
