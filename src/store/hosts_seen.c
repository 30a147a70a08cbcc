#include "store/hosts_seen.h"

gboolean hosts_uri_shared(DbTx *tx, const char *host_id, const char *uri, gboolean *ret_shared,
                          GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT EXISTS (SELECT FROM hosts WHERE uri = $2 AND host_id <> $1"
                 " AND desired <> 'removed')",
                 DB_ARGS(host_id, uri));

    if (!res)
        return FALSE;
    *ret_shared = db_truth(res, 0, 0);
    return TRUE;
}

gboolean hosts_wake_uri(DbTx *tx, const char *uri, GError **error)
{
    return db_exec(tx, error,
                   "SELECT pg_notify('berth_wake', 'host:' || host_id) FROM hosts"
                   " WHERE uri = $1 AND desired <> 'removed'",
                   DB_ARGS(uri), NULL);
}
