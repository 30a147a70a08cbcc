#include "store/ecs_tags.h"
#include "store/ecs_rows.h"

gboolean ecs_tags_put(DbTx *tx, const char *account_id, const char *type, const char *const *arns,
                      gsize count, const json_t *tags, GError **error)
{
    g_autofree char *text = json_dumps(tags, JSON_COMPACT | JSON_ENCODE_ANY);

    if (json_array_size(tags) == 0)
        return TRUE;
    return db_exec(tx, error,
                   "INSERT INTO tags (account_id, resource_id, resource_type, key, value)"
                   " SELECT $1, arn, $2, tag->>'key', coalesce(tag->>'value', '')"
                   " FROM unnest($3::text[]) arn, jsonb_array_elements($4::jsonb) tag"
                   " ON CONFLICT (resource_id, key) DO UPDATE SET value = EXCLUDED.value",
                   DB_ARGS(account_id, type, db_text_array(tx, arns, (gssize)count), text), NULL);
}

gboolean ecs_tags_remove(DbTx *tx, const char *account_id, const char *arn, const json_t *keys,
                         GError **error)
{
    g_autofree char *text = json_dumps(keys, JSON_COMPACT);

    return db_exec(tx, error,
                   "DELETE FROM tags WHERE account_id = $1 AND resource_id = $2"
                   " AND key IN (SELECT jsonb_array_elements_text($3::jsonb))",
                   DB_ARGS(account_id, arn, text), NULL);
}

gboolean ecs_tags_clear(DbTx *tx, const char *account_id, const char *arn, GError **error)
{
    return db_exec(tx, error, "DELETE FROM tags WHERE account_id = $1 AND resource_id = $2",
                   DB_ARGS(account_id, arn), NULL);
}

json_t *ecs_tags_of(DbTx *tx, const char *account_id, const char *const *arns, gsize count,
                    GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT resource_id, key, value FROM tags WHERE account_id = $1"
                 " AND resource_id = ANY($2::text[]) ORDER BY resource_id, key",
                 DB_ARGS(account_id, db_text_array(tx, arns, (gssize)count)));

    if (!res)
        return NULL;
    json_t *found = json_object();
    for (int row = 0; row < PQntuples(res); row++) {
        const char *arn = db_text(res, row, 0);
        json_t *list = json_object_get(found, arn);
        if (!list) {
            list = json_array();
            json_object_set_new(found, arn, list);
        }
        json_array_append_new(list, json_pack("{s:s,s:s}", "key", db_text(res, row, 1), "value",
                                              db_text(res, row, 2)));
    }
    return found;
}

gboolean ecs_tags_copy(DbTx *tx, const char *account_id, const char *from, const char *type,
                       const char *const *arns, gsize count, GError **error)
{
    return db_exec(
        tx, error,
        "INSERT INTO tags (account_id, resource_id, resource_type, key, value)"
        " SELECT $1, arn, $3, key, value FROM tags, unnest($4::text[]) arn"
        " WHERE account_id = $1 AND resource_id = $2 ON CONFLICT (resource_id, key) DO NOTHING",
        DB_ARGS(account_id, from, type, db_text_array(tx, arns, (gssize)count)), NULL);
}
