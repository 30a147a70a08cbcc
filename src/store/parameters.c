#include "store/parameters.h"
#include "base/errors.h"
#include "store/ecs_rows.h"

#include <stdlib.h>

#define COLUMNS                                                                                    \
    "p.name, v.type, v.version, v.sealed, v.modified_by, " DB_US("v.modified_at") ", p.details"
#define JOINED " FROM parameters p JOIN parameter_versions v USING (account_id, name)"

void parameter_free(Parameter *parameter)
{
    g_free(parameter->name);
    g_free(parameter->type);
    g_free(parameter->sealed);
    g_free(parameter->modified_by);
    json_decref(parameter->details);
    g_free(parameter);
}

static Parameter *from_row(const PGresult *res, int row)
{
    Parameter *p = g_new0(Parameter, 1);

    *p = (Parameter){
        .name = g_strdup(db_text(res, row, 0)),
        .type = g_strdup(db_text(res, row, 1)),
        .version = db_int64(res, row, 2),
        .sealed = g_strdup(db_text(res, row, 3)),
        .modified_by = g_strdup(db_text(res, row, 4)),
        .modified_us = db_int64(res, row, 5),
        .details = row_json(res, row, 6),
    };
    return p;
}

static GPtrArray *from_rows(const PGresult *res)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)parameter_free);

    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, from_row(res, row));
    return list;
}

Parameter *parameters_find(DbTx *tx, const char *account_id, const char *name, gint64 version,
                           GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " COLUMNS JOINED " WHERE account_id = $1 AND name = $2"
                 " AND v.version = coalesce(nullif($3::bigint, 0), p.version)",
                 DB_ARGS(account_id, name, db_int(tx, version)));

    return res && PQntuples(res) ? from_row(res, 0) : NULL;
}

GPtrArray *parameters_list(DbTx *tx, const char *account_id, const ParameterRange *range,
                           GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " COLUMNS JOINED " WHERE account_id = $1 AND v.version = p.version"
                 " AND ($2::text IS NULL OR (starts_with(name, $2) AND length(name) > length($2)"
                 "  AND ($3::boolean OR strpos(substr(name, length($2) + 1), '/') = 0)))"
                 " AND ($4::text IS NULL OR name > $4) ORDER BY name LIMIT $5::bigint",
                 DB_ARGS(account_id, range->below, db_bool(range->recursive), range->after,
                         db_int(tx, range->limit)));

    return res ? from_rows(res) : NULL;
}

GPtrArray *parameters_history(DbTx *tx, const char *account_id, const char *name, GError **error)
{
    g_autoptr(PGresult) res = db_query(tx, error,
                                       "SELECT " COLUMNS JOINED " WHERE account_id = $1"
                                       " AND name = $2 ORDER BY v.version",
                                       DB_ARGS(account_id, name));

    return res ? from_rows(res) : NULL;
}

static gboolean forget_old(DbTx *tx, const char *account_id, const char *name, gint64 newest,
                           GError **error)
{
    return db_exec(tx, error,
                   "DELETE FROM parameter_versions WHERE account_id = $1 AND name = $2"
                   " AND version <= $3",
                   DB_ARGS(account_id, name, db_int(tx, newest - PARAMETER_VERSIONS_KEPT)), NULL);
}

gboolean parameters_put(DbTx *tx, const char *account_id, const Parameter *value,
                        gboolean overwrite, gint64 *ret_version, GError **error)
{
    char *details = json_dumps(value->details, JSON_COMPACT);
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "WITH p AS (INSERT INTO parameters AS old (account_id, name, type, details, modified_by)"
        "  VALUES ($1, $2, $3, $5::jsonb, $6) ON CONFLICT (account_id, name) DO UPDATE"
        "  SET version = old.version + 1, type = EXCLUDED.type,"
        "   details = old.details || EXCLUDED.details, modified_by = EXCLUDED.modified_by,"
        "   modified_at = now() WHERE $7::boolean RETURNING *)"
        " INSERT INTO parameter_versions (account_id, name, version, type, sealed, modified_by)"
        " SELECT account_id, name, version, type, $4, modified_by FROM p RETURNING version",
        DB_ARGS(account_id, value->name, value->type, value->sealed, details, value->modified_by,
                db_bool(overwrite)));

    free(details);
    if (!res)
        return FALSE;
    if (PQntuples(res) == 0)
        return fail(error, PARAMETER_EXISTS,
                    "The parameter already exists. To overwrite this value, set the overwrite "
                    "option in the request to true.");
    *ret_version = db_int64(res, 0, 0);
    return *ret_version <= PARAMETER_VERSIONS_KEPT ||
           forget_old(tx, account_id, value->name, *ret_version, error);
}

GPtrArray *parameters_delete(DbTx *tx, const char *account_id, const char *const *names,
                             GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "DELETE FROM parameters WHERE account_id = $1 AND name = ANY($2::text[])"
                 " RETURNING name",
                 DB_ARGS(account_id, db_text_array(tx, names, -1)));

    return res ? db_texts(res, 0) : NULL;
}
