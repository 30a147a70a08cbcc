#include "store/tags.h"
#include "base/errors.h"

void tag_free(Tag *tag)
{
    g_free(tag->resource_id);
    g_free(tag->resource_type);
    g_free(tag->key);
    g_free(tag->value);
    g_free(tag);
}

GHashTable *tags_owners(DbTx *tx, const char *account_id, const char *const *ids, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT w.id, f.type FROM unnest($2::text[]) AS w (id), LATERAL ("
        " SELECT 'instance' AS type FROM instances WHERE account_id = $1 AND instance_id = w.id"
        " UNION ALL SELECT 'volume' FROM instances WHERE account_id = $1 AND root_volume_id = w.id"
        " UNION ALL SELECT 'network-interface' FROM instances WHERE account_id = $1"
        " AND eni_id = w.id"
        " UNION ALL SELECT 'image' FROM images WHERE account_id = $1 AND image_id = w.id"
        " UNION ALL SELECT 'snapshot' FROM images WHERE account_id = $1 AND snapshot_id = w.id"
        " UNION ALL SELECT 'key-pair' FROM key_pairs WHERE account_id = $1"
        " AND key_pair_id = w.id) f",
        DB_ARGS(account_id, db_text_array(tx, ids, -1)));

    if (!res)
        return NULL;
    GHashTable *owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int row = 0; row < PQntuples(res); row++)
        g_hash_table_insert(owners, g_strdup(db_text(res, row, 0)),
                            (gpointer)g_intern_string(db_text(res, row, 1)));
    return owners;
}

gboolean tags_set(DbTx *tx, const char *account_id, const char *const *ids,
                  const char *const *types, const char *const *keys, const char *const *values,
                  GError **error)
{
    const char *resources = db_text_array(tx, ids, -1);

    if (!db_exec(tx, error,
                 "INSERT INTO tags (account_id, resource_id, resource_type, key, value)"
                 " SELECT $1, r.id, r.type, t.key, t.value"
                 " FROM (SELECT DISTINCT * FROM unnest($2::text[], $3::text[]) AS u (id, type)) r,"
                 " unnest($4::text[], $5::text[]) AS t (key, value)"
                 " ORDER BY r.id, t.key"
                 " ON CONFLICT (resource_id, key) DO UPDATE SET value = excluded.value",
                 DB_ARGS(account_id, resources, db_text_array(tx, types, -1),
                         db_text_array(tx, keys, -1), db_text_array(tx, values, -1)),
                 NULL))
        return FALSE;
    g_autoptr(PGresult) res = db_query(tx, error,
                                       "SELECT 1 FROM tags WHERE resource_id = ANY ($1::text[])"
                                       " GROUP BY resource_id HAVING count(*) > $2::bigint LIMIT 1",
                                       DB_ARGS(resources, db_int(tx, TAGS_MAX)));
    if (!res)
        return FALSE;
    if (PQntuples(res))
        return fail(error, TAG_LIMIT,
                    "The maximum number of Tags for a resource has been reached.");
    return TRUE;
}

/* The array's form of NULL is a text no value can be: one of 257 characters. */
static const char *any_value(void)
{
    static const char mark[] = "****************************************************************"
                               "****************************************************************"
                               "****************************************************************"
                               "****************************************************************"
                               "*";
    return mark;
}

gboolean tags_remove(DbTx *tx, const char *account_id, const char *const *ids,
                     const char *const *keys, const char *const *values, guint count,
                     GError **error)
{
    const char *resources = db_text_array(tx, ids, -1);
    g_autofree const char **wanted = g_new(const char *, count + 1);

    if (!keys)
        return db_exec(tx, error,
                       "DELETE FROM tags WHERE account_id = $1 AND resource_id = ANY ($2::text[])",
                       DB_ARGS(account_id, resources), NULL);
    for (guint n = 0; n < count; n++)
        wanted[n] = values[n] ? values[n] : any_value();
    return db_exec(tx, error,
                   "DELETE FROM tags g USING unnest($3::text[], $4::text[]) AS w (key, value)"
                   " WHERE g.account_id = $1 AND g.resource_id = ANY ($2::text[])"
                   " AND g.key = w.key AND (length(w.value) > 256 OR g.value = w.value)",
                   DB_ARGS(account_id, resources, db_text_array(tx, keys, count),
                           db_text_array(tx, wanted, count)),
                   NULL);
}

gboolean tags_forget(DbTx *tx, const char *const *ids, GError **error)
{
    return db_exec(tx, error, "DELETE FROM tags WHERE resource_id = ANY ($1::text[])",
                   DB_ARGS(db_text_array(tx, ids, -1)), NULL);
}

GPtrArray *tags_list(DbTx *tx, const char *account_id, const char *const *ids, const char *after_id,
                     const char *after_key, guint limit, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT resource_id, resource_type, key, value FROM tags WHERE account_id = $1"
                 " AND ($2::text[] IS NULL OR resource_id = ANY ($2::text[]))"
                 " AND (resource_id, key) > ($3, $4)"
                 " ORDER BY resource_id, key LIMIT nullif($5::bigint, 0)",
                 DB_ARGS(account_id, ids ? db_text_array(tx, ids, -1) : NULL,
                         after_id ? after_id : "", after_key ? after_key : "", db_int(tx, limit)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)tag_free);
    for (int row = 0; row < PQntuples(res); row++) {
        Tag *tag = g_new0(Tag, 1);
        tag->resource_id = g_strdup(db_text(res, row, 0));
        tag->resource_type = g_strdup(db_text(res, row, 1));
        tag->key = g_strdup(db_text(res, row, 2));
        tag->value = g_strdup(db_text(res, row, 3));
        g_ptr_array_add(list, tag);
    }
    return list;
}
