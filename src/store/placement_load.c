#include "store/placement_load.h"
#include "store/daemons.h"
#include "store/ecs_rows.h"

/* SQL: times of rows as microseconds. */
#define REGISTERED_US DB_US("ci.registered_at")

/* Each set of attributes that occurs in the cluster, by its key. */
static GHashTable *load_attributes(DbTx *tx, gint64 cluster_id, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT ci.attributes_key, ci.attributes::text FROM container_instances ci"
        " JOIN (SELECT min(ci_id) AS ci_id FROM container_instances WHERE cluster_id = $1"
        "  AND status IN ('ACTIVE', 'DRAINING') GROUP BY attributes_key) first USING (ci_id)",
        DB_ARGS(db_int(tx, cluster_id)));

    if (!res)
        return NULL;
    GHashTable *sets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_hash_table_replace(sets, g_strdup(db_text(res, row, 0)), g_strdup(db_text(res, row, 1)));
    return sets;
}

/* A set that came after they were read is missing: the change has woken the next pass. */
static void read_instance(PlacementCluster *cluster, GHashTable *sets, const PGresult *res, int row)
{
    PlacementInstance *i =
        placement_cluster_add(cluster, db_int64(res, row, 0), db_text(res, row, 1),
                              g_hash_table_lookup(sets, db_text(res, row, 2)));

    i->ec2_instance_id = g_strdup(db_text(res, row, 3));
    i->agent_version = g_strdup(db_text(res, row, 4));
    i->registered_us = db_int64(res, row, 5);
    i->active = db_truth(res, row, 6);
    i->connected = db_truth(res, row, 7);
    i->cpu_total = db_int64(res, row, 8);
    i->memory_total_mib = db_int64(res, row, 9);
    i->cpu = i->cpu_total - db_int64(res, row, 10);
    i->memory_mib = i->memory_total_mib - db_int64(res, row, 11);
    i->running_tasks = db_int64(res, row, 12);
    i->used_tcp = row_ints(res, row, 13);
    i->used_udp = row_ints(res, row, 14);
}

static gboolean load_groups(DbTx *tx, PlacementCluster *cluster, gint64 cluster_id,
                            const char *groups, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT t.task_group, t.ci_id, count(*) FROM tasks t WHERE t.cluster_id = $1"
                 " AND " TASK_HOLDS " AND t.desired_status = 'RUNNING'"
                 " AND ($2::text[] IS NULL OR t.task_group = ANY($2)) GROUP BY 1, 2",
                 DB_ARGS(db_int(tx, cluster_id), groups));

    if (!res)
        return FALSE;
    for (int row = 0; row < PQntuples(res); row++)
        placement_add_group(cluster, db_text(res, row, 0), db_int64(res, row, 1),
                            (guint)db_int64(res, row, 2));
    return TRUE;
}

gboolean placement_absent(DbTx *tx, gint64 cluster_id, gint64 *ret_since_us, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT " DB_US("max(disconnected_at)") " FROM container_instances"
                                                " WHERE cluster_id = $1 AND status = 'ACTIVE' AND "
                                                "lost_at IS NULL"
                                                " AND channel_owner IS NULL AND disconnect_cause = "
                                                "'" DAEMON_ENDED_CAUSE "'",
        DB_ARGS(db_int(tx, cluster_id)));

    if (!res)
        return FALSE;
    *ret_since_us = db_int64(res, 0, 0);
    return TRUE;
}

/* Ports are made texts of only where there are some: most tasks have none, and it costs more than
 * all the rest. */
PlacementCluster *placement_load(DbTx *tx, gint64 cluster_id, const char *const *groups,
                                 gsize group_count, guint64 seed, GError **error)
{
    g_autoptr(GHashTable) sets = load_attributes(tx, cluster_id, error);

    if (!sets)
        return NULL;
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT ci.ci_id, ci.container_instance_id, ci.attributes_key, ci.ec2_instance_id,"
        " ci.agent_version, " REGISTERED_US ", ci.status = 'ACTIVE'"
        " AND ci.lost_at IS NULL, " CI_CONNECTED
        " AND coalesce(i.seen = 'running' OR NOT i.ever_defined, true), ci.cpu, ci.memory_mib, "
        "held.cpu,"
        " held.memory_mib, held.running,"
        " array_to_string(ci.ports_tcp, ',') || ',' || coalesce(held.tcp, ''),"
        " array_to_string(ci.ports_udp, ',') || ',' || coalesce(held.udp, '')"
        " FROM container_instances ci LEFT JOIN (SELECT t.ci_id, sum(t.cpu) AS cpu,"
        "   sum(t.memory_mib) AS memory_mib,"
        "   count(*) FILTER (WHERE t.last_status = 'RUNNING') AS running,"
        "   string_agg(array_to_string(t.ports_tcp || t.dynamic_tcp, ','), ',')"
        "    FILTER (WHERE cardinality(t.ports_tcp) + cardinality(t.dynamic_tcp) > 0) AS tcp,"
        "   string_agg(array_to_string(t.ports_udp || t.dynamic_udp, ','), ',')"
        "    FILTER (WHERE cardinality(t.ports_udp) + cardinality(t.dynamic_udp) > 0) AS udp"
        "   FROM tasks t WHERE t.cluster_id = $1 AND " TASK_HOLDS " GROUP BY t.ci_id) held"
        " USING (ci_id) LEFT JOIN instances i ON i.instance_id = ci.ec2_instance_id"
        " WHERE ci.cluster_id = $1 AND ci.status IN ('ACTIVE', 'DRAINING')"
        " ORDER BY ci.ci_id",
        DB_ARGS(db_int(tx, cluster_id)));

    if (!res)
        return NULL;
    g_autoptr(PlacementCluster) cluster = placement_cluster_new(seed);
    for (int row = 0; row < PQntuples(res); row++)
        read_instance(cluster, sets, res, row);
    const char *wanted = groups ? db_text_array(tx, groups, (gssize)group_count) : NULL;
    if (!load_groups(tx, cluster, cluster_id, wanted, error))
        return NULL;
    return g_steal_pointer(&cluster);
}
