#include "store/retries.h"

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
