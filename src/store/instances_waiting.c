#include "store/instances_waiting.h"

gboolean instances_wake_waiting(DbTx *tx, const char *host_id, const char *image_id, GError **error)
{
    return db_exec(tx, error,
                   "SELECT pg_notify('berth_wake', 'instance:' || instance_id) FROM instances"
                   " WHERE host_id = $1 AND image_id = $2 AND terminated_at IS NULL"
                   " AND NOT ever_defined",
                   DB_ARGS(host_id, image_id), NULL);
}

gboolean instances_fault_waiting(DbTx *tx, const char *host_id, const char *image_id,
                                 const char *message, GError **error)
{
    return db_exec(tx, error,
                   "WITH ended AS (UPDATE instances SET fault = 'Server.InternalError',"
                   " fault_message = $3 WHERE host_id = $1 AND image_id = $2"
                   " AND terminated_at IS NULL AND NOT ever_defined AND fault IS NULL"
                   " RETURNING instance_id)"
                   " SELECT pg_notify('berth_wake', 'instance:' || instance_id) FROM ended",
                   DB_ARGS(host_id, image_id, message), NULL);
}

void living_instance_free(LivingInstance *living)
{
    g_free(living->id);
    g_free(living->mac);
    g_free(living->seen);
    g_free(living->uri);
    g_free(living);
}

GHashTable *instances_living(DbTx *tx, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT i.instance_id, i.mac, i.seen, h.uri FROM instances i"
                 " JOIN hosts h USING (host_id) WHERE i.terminated_at IS NULL",
                 DB_NO_ARGS);

    if (!res)
        return NULL;
    GHashTable *all =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)living_instance_free);
    for (int i = 0; i < PQntuples(res); i++) {
        LivingInstance *living = g_new0(LivingInstance, 1);
        living->id = g_strdup(db_text(res, i, 0));
        living->mac = g_strdup(db_text(res, i, 1));
        living->seen = g_strdup(db_text(res, i, 2));
        living->uri = g_strdup(db_text(res, i, 3));
        g_hash_table_insert(all, living->id, living);
    }
    return all;
}
