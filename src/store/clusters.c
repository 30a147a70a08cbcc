#include "store/clusters.h"
#include "base/errors.h"
#include "store/ecs_rows.h"

#define COLUMNS "cluster_id, cluster_name, status, details"

void cluster_free(Cluster *cluster)
{
    if (!cluster)
        return;
    g_free(cluster->name);
    g_free(cluster->status);
    json_decref(cluster->details);
    g_free(cluster);
}

static Cluster *cluster_from_row(const PGresult *res, int row)
{
    Cluster *cluster = g_new0(Cluster, 1);

    cluster->id = db_int64(res, row, 0);
    cluster->name = g_strdup(db_text(res, row, 1));
    cluster->status = g_strdup(db_text(res, row, 2));
    cluster->details = row_json(res, row, 3);
    return cluster;
}

Cluster *clusters_get(DbTx *tx, const char *account_id, const char *name, ClusterLock lock,
                      GError **error)
{
    g_autoptr(PGresult) res =
        lock == CLUSTER_LOCK
            ? db_query(tx, error,
                       "SELECT " COLUMNS " FROM clusters WHERE account_id = $1"
                       " AND cluster_name = $2 AND status = 'ACTIVE' FOR NO KEY UPDATE",
                       DB_ARGS(account_id, name))
            : db_query(tx, error,
                       "SELECT " COLUMNS " FROM clusters WHERE account_id = $1"
                       " AND cluster_name = $2 AND status = 'ACTIVE'",
                       DB_ARGS(account_id, name));
    if (!res)
        return NULL;
    if (PQntuples(res) == 0)
        return fail_null(error, CLUSTER_NOT_FOUND, "Cluster not found.");
    return cluster_from_row(res, 0);
}

gboolean clusters_get_by_id(DbTx *tx, gint64 cluster_id, ClusterLock lock, char **ret_account_id,
                            Cluster **ret_cluster, GError **error)
{
    const char *id = db_int(tx, cluster_id);
    g_autoptr(PGresult) res =
        lock == CLUSTER_LOCK
            ? db_query(tx, error,
                       "SELECT " COLUMNS ", account_id FROM clusters WHERE cluster_id = $1"
                       " FOR NO KEY UPDATE",
                       DB_ARGS(id))
            : db_query(tx, error,
                       "SELECT " COLUMNS ", account_id FROM clusters WHERE cluster_id = $1",
                       DB_ARGS(id));

    *ret_cluster = NULL;
    if (!res)
        return FALSE;
    if (PQntuples(res) == 0)
        return TRUE;
    *ret_cluster = cluster_from_row(res, 0);
    *ret_account_id = g_strdup(db_text(res, 0, 4));
    return TRUE;
}

Cluster *clusters_create(DbTx *tx, const char *account_id, const char *name, const json_t *details,
                         gboolean *ret_made, GError **error)
{
    g_autofree char *text = json_dumps(details, JSON_COMPACT);
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "INSERT INTO clusters (account_id, cluster_name, details) VALUES ($1, $2, $3::jsonb)"
        " ON CONFLICT (account_id, cluster_name) DO UPDATE"
        " SET status = 'ACTIVE', details = EXCLUDED.details, created_at = now()"
        " WHERE clusters.status = 'INACTIVE' RETURNING " COLUMNS,
        DB_ARGS(account_id, name, text));

    if (!res)
        return NULL;
    *ret_made = PQntuples(res) == 1;
    return *ret_made ? cluster_from_row(res, 0)
                     : clusters_get(tx, account_id, name, CLUSTER_READ, error);
}

gboolean clusters_set_details(DbTx *tx, gint64 cluster_id, const json_t *details, GError **error)
{
    g_autofree char *text = json_dumps(details, JSON_COMPACT);

    return db_exec(tx, error, "UPDATE clusters SET details = $2::jsonb WHERE cluster_id = $1",
                   DB_ARGS(db_int(tx, cluster_id), text), NULL);
}

gboolean clusters_deactivate(DbTx *tx, gint64 cluster_id, GError **error)
{
    return db_exec(tx, error, "UPDATE clusters SET status = 'INACTIVE' WHERE cluster_id = $1",
                   DB_ARGS(db_int(tx, cluster_id)), NULL);
}

GPtrArray *clusters_describe(DbTx *tx, const char *account_id, const char *const *names,
                             gsize count, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT " COLUMNS ","
        " (SELECT count(*) FROM container_instances i WHERE i.cluster_id = c.cluster_id"
        "   AND i.status IN ('ACTIVE', 'DRAINING')),"
        " t.running, t.pending,"
        " (SELECT count(*) FROM services s WHERE s.cluster_id = c.cluster_id"
        "   AND s.status = 'ACTIVE'),"
        " (SELECT count(*) FROM services s WHERE s.cluster_id = c.cluster_id"
        "   AND s.status = 'DRAINING')"
        " FROM clusters c, LATERAL (SELECT"
        "   count(*) FILTER (WHERE last_status = 'RUNNING') AS running,"
        "   count(*) FILTER (WHERE last_status IN ('PROVISIONING', 'PENDING')) AS pending"
        "   FROM tasks WHERE tasks.cluster_id = c.cluster_id AND last_status <> 'STOPPED') t"
        " WHERE account_id = $1 AND cluster_name = ANY($2::text[]) ORDER BY cluster_name",
        DB_ARGS(account_id, db_text_array(tx, names, (gssize)count)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)cluster_free);
    for (int row = 0; row < PQntuples(res); row++) {
        Cluster *cluster = cluster_from_row(res, row);
        cluster->container_instances = db_int64(res, row, 4);
        cluster->running_tasks = db_int64(res, row, 5);
        cluster->pending_tasks = db_int64(res, row, 6);
        cluster->services = db_int64(res, row, 7);
        cluster->draining_services = db_int64(res, row, 8);
        g_ptr_array_add(list, cluster);
    }
    return list;
}

GPtrArray *clusters_list(DbTx *tx, const char *account_id, const char *after, gint64 limit,
                         GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT cluster_name FROM clusters WHERE account_id = $1 AND status = 'ACTIVE'"
        " AND cluster_name COLLATE \"C\" > $2 ORDER BY cluster_name COLLATE \"C\" LIMIT $3",
        DB_ARGS(account_id, after ? after : "", db_int(tx, limit)));

    return res ? db_texts(res, 0) : NULL;
}
