#include "store/retries.h"
#include "base/errors.h"

#define DELAY_FIRST_MS   1000
#define DELAY_LONGEST_MS 300000
#define CAUSE_MAX        2000

gint64 retries_delay_ms(gint64 failures, gboolean permanent)
{
    if (permanent || failures > 9)
        return DELAY_LONGEST_MS;
    return MIN((gint64)DELAY_FIRST_MS << (failures > 1 ? failures - 1 : 0), DELAY_LONGEST_MS);
}

/* The delay is computed where the count is, so that two daemons agree. */
gboolean retries_record(DbPool *region, const char *kind, const char *id, const GError *cause,
                        gint64 *ret_delay_ms, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(region, DB_MODE_WRITE, error);
    g_autofree char *text = g_strndup(cause->message, CAUSE_MAX);
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    if (!tx)
        return FALSE;
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "INSERT INTO retries (kind, object_id, failures, last_error, next_try_at)"
                 " VALUES ($1, $2, 1, $3, now())"
                 " ON CONFLICT (kind, object_id) DO UPDATE SET failures = retries.failures + 1,"
                 " last_error = EXCLUDED.last_error, failed_at = now() RETURNING failures",
                 DB_ARGS(kind, id, valid));
    if (!res)
        return FALSE;
    *ret_delay_ms = retries_delay_ms(db_int64(res, 0, 0), !error_is_transient(cause));
    if (!db_exec(tx, error,
                 "UPDATE retries SET next_try_at = now() + $3::bigint * interval '1 millisecond'"
                 " WHERE kind = $1 AND object_id = $2",
                 DB_ARGS(kind, id, db_int(tx, *ret_delay_ms)), NULL))
        return FALSE;
    return db_commit(g_steal_pointer(&tx), error);
}

gboolean retries_clear(DbPool *region, const char *kind, const char *id, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(region, DB_MODE_READ, error);

    return tx && db_exec(tx, error, "DELETE FROM retries WHERE kind = $1 AND object_id = $2",
                         DB_ARGS(kind, id), NULL);
}

GHashTable *retries_waiting(DbTx *tx, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error, "SELECT kind || ':' || object_id FROM retries WHERE next_try_at > now()",
        DB_NO_ARGS);

    if (!res)
        return NULL;
    GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int i = 0; i < PQntuples(res); i++)
        g_hash_table_add(set, g_strdup(db_text(res, i, 0)));
    return set;
}

gboolean retries_each_due(DbTx *tx, void (*due)(const char *kind, const char *id, gpointer user),
                          gpointer user, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT kind, object_id FROM retries WHERE next_try_at <= now()"
                 " ORDER BY next_try_at",
                 DB_NO_ARGS);

    if (!res)
        return FALSE;
    for (int i = 0; i < PQntuples(res); i++)
        due(db_text(res, i, 0), db_text(res, i, 1), user);
    return TRUE;
}

void retry_free(Retry *retry)
{
    if (!retry)
        return;
    g_free(retry->last_error);
    g_free(retry);
}

gboolean retries_find(DbTx *tx, const char *kind, const char *id, Retry **ret_retry, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT failures, last_error, " DB_US("failed_at") ", " DB_US(
                     "next_try_at") " FROM retries"
                                    " WHERE kind = $1 AND object_id = $2",
                 DB_ARGS(kind, id));

    *ret_retry = NULL;
    if (!res || PQntuples(res) == 0)
        return res != NULL;
    Retry *retry = g_new0(Retry, 1);
    retry->failures = (gint)db_int64(res, 0, 0);
    retry->last_error = g_strdup(db_text(res, 0, 1));
    retry->failed_us = db_int64(res, 0, 2);
    retry->next_try_us = db_int64(res, 0, 3);
    *ret_retry = retry;
    return TRUE;
}
