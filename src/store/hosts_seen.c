#include "store/hosts_seen.h"

#include <string.h>

gboolean hosts_uri_shared(DbTx *tx, const char *host_id, const char *uri, gboolean *ret_shared,
                          GError **error)
{
    return db_ask(tx, error,
                  "SELECT EXISTS (SELECT FROM hosts WHERE uri = $2 AND host_id <> $1"
                  " AND desired <> 'removed')",
                  DB_ARGS(host_id, uri), ret_shared);
}

gboolean hosts_machine_owner(DbTx *tx, const char *host_id, const char *uri, const char *machine,
                             char **ret_owner, GError **error)
{
    if (!db_exec(tx, error, "SELECT pg_advisory_xact_lock(hashtext('machine ' || $1))",
                 DB_ARGS(machine), NULL))
        return FALSE;
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT host_id FROM hosts WHERE machine = $3 AND uri <> $2 AND host_id <> $1"
                 " AND desired <> 'removed' ORDER BY host_id LIMIT 1",
                 DB_ARGS(host_id, uri, machine));
    if (!res)
        return FALSE;
    *ret_owner = PQntuples(res) ? g_strdup(db_text(res, 0, 0)) : NULL;
    return TRUE;
}

gboolean hosts_wake_uri(DbTx *tx, const char *uri, gboolean all, GError **error)
{
    return db_exec(tx, error,
                   "SELECT pg_notify('berth_wake', 'host:' || host_id) FROM hosts"
                   " WHERE uri = $1 AND desired <> 'removed' AND ($2::boolean OR state <> 'up')",
                   DB_ARGS(uri, db_bool(all)), NULL);
}

gboolean hosts_wake_instances(DbTx *tx, const char *host_id, GError **error)
{
    return db_exec(tx, error,
                   "SELECT pg_notify('berth_wake', 'instance:' || instance_id) FROM instances"
                   " WHERE host_id = $1 AND terminated_at IS NULL",
                   DB_ARGS(host_id), NULL);
}

/* -- trouble */
#define TROUBLE_SQL                                                                                \
    "SELECT host_id, state, network FROM hosts"                                                    \
    " WHERE (state <> 'up' OR network = 'apart') AND ($1::text IS NULL OR host_id = $1)"

static HostTrouble trouble_of(const PGresult *res, int row)
{
    const char *state = db_text(res, row, 1);

    if (strcmp(state, "up") == 0)
        return HOST_TROUBLE_APART;
    return strcmp(state, "down") == 0 ? HOST_TROUBLE_DOWN : HOST_TROUBLE_UNKNOWN;
}

GHashTable *hosts_troubled(DbTx *tx, GError **error)
{
    g_autoptr(PGresult) res = db_query(tx, error, TROUBLE_SQL, DB_ARGS(NULL));

    if (!res)
        return NULL;
    GHashTable *hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int row = 0; row < PQntuples(res); row++)
        g_hash_table_insert(hosts, g_strdup(db_text(res, row, 0)),
                            GUINT_TO_POINTER(trouble_of(res, row)));
    return hosts;
}

gboolean hosts_trouble(DbTx *tx, const char *host_id, HostTrouble *ret_trouble, GError **error)
{
    g_autoptr(PGresult) res = db_query(tx, error, TROUBLE_SQL, DB_ARGS(host_id));

    if (!res)
        return FALSE;
    *ret_trouble = PQntuples(res) ? trouble_of(res, 0) : HOST_TROUBLE_NONE;
    return TRUE;
}
