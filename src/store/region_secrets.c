#include "store/region_secrets.h"

gboolean region_secrets_get(DbTx *tx, const char *name, gboolean *ret_found, char **ret_sealed,
                            char **ret_public, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error, "SELECT sealed, public FROM region_secrets WHERE name = $1", DB_ARGS(name));

    if (!res)
        return FALSE;
    *ret_found = PQntuples(res) > 0;
    if (*ret_found) {
        *ret_sealed = g_strdup(db_text(res, 0, 0));
        *ret_public = g_strdup(db_text(res, 0, 1));
    }
    return TRUE;
}

gboolean region_secrets_add(DbTx *tx, const char *name, const char *sealed, const char *public_text,
                            GError **error)
{
    return db_exec(tx, error,
                   "INSERT INTO region_secrets (name, sealed, public) VALUES ($1, $2, $3)"
                   " ON CONFLICT DO NOTHING",
                   DB_ARGS(name, sealed, public_text), NULL);
}
