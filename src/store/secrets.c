#include "store/secrets.h"
#include "base/errors.h"
#include "store/ecs_rows.h"

#include <stdlib.h>

#define COLUMNS                                                                                    \
    "secret_id, name, suffix, details, " DB_US("created_at") ", " DB_US("changed_at") ", " DB_US(  \
        "deleted_at") ", " DB_US("delete_at")
#define VERSION_COLUMNS                                                                            \
    "version_id, sealed, is_binary, array_to_string(stages, ' '), " DB_US("created_at")
#define UNSTAGED_KEPT "100"

void secret_free(Secret *secret)
{
    g_free(secret->name);
    g_free(secret->suffix);
    json_decref(secret->details);
    g_free(secret);
}

void secret_version_free(SecretVersion *version)
{
    g_free(version->version_id);
    g_free(version->sealed);
    g_strfreev(version->stages);
    g_free(version);
}

static Secret *from_row(const PGresult *res, int row)
{
    Secret *s = g_new0(Secret, 1);

    *s = (Secret){
        .id = db_int64(res, row, 0),
        .name = g_strdup(db_text(res, row, 1)),
        .suffix = g_strdup(db_text(res, row, 2)),
        .details = row_json(res, row, 3),
        .created_us = db_int64(res, row, 4),
        .changed_us = db_int64(res, row, 5),
        .deleted_us = db_int64(res, row, 6),
        .delete_us = db_int64(res, row, 7),
    };
    return s;
}

static SecretVersion *version_from_row(const PGresult *res, int row)
{
    SecretVersion *v = g_new0(SecretVersion, 1);
    const char *stages = db_text(res, row, 3);

    *v = (SecretVersion){
        .version_id = g_strdup(db_text(res, row, 0)),
        .sealed = g_strdup(db_text(res, row, 1)),
        .is_binary = db_truth(res, row, 2),
        .stages = g_strsplit(stages ? stages : "", " ", -1),
        .created_us = db_int64(res, row, 4),
    };
    return v;
}

#define BY_NAME                                                                                    \
    "SELECT " COLUMNS " FROM secrets WHERE account_id = $1 AND (name = $2"                         \
    " OR (name = left($2, -7) AND right($2, 7) = '-' || suffix))"                                  \
    " ORDER BY name = $2 LIMIT 1"

Secret *secrets_get(DbTx *tx, const char *account_id, const char *name, gboolean lock,
                    GError **error)
{
    g_autoptr(PGresult) res =
        lock ? db_query(tx, error, BY_NAME " FOR UPDATE", DB_ARGS(account_id, name))
             : db_query(tx, error, BY_NAME, DB_ARGS(account_id, name));

    if (!res)
        return NULL;
    if (PQntuples(res) == 0)
        return fail_null(error, SECRET_NOT_FOUND,
                         "Secrets Manager can't find the specified secret.");
    return from_row(res, 0);
}

GPtrArray *secrets_list(DbTx *tx, const char *account_id, const char *prefix, const char *after,
                        gint64 limit, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " COLUMNS " FROM secrets WHERE account_id = $1 AND deleted_at IS NULL"
                 " AND ($2::text IS NULL OR starts_with(name, $2))"
                 " AND ($3::text IS NULL OR name > $3) ORDER BY name LIMIT $4::bigint",
                 DB_ARGS(account_id, prefix, after, db_int(tx, limit)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)secret_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, from_row(res, row));
    return list;
}

gboolean secrets_add(DbTx *tx, const char *account_id, const char *name, const char *suffix,
                     const json_t *details, gint64 *ret_id, GError **error)
{
    char *text = json_dumps(details, JSON_COMPACT);
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "INSERT INTO secrets (account_id, name, suffix, details)"
                 " VALUES ($1, $2, $3, $4::jsonb) ON CONFLICT DO NOTHING RETURNING secret_id",
                 DB_ARGS(account_id, name, suffix, text));

    free(text);
    if (!res)
        return FALSE;
    if (PQntuples(res) == 0)
        return fail(error, SECRET_EXISTS,
                    "The operation failed because the secret %s already exists.", name);
    *ret_id = db_int64(res, 0, 0);
    return TRUE;
}

gboolean secrets_describe(DbTx *tx, gint64 id, const json_t *details, GError **error)
{
    char *text = json_dumps(details, JSON_COMPACT);
    gboolean done = db_exec(tx, error,
                            "UPDATE secrets SET details = details || $2::jsonb, changed_at = now()"
                            " WHERE secret_id = $1",
                            DB_ARGS(db_int(tx, id), text), NULL);

    free(text);
    return done;
}

gboolean secrets_schedule(DbTx *tx, gint64 id, gint64 delete_us, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE secrets SET delete_at = $2,"
                   " deleted_at = CASE WHEN $2::timestamptz IS NOT NULL THEN now() END"
                   " WHERE secret_id = $1",
                   DB_ARGS(db_int(tx, id), delete_us ? db_time(tx, delete_us) : NULL), NULL);
}

gboolean secrets_remove(DbTx *tx, gint64 id, GError **error)
{
    return db_exec(tx, error, "DELETE FROM secrets WHERE secret_id = $1", DB_ARGS(db_int(tx, id)),
                   NULL);
}

SecretVersion *secret_versions_find(DbTx *tx, gint64 secret_id, const char *version_id,
                                    const char *stage, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " VERSION_COLUMNS " FROM secret_versions WHERE secret_id = $1"
                 " AND ($2::text IS NULL OR version_id = $2)"
                 " AND ($3::text IS NULL OR $3 = ANY(stages)) LIMIT 1",
                 DB_ARGS(db_int(tx, secret_id), version_id, stage));

    return res && PQntuples(res) ? version_from_row(res, 0) : NULL;
}

GPtrArray *secret_versions_staged(DbTx *tx, gint64 secret_id, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " VERSION_COLUMNS " FROM secret_versions WHERE secret_id = $1"
                 " AND stages <> '{}' ORDER BY created_at DESC",
                 DB_ARGS(db_int(tx, secret_id)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)secret_version_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, version_from_row(res, row));
    return list;
}

/* What the new version's stages do to those of the others. */
static gboolean move_stages(DbTx *tx, const char *id, const char *stages, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE secret_versions SET stages = ARRAY(SELECT s FROM unnest(stages) s"
                   "  WHERE s <> ALL($2::text[])"
                   "  AND NOT (s = 'AWSPREVIOUS' AND 'AWSCURRENT' = ANY($2::text[])))"
                   " || CASE WHEN 'AWSCURRENT' = ANY(stages) AND 'AWSCURRENT' = ANY($2::text[])"
                   "  THEN '{AWSPREVIOUS}'::text[] ELSE '{}' END"
                   " WHERE secret_id = $1 AND stages <> '{}'",
                   DB_ARGS(id, stages), NULL);
}

gboolean secret_versions_add(DbTx *tx, gint64 secret_id, const SecretVersion *version,
                             GError **error)
{
    const char *id = db_int(tx, secret_id);
    const char *stages = db_text_array(tx, (const char *const *)version->stages, -1);

    return move_stages(tx, id, stages, error) &&
           db_exec(tx, error,
                   "INSERT INTO secret_versions (secret_id, version_id, sealed, is_binary, stages)"
                   " VALUES ($1, $2, $3, $4, $5::text[])",
                   DB_ARGS(id, version->version_id, version->sealed, db_bool(version->is_binary),
                           stages),
                   NULL) &&
           db_exec(tx, error,
                   "DELETE FROM secret_versions WHERE secret_id = $1 AND version_id IN (SELECT"
                   " version_id FROM secret_versions WHERE secret_id = $1 AND stages = '{}'"
                   " ORDER BY created_at DESC OFFSET " UNSTAGED_KEPT ")",
                   DB_ARGS(id), NULL) &&
           db_exec(tx, error, "UPDATE secrets SET changed_at = now() WHERE secret_id = $1",
                   DB_ARGS(id), NULL);
}
