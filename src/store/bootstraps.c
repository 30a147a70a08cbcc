#include "store/bootstraps.h"
#include "base/errors.h"

#include <string.h>

#define COLUMNS                                                                                    \
    "b.instance_id, b.account_id, b.cluster_name, b.generation, b.seen_generation, b.stage,"       \
    " b.access_key_id, " DB_US("b.credentials_until") ", b.fault, b.log, " DB_US(                  \
        "b.created_at") ", " DB_US("b.updated_at") ", b.agent_image_sha256, "                      \
                                                   "b.seen_agent_image_sha256,"                    \
                                                   " r.failures, r.last_error, " DB_US(            \
                                                       "r.next_try_at")
#define TABLES                                                                                     \
    " FROM bootstraps b LEFT JOIN retries r ON r.kind = 'bootstrap'"                               \
    " AND r.object_id = b.instance_id"

void bootstrap_free(Bootstrap *b)
{
    if (!b)
        return;
    char *texts[] = { b->instance_id,
                      b->account_id,
                      b->cluster_name,
                      b->stage,
                      b->access_key_id,
                      b->fault,
                      b->log,
                      b->last_error,
                      b->agent_image_sha256,
                      b->seen_agent_image_sha256 };
    for (gsize n = 0; n < G_N_ELEMENTS(texts); n++)
        g_free(texts[n]);
    g_free(b);
}

gboolean bootstrap_settled(const Bootstrap *b)
{
    return b->seen_generation >= b->generation && (b->fault || strcmp(b->stage, "registered") == 0);
}

static Bootstrap *bootstrap_from_row(const PGresult *res, int row)
{
    Bootstrap *b = g_new0(Bootstrap, 1);
    int c = 0;

    b->instance_id = g_strdup(db_text(res, row, c++));
    b->account_id = g_strdup(db_text(res, row, c++));
    b->cluster_name = g_strdup(db_text(res, row, c++));
    b->generation = db_int64(res, row, c++);
    b->seen_generation = db_int64(res, row, c++);
    b->stage = g_strdup(db_text(res, row, c++));
    b->access_key_id = g_strdup(db_text(res, row, c++));
    b->credentials_until_us = db_int64(res, row, c++);
    b->fault = g_strdup(db_text(res, row, c++));
    b->log = g_strdup(db_text(res, row, c++));
    b->created_us = db_int64(res, row, c++);
    b->updated_us = db_int64(res, row, c++);
    b->agent_image_sha256 = g_strdup(db_text(res, row, c++));
    b->seen_agent_image_sha256 = g_strdup(db_text(res, row, c++));
    b->failures = (gint)db_int64(res, row, c++);
    b->last_error = g_strdup(db_text(res, row, c++));
    b->next_try_us = db_int64(res, row, c++);
    return b;
}

gboolean bootstraps_want(DbTx *tx, const char *account_id, const char *const *ids,
                         const char *cluster_name, GError **error)
{
    return db_exec(tx, error,
                   "WITH wanted AS (INSERT INTO bootstraps (instance_id, account_id, cluster_name)"
                   " SELECT unnest($2::text[]), $1, $3 ON CONFLICT (instance_id) DO UPDATE"
                   " SET cluster_name = excluded.cluster_name,"
                   " generation = bootstraps.generation + 1 RETURNING instance_id)"
                   " SELECT pg_notify('berth_wake', 'bootstrap:' || instance_id) FROM wanted",
                   DB_ARGS(account_id, db_text_array(tx, ids, -1), cluster_name), NULL);
}

gboolean bootstraps_want_image(DbTx *tx, const char *account_id, const char *instance_id,
                               const char *sha256, gboolean *ret_found, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "WITH wanted AS (UPDATE bootstraps SET agent_image_sha256 = $3,"
                 " generation = generation + 1 WHERE account_id = $1 AND instance_id = $2"
                 " RETURNING instance_id)"
                 " SELECT pg_notify('berth_wake', 'bootstrap:' || instance_id) FROM wanted",
                 DB_ARGS(account_id, instance_id, sha256));

    if (!res)
        return FALSE;
    *ret_found = PQntuples(res) > 0;
    return TRUE;
}

GPtrArray *bootstraps_list(DbTx *tx, const char *account_id, const char *const *ids,
                           const char *cluster_name, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " COLUMNS TABLES " WHERE b.account_id = $1"
                 " AND ($2::text[] IS NULL OR b.instance_id = ANY ($2::text[]))"
                 " AND ($3::text IS NULL OR b.cluster_name = $3)"
                 " ORDER BY b.created_at, b.instance_id",
                 DB_ARGS(account_id, ids ? db_text_array(tx, ids, -1) : NULL, cluster_name));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)bootstrap_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, bootstrap_from_row(res, row));
    return list;
}

Bootstrap *bootstraps_load(DbTx *tx, const char *instance_id, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error, "SELECT " COLUMNS TABLES " WHERE b.instance_id = $1", DB_ARGS(instance_id));

    if (!res)
        return NULL;
    if (PQntuples(res) == 0)
        return fail_null(error, NOT_FOUND, "there is no bootstrap of \"%s\"", instance_id);
    return bootstrap_from_row(res, 0);
}

gboolean bootstraps_record_stage(DbTx *tx, const char *instance_id, const char *stage,
                                 gint64 settled_generation, const char *log, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE bootstraps SET stage = $2, updated_at = now(),"
                   " seen_generation = greatest(seen_generation, $3::bigint),"
                   " log = right(coalesce($4, log), 65536) WHERE instance_id = $1",
                   DB_ARGS(instance_id, stage, db_int(tx, settled_generation), log), NULL);
}

gboolean bootstraps_record_fault(DbTx *tx, const char *instance_id, const char *fault,
                                 GError **error)
{
    return db_exec(tx, error,
                   "UPDATE bootstraps SET fault = $2, updated_at = now() WHERE instance_id = $1",
                   DB_ARGS(instance_id, fault), NULL);
}

gboolean bootstraps_record_credentials(DbTx *tx, const char *instance_id, const char *access_key_id,
                                       gint64 until_us, GError **error)
{
    return db_exec(
        tx, error,
        "UPDATE bootstraps SET access_key_id = $2, credentials_until = $3::timestamptz"
        " WHERE instance_id = $1",
        DB_ARGS(instance_id, access_key_id, access_key_id ? db_time(tx, until_us) : NULL), NULL);
}

gboolean bootstraps_record_image(DbTx *tx, const char *instance_id, const char *sha256,
                                 GError **error)
{
    return db_exec(tx, error,
                   "UPDATE bootstraps SET seen_agent_image_sha256 = $2 WHERE instance_id = $1",
                   DB_ARGS(instance_id, sha256), NULL);
}
