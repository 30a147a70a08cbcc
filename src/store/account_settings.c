#include "store/account_settings.h"

gboolean account_settings_set(DbTx *tx, const char *account_id, const char *principal_arn,
                              const char *name, const char *value, GError **error)
{
    return db_exec(tx, error,
                   "INSERT INTO account_settings (account_id, principal_arn, name, value)"
                   " VALUES ($1, $2, $3, $4) ON CONFLICT (account_id, principal_arn, name)"
                   " DO UPDATE SET value = EXCLUDED.value",
                   DB_ARGS(account_id, principal_arn, name, value), NULL);
}

GHashTable *account_settings_of(DbTx *tx, const char *account_id, const char *principal_arn,
                                const char *root_arn, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT name, value FROM account_settings WHERE account_id = $1"
                 " AND (principal_arn = $2 OR principal_arn = $3) ORDER BY principal_arn = $2",
                 DB_ARGS(account_id, principal_arn, root_arn));

    if (!res)
        return NULL;
    GHashTable *values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_hash_table_replace(values, g_strdup(db_text(res, row, 0)),
                             g_strdup(db_text(res, row, 1)));
    return values;
}
