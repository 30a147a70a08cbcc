#include "store/task_credentials.h"

gboolean task_credentials_keep(DbTx *tx, gint64 task_key, SessionKind kind, const char *role_arn,
                               gint64 expires_us, char **ret_id, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "INSERT INTO task_credentials AS c (task_key, kind, role_arn, expires_at)"
        " VALUES ($1, $2, $3, $4) ON CONFLICT (task_key, kind) DO UPDATE"
        " SET role_arn = excluded.role_arn, expires_at = excluded.expires_at, sent_at = now(),"
        " acked = false RETURNING credentials_id",
        DB_ARGS(db_int(tx, task_key), session_kind_name(kind), role_arn, db_time(tx, expires_us)));

    if (!res)
        return FALSE;
    *ret_id = g_strdup(db_text(res, 0, 0));
    return TRUE;
}

static void task_credentials_free(gpointer data)
{
    TaskCredentials *one = data;

    g_free(one->task_id);
    g_free(one->role_arn);
    g_free(one);
}

GPtrArray *task_credentials_due(DbTx *tx, gint64 ci_id, gboolean all, gint64 until_us,
                                GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT c.task_key, t.task_id, c.kind, c.role_arn FROM tasks t"
        " JOIN task_credentials c USING (task_key)"
        " WHERE t.ci_id = $1 AND t.last_status <> 'STOPPED' AND t.desired_status = 'RUNNING'"
        " AND ($2 OR c.expires_at <= $3 OR (NOT c.acked AND c.sent_at < now() - interval '30 s'))"
        " ORDER BY c.task_key, c.kind FOR NO KEY UPDATE OF t",
        DB_ARGS(db_int(tx, ci_id), db_bool(all), db_time(tx, until_us)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func(task_credentials_free);
    for (int row = 0; row < PQntuples(res); row++) {
        TaskCredentials *one = g_new0(TaskCredentials, 1);
        one->task_key = db_int64(res, row, 0);
        one->task_id = g_strdup(db_text(res, row, 1));
        one->kind = session_kind_from(db_text(res, row, 2));
        one->role_arn = g_strdup(db_text(res, row, 3));
        g_ptr_array_add(list, one);
    }
    return list;
}

gboolean task_credentials_forgotten(DbTx *tx, gint64 ci_id, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE task_credentials c SET acked = false FROM tasks t"
                   " WHERE t.task_key = c.task_key AND t.ci_id = $1 AND c.acked"
                   " AND t.last_status <> 'STOPPED'",
                   DB_ARGS(db_int(tx, ci_id)), NULL);
}

gboolean task_credentials_acked(DbTx *tx, gint64 ci_id, const char *const *ids, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE task_credentials c SET acked = true FROM tasks t"
                   " WHERE t.task_key = c.task_key AND t.ci_id = $1"
                   " AND c.credentials_id::text = ANY ($2::text[])",
                   DB_ARGS(db_int(tx, ci_id), db_text_array(tx, ids, -1)), NULL);
}

char **task_credentials_ended(DbTx *tx, gint64 since_us, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT t.task_id FROM tasks t WHERE t.last_status = 'STOPPED'"
                 " AND t.stopped_at >= $1 AND EXISTS (SELECT 1 FROM task_credentials c"
                 "  WHERE c.task_key = t.task_key)"
                 " UNION ALL SELECT instance_id FROM instances WHERE terminated_at >= $1",
                 DB_ARGS(db_time(tx, since_us)));

    if (!res)
        return NULL;
    char **ids = g_new0(char *, PQntuples(res) + 1);
    for (int row = 0; row < PQntuples(res); row++)
        ids[row] = g_strdup(db_text(res, row, 0));
    return ids;
}
