#include "store/history.h"

gboolean history_add(DbTx *tx, const char *kind, const char *id, const char *what, GError **error)
{
    return history_add_all(tx, kind, (const char *const[]){ id, NULL }, what, error);
}

gboolean history_add_all(DbTx *tx, const char *kind, const char *const *ids, const char *what,
                         GError **error)
{
    return db_exec(tx, error,
                   "INSERT INTO history (kind, object_id, what) SELECT $1, unnest($2::text[]), $3",
                   DB_ARGS(kind, db_text_array(tx, ids, -1), what), NULL);
}

#define NEWEST_US DB_US("max(at)")

gboolean history_find(DbTx *tx, const char *id, const char *what, gint64 *ret_at_us, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error, "SELECT " NEWEST_US " FROM history WHERE object_id = $1 AND what = $2",
                 DB_ARGS(id, what));

    if (!res)
        return FALSE;
    *ret_at_us = db_int64(res, 0, 0);
    return TRUE;
}

void history_entry_free(HistoryEntry *entry)
{
    g_free(entry->what);
    g_free(entry);
}

GPtrArray *history_list(DbTx *tx, const char *id, guint limit, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " DB_US("at") ", what FROM history"
                                       " WHERE object_id = $1 ORDER BY history_id DESC"
                                       " LIMIT $2::bigint",
                 DB_ARGS(id, db_int(tx, limit)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)history_entry_free);
    for (int row = 0; row < PQntuples(res); row++) {
        HistoryEntry *entry = g_new0(HistoryEntry, 1);
        entry->at_us = db_int64(res, row, 0);
        entry->what = g_strdup(db_text(res, row, 1));
        g_ptr_array_add(list, entry);
    }
    return list;
}
