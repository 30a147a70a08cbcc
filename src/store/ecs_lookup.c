#include "store/ecs_lookup.h"
#include "base/errors.h"

void ecs_object_free(EcsObject *object)
{
    if (!object)
        return;
    g_free(object->kind);
    g_free(object->cluster_name);
    g_free(object->name);
    g_free(object);
}

/* "g" is the first letter behind the hex digits: the ranges are index scans. */
gboolean ecs_lookup(DbTx *tx, const char *account_id, const char *kind, const char *cluster_name,
                    const char *name, EcsObject **ret_object, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT kind, c.cluster_name, c.cluster_id, name, row_id, name = $2 FROM ("
        "  SELECT 'task' AS kind, 1 AS rank, cluster_id, task_id AS name, task_key AS row_id"
        "   FROM tasks WHERE task_id >= $2 AND task_id < $2 || 'g' AND length($2) >= $5"
        "  UNION ALL SELECT 'container-instance', 2, cluster_id, container_instance_id, ci_id"
        "   FROM container_instances WHERE container_instance_id >= $2"
        "    AND container_instance_id < $2 || 'g' AND length($2) >= $5"
        "  UNION ALL SELECT 'service', CASE WHEN status = 'INACTIVE' THEN 5 ELSE 3 END, cluster_id,"
        "   service_name, service_id FROM services WHERE account_id = $1 AND service_name = $2"
        "  UNION ALL SELECT 'cluster', 4, cluster_id, cluster_name, cluster_id"
        "   FROM clusters WHERE account_id = $1 AND cluster_name = $2) o JOIN clusters c"
        " USING (cluster_id) WHERE c.account_id = $1 AND ($3::text IS NULL OR kind = $3)"
        " AND ($4::text IS NULL OR c.cluster_name = $4)"
        " ORDER BY name = $2 DESC, rank, row_id DESC LIMIT 2",
        DB_ARGS(account_id, name, kind, cluster_name, db_int(tx, ECS_DIGITS_MIN)));

    *ret_object = NULL;
    if (!res)
        return FALSE;
    if (PQntuples(res) == 0)
        return TRUE;
    if (PQntuples(res) > 1 && !db_truth(res, 0, 5))
        return fail(error, INVALID_PARAMETER, "several ids begin with \"%s\": give more digits",
                    name);
    EcsObject *object = g_new0(EcsObject, 1);
    object->kind = g_strdup(db_text(res, 0, 0));
    object->cluster_name = g_strdup(db_text(res, 0, 1));
    object->cluster_id = db_int64(res, 0, 2);
    object->name = g_strdup(db_text(res, 0, 3));
    object->row_id = db_int64(res, 0, 4);
    *ret_object = object;
    return TRUE;
}

gboolean ecs_first_waiting(DbTx *tx, gint64 cluster_id, gint64 service_id, gint64 *ret_task_key,
                           gint64 *ret_count, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT coalesce(min(task_key), 0), count(*) FROM tasks WHERE cluster_id = $1"
                 " AND ($2::bigint = 0 OR service_id = $2) AND last_status = 'PROVISIONING'"
                 " AND desired_status = 'RUNNING'",
                 DB_ARGS(db_int(tx, cluster_id), db_int(tx, service_id)));

    if (!res)
        return FALSE;
    *ret_task_key = db_int64(res, 0, 0);
    *ret_count = db_int64(res, 0, 1);
    return TRUE;
}
