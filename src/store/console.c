#include "store/console.h"

gboolean console_want(DbTx *tx, const char *instance_id, GError **error)
{
    return db_exec(tx, error,
                   "INSERT INTO console_output (instance_id) VALUES ($1)"
                   " ON CONFLICT (instance_id) DO UPDATE SET wanted = console_output.wanted + 1,"
                   " wanted_at = now()",
                   DB_ARGS(instance_id), NULL) &&
           db_wake(tx, "instance", instance_id, error);
}

gboolean console_get(DbTx *tx, const char *instance_id, char **ret_base64, gint64 *ret_at_us,
                     GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT translate(encode(output, 'base64'), E'\\n', ''), " DB_US(
                     "at") " FROM console_output WHERE instance_id = $1",
                 DB_ARGS(instance_id));

    if (!res)
        return FALSE;
    *ret_base64 = PQntuples(res) ? g_strdup(db_text(res, 0, 0)) : NULL;
    *ret_at_us = PQntuples(res) ? db_int64(res, 0, 1) : 0;
    return TRUE;
}

gboolean console_wanted(DbTx *tx, const char *instance_id, gint64 *ret_wanted, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error, "SELECT wanted FROM console_output WHERE instance_id = $1 AND wanted > served",
        DB_ARGS(instance_id));

    if (!res)
        return FALSE;
    *ret_wanted = PQntuples(res) ? db_int64(res, 0, 0) : 0;
    return TRUE;
}

gboolean console_store(DbTx *tx, const char *instance_id, gint64 wanted, const void *data,
                       gsize length, GError **error)
{
    gsize skip = length > CONSOLE_TAIL_MAX ? length - CONSOLE_TAIL_MAX : 0;

    return db_exec(tx, error,
                   "INSERT INTO console_output (instance_id) VALUES ($1)"
                   " ON CONFLICT (instance_id) DO NOTHING",
                   DB_ARGS(instance_id), NULL) &&
           db_exec(tx, error,
                   "UPDATE console_output SET output = $3::bytea, at = now(),"
                   " served = greatest(served, $2::bigint) WHERE instance_id = $1",
                   DB_ARGS(instance_id, db_int(tx, wanted),
                           db_bytes(tx, (const char *)data + skip, length - skip)),
                   NULL);
}
