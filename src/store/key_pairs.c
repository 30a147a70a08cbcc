#include "store/key_pairs.h"
#include "base/errors.h"

#define COLUMNS "key_pair_id, key_name, key_type, fingerprint, public_key, " DB_US("created_at")

void key_pair_free(KeyPair *pair)
{
    if (!pair)
        return;
    g_free(pair->id);
    g_free(pair->name);
    g_free(pair->type);
    g_free(pair->fingerprint);
    g_free(pair->public_key);
    g_free(pair);
}

static KeyPair *pair_from_row(const PGresult *res, int row)
{
    KeyPair *pair = g_new0(KeyPair, 1);

    pair->id = g_strdup(db_text(res, row, 0));
    pair->name = g_strdup(db_text(res, row, 1));
    pair->type = g_strdup(db_text(res, row, 2));
    pair->fingerprint = g_strdup(db_text(res, row, 3));
    pair->public_key = g_strdup(db_text(res, row, 4));
    pair->created_us = db_int64(res, row, 5);
    return pair;
}

gboolean key_pairs_insert(DbTx *tx, const char *account_id, const KeyPair *p, GError **error)
{
    guint rows = 0;

    if (!db_exec(tx, error,
                 "INSERT INTO key_pairs (key_pair_id, account_id, key_name, key_type, fingerprint,"
                 " public_key) VALUES ($1, $2, $3, $4, $5, $6)"
                 " ON CONFLICT (account_id, key_name) DO NOTHING",
                 DB_ARGS(p->id, account_id, p->name, p->type, p->fingerprint, p->public_key),
                 &rows))
        return FALSE;
    return rows ? TRUE
                : fail(error, KEY_PAIR_DUPLICATE, "The keypair '%s' already exists.", p->name);
}

static gboolean refuse_unknown(DbTx *tx, const char *account_id, const char *names, const char *ids,
                               GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT n FROM unnest($2::text[]) n WHERE NOT EXISTS (SELECT 1 FROM key_pairs"
                 " WHERE account_id = $1 AND key_name = n) UNION ALL"
                 " SELECT n FROM unnest($3::text[]) n WHERE NOT EXISTS (SELECT 1 FROM key_pairs"
                 " WHERE account_id = $1 AND key_pair_id = n) LIMIT 1",
                 DB_ARGS(account_id, names, ids));

    if (!res)
        return FALSE;
    if (PQntuples(res))
        return fail(error, KEY_PAIR_NOT_FOUND, "The key pair '%s' does not exist",
                    db_text(res, 0, 0));
    return TRUE;
}

GPtrArray *key_pairs_list(DbTx *tx, const char *account_id, const char *const *names,
                          const char *const *ids, GError **error)
{
    const char *wanted_names = names ? db_text_array(tx, names, -1) : NULL;
    const char *wanted_ids = ids ? db_text_array(tx, ids, -1) : NULL;

    if ((names || ids) && !refuse_unknown(tx, account_id, wanted_names, wanted_ids, error))
        return NULL;
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " COLUMNS " FROM key_pairs WHERE account_id = $1"
                 " AND ($2::text[] IS NULL OR key_name = ANY ($2::text[]))"
                 " AND ($3::text[] IS NULL OR key_pair_id = ANY ($3::text[])) ORDER BY key_name",
                 DB_ARGS(account_id, wanted_names, wanted_ids));
    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)key_pair_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, pair_from_row(res, row));
    return list;
}

KeyPair *key_pairs_get(DbTx *tx, const char *account_id, const char *name, GError **error)
{
    g_autoptr(GPtrArray) list =
        key_pairs_list(tx, account_id, (const char *const[]){ name, NULL }, NULL, error);

    return list ? g_ptr_array_steal_index(list, 0) : NULL;
}

gboolean key_pairs_delete(DbTx *tx, const char *account_id, const char *name, const char *id,
                          char **ret_id, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "DELETE FROM key_pairs WHERE account_id = $1"
                 " AND (key_name = $2 OR ($2::text IS NULL AND key_pair_id = $3))"
                 " RETURNING key_pair_id",
                 DB_ARGS(account_id, name, id));

    if (!res)
        return FALSE;
    *ret_id = PQntuples(res) ? g_strdup(db_text(res, 0, 0)) : NULL;
    return TRUE;
}
