#include "store/janitor.h"
#include "base/fault.h"

#define BATCH 1000 /* rows of one statement: locks are short */

/* $1 is the batch. The rows a statement touches or selects last are counted against it. */
#define CLIENT_TOKENS                                                                              \
    "DELETE FROM client_tokens WHERE ctid = ANY (ARRAY(SELECT ctid FROM client_tokens"             \
    " WHERE created_at < now() - interval '24 hours' LIMIT $1::bigint))"

static const char *const identity_rows[] = {
    CLIENT_TOKENS,
    "DELETE FROM sessions WHERE access_key_id IN (SELECT access_key_id FROM sessions"
    " WHERE expires_at < now() - interval '1 hour' LIMIT $1::bigint)",
};

static const char *const region_rows[] = {
    CLIENT_TOKENS,
    /* EC2 shows a terminated instance for about an hour */
    "WITH old AS (DELETE FROM instances WHERE instance_id IN (SELECT instance_id FROM instances i"
    "  WHERE terminated_at < now() - interval '1 hour' AND NOT EXISTS (SELECT 1"
    "   FROM container_instances ci WHERE ci.ec2_instance_id = i.instance_id"
    "   AND ci.status <> 'INACTIVE') LIMIT $1::bigint)"
    "  RETURNING instance_id, root_volume_id, eni_id),"
    " b AS (DELETE FROM bootstraps USING old WHERE bootstraps.instance_id = old.instance_id),"
    " r AS (DELETE FROM retries USING old WHERE object_id = instance_id"
    "  AND kind IN ('instance', 'bootstrap')),"
    " t AS (DELETE FROM tags USING old WHERE resource_id IN (instance_id, root_volume_id, eni_id))"
    " SELECT instance_id FROM old",
    "DELETE FROM reservations WHERE reservation_id IN (SELECT reservation_id FROM reservations r"
    " WHERE created_at < now() - interval '1 hour' AND NOT EXISTS (SELECT 1 FROM instances i"
    "  WHERE i.reservation_id = r.reservation_id) LIMIT $1::bigint)",
    "DELETE FROM history WHERE history_id IN (SELECT history_id FROM history"
    " WHERE at < now() - interval '90 days' LIMIT $1::bigint)",
    "DELETE FROM metric_samples WHERE ctid = ANY (ARRAY(SELECT ctid FROM metric_samples"
    " WHERE minute < now() - interval '24 hours' LIMIT $1::bigint))",
    "DELETE FROM secrets WHERE secret_id IN (SELECT secret_id FROM secrets"
    " WHERE delete_at < now() LIMIT $1::bigint)",
    /* their channels are released by daemons_bury, seconds after they fell silent */
    "DELETE FROM daemons WHERE daemon_id IN (SELECT daemon_id FROM daemons d"
    " WHERE seen_at < now() - interval '1 hour' AND NOT EXISTS (SELECT 1"
    "  FROM container_instances WHERE channel_owner = daemon_id) LIMIT $1::bigint)",
    "UPDATE services SET ended_at = now() WHERE service_id IN (SELECT service_id FROM services"
    " WHERE status = 'INACTIVE' AND ended_at IS NULL LIMIT $1::bigint)",
    "UPDATE container_instances SET ended_at = CASE WHEN status = 'INACTIVE' THEN now() END"
    " WHERE ci_id IN (SELECT ci_id FROM container_instances"
    "  WHERE (status = 'INACTIVE') <> (ended_at IS NOT NULL) LIMIT $1::bigint)",
};

/* Tasks and what stays readable as long: $2 is the time before which they ended, $3 the region. */
static const char *const history_rows[] = {
    "WITH old AS (DELETE FROM tasks WHERE task_key IN (SELECT task_key FROM tasks"
    "  WHERE last_status = 'STOPPED' AND stopped_at < $2 ORDER BY stopped_at LIMIT $1::bigint)"
    "  RETURNING task_id, cluster_id, account_id),"
    " t AS (DELETE FROM tags USING old JOIN clusters c USING (cluster_id) WHERE resource_id ="
    "  'arn:aws:ecs:' || $3::text || ':' || old.account_id || ':task/' || c.cluster_name || '/'"
    "  || old.task_id)"
    " SELECT task_id FROM old",
    "DELETE FROM deployments WHERE deployment_id IN (SELECT deployment_id FROM deployments d"
    " WHERE $3::text IS NOT NULL AND (d.status = 'INACTIVE' AND updated_at < $2"
    "  OR EXISTS (SELECT 1 FROM services s WHERE s.service_id = d.service_id"
    "   AND s.status = 'INACTIVE' AND s.ended_at < $2))"
    "  AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.deployment_id = d.deployment_id)"
    "  LIMIT $1::bigint)",
    "WITH old AS (DELETE FROM services WHERE service_id IN (SELECT service_id FROM services s"
    "  WHERE status = 'INACTIVE' AND ended_at < $2"
    "  AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.service_id = s.service_id)"
    "  AND NOT EXISTS (SELECT 1 FROM deployments d WHERE d.service_id = s.service_id)"
    "  LIMIT $1::bigint) RETURNING service_id, service_name, cluster_id, account_id),"
    " r AS (DELETE FROM retries USING old WHERE kind = 'service' AND object_id = service_id::text),"
    " t AS (DELETE FROM tags USING old JOIN clusters c USING (cluster_id) WHERE resource_id ="
    "  'arn:aws:ecs:' || $3::text || ':' || old.account_id || ':service/' || c.cluster_name || '/'"
    "  || old.service_name AND NOT EXISTS (SELECT 1 FROM services s WHERE s.cluster_id ="
    "   old.cluster_id AND s.service_name = old.service_name AND s.status <> 'INACTIVE'))"
    " SELECT service_id FROM old",
    "WITH old AS (DELETE FROM container_instances WHERE ci_id IN (SELECT ci_id"
    "  FROM container_instances ci WHERE status = 'INACTIVE' AND ended_at < $2"
    "  AND channel_owner IS NULL AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.ci_id = ci.ci_id)"
    "  AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.pinned_ci_id = ci.ci_id)"
    "  LIMIT $1::bigint) RETURNING ci_id, container_instance_id, cluster_id, account_id),"
    " r AS (DELETE FROM retries USING old WHERE kind = 'container_instance'"
    "  AND object_id = ci_id::text),"
    " t AS (DELETE FROM tags USING old JOIN clusters c USING (cluster_id) WHERE resource_id ="
    "  'arn:aws:ecs:' || $3::text || ':' || old.account_id || ':container-instance/'"
    "  || c.cluster_name || '/' || old.container_instance_id)"
    " SELECT ci_id FROM old",
};

static gboolean sweep(DbTx *tx, const char *sql, const char *const *args, gboolean *ret_more,
                      GError **error)
{
    guint rows = 0;

    if (!db_exec(tx, error, sql, args, &rows))
        return FALSE;
    *ret_more |= rows >= BATCH;
    FAULT_POINT("janitor.between");
    return TRUE;
}

gboolean janitor_region(DbTx *tx, const char *region, gint64 history_us, gboolean *ret_more,
                        GError **error)
{
    const char *batch = db_int(tx, BATCH), *before = db_time(tx, history_us);

    *ret_more = FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(region_rows); i++)
        if (!sweep(tx, region_rows[i], DB_ARGS(batch), ret_more, error))
            return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(history_rows); i++)
        if (!sweep(tx, history_rows[i], DB_ARGS(batch, before, region), ret_more, error))
            return FALSE;
    return TRUE;
}

gboolean janitor_identity(DbTx *tx, gboolean *ret_more, GError **error)
{
    *ret_more = FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(identity_rows); i++)
        if (!sweep(tx, identity_rows[i], DB_ARGS(db_int(tx, BATCH)), ret_more, error))
            return FALSE;
    return TRUE;
}
