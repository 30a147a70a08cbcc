#include "store/images_used.h"

gboolean images_used(DbTx *tx, const char *image_id, gboolean *ret_used, GError **error)
{
    return db_ask(tx, error,
                  "SELECT EXISTS (SELECT FROM instances WHERE image_id = $1"
                  " AND terminated_at IS NULL)",
                  DB_ARGS(image_id), ret_used);
}

char **images_orphaned_blobs(DbTx *tx, const char *image_id, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT DISTINCT sha256 FROM images m,"
        " unnest(ARRAY[m.disk_sha256, m.kernel_sha256, m.initrd_sha256]) sha256"
        " WHERE m.image_id = $1 AND sha256 IS NOT NULL AND NOT EXISTS (SELECT FROM images o"
        " WHERE o.image_id <> m.image_id AND o.state NOT IN ('deregistered', 'failed')"
        " AND sha256 IN (o.disk_sha256, o.kernel_sha256, o.initrd_sha256))",
        DB_ARGS(image_id));

    if (!res)
        return NULL;
    char **list = g_new0(char *, PQntuples(res) + 1);
    for (int i = 0; i < PQntuples(res); i++)
        list[i] = g_strdup(db_text(res, i, 0));
    return list;
}

GHashTable *images_kept(DbTx *tx, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT m.image_id FROM images m WHERE m.desired = 'available'"
                 " OR EXISTS (SELECT FROM instances i WHERE i.image_id = m.image_id"
                 " AND i.terminated_at IS NULL)",
                 DB_NO_ARGS);

    if (!res)
        return NULL;
    GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int i = 0; i < PQntuples(res); i++)
        g_hash_table_add(set, g_strdup(db_text(res, i, 0)));
    return set;
}
