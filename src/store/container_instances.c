#include "store/container_instances.h"
#include "store/ecs_rows.h"
#include "store/placement_load.h"
#include "store/services.h"
#include "store/tasks.h"

/* SQL: since when an agent has not been heard, though a daemon listened. */
#define SILENT_US                                                                                  \
    DB_US("greatest(coalesce(ci.disconnected_at, ci.registered_at),"                               \
          " (SELECT min(started_at) FROM daemons WHERE role <> 'reconcile'))")
/* SQL: times of rows as microseconds. */
#define REGISTERED_US DB_US("ci.registered_at")
#define LOST_US       DB_US("ci.lost_at")

void container_instance_free(ContainerInstance *i)
{
    if (!i)
        return;
    char *texts[] = { i->name,       i->ec2_instance_id, i->zone,
                      i->status,     i->status_reason,   i->agent_version,
                      i->agent_hash, i->docker_version,  i->runtime_status };
    for (gsize n = 0; n < G_N_ELEMENTS(texts); n++)
        g_free(texts[n]);
    json_decref(i->attributes);
    g_array_unref(i->ports_tcp);
    g_array_unref(i->ports_udp);
    g_array_unref(i->tcp_held);
    g_array_unref(i->udp_held);
    g_free(i);
}

static ContainerInstance *instance_from_row(const PGresult *res, int row)
{
    ContainerInstance *i = g_new0(ContainerInstance, 1);

    i->id = db_int64(res, row, 0);
    i->name = g_strdup(db_text(res, row, 1));
    i->cluster_id = db_int64(res, row, 2);
    i->ec2_instance_id = g_strdup(db_text(res, row, 3));
    i->zone = g_strdup(db_text(res, row, 4));
    i->status = g_strdup(db_text(res, row, 5));
    i->status_reason = g_strdup(db_text(res, row, 6));
    i->cpu = db_int64(res, row, 7);
    i->memory_mib = db_int64(res, row, 8);
    i->ports_tcp = row_ints(res, row, 9);
    i->ports_udp = row_ints(res, row, 10);
    i->attributes = row_json(res, row, 11);
    i->agent_version = g_strdup(db_text(res, row, 12));
    i->agent_hash = g_strdup(db_text(res, row, 13));
    i->docker_version = g_strdup(db_text(res, row, 14));
    i->registered_us = db_int64(res, row, 15);
    i->connected = db_truth(res, row, 16);
    i->runtime_status = g_strdup(db_text(res, row, 17));
    i->version = db_int64(res, row, 18);
    i->running_tasks = db_int64(res, row, 19);
    i->pending_tasks = db_int64(res, row, 20);
    i->cpu_held = db_int64(res, row, 21);
    i->memory_held_mib = db_int64(res, row, 22);
    i->tcp_held = row_ints(res, row, 23);
    i->udp_held = row_ints(res, row, 24);
    return i;
}

GPtrArray *container_instances_describe(DbTx *tx, gint64 cluster_id, const char *const *names,
                                        gsize count, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT ci.ci_id, ci.container_instance_id, ci.cluster_id, ci.ec2_instance_id,"
        " ci.zone_name, ci.status, ci.status_reason, ci.cpu, ci.memory_mib, ci.ports_tcp,"
        " ci.ports_udp, ci.attributes, ci.agent_version, ci.agent_hash, "
        "ci.docker_version, " REGISTERED_US ", " CI_CONNECTED ", ci.runtime_status, ci.version,"
        " held.running, held.pending, held.cpu, held.memory_mib, held.tcp, held.udp"
        " FROM container_instances ci, LATERAL (SELECT"
        "   count(*) FILTER (WHERE last_status = 'RUNNING') AS running,"
        "   count(*) FILTER (WHERE last_status = 'PENDING') AS pending,"
        "   sum(t.cpu) AS cpu, sum(t.memory_mib) AS memory_mib,"
        "   string_agg(array_to_string(t.ports_tcp || t.dynamic_tcp, ','), ',') AS tcp,"
        "   string_agg(array_to_string(t.ports_udp || t.dynamic_udp, ','), ',') AS udp"
        "   FROM tasks t WHERE t.ci_id = ci.ci_id AND " TASK_HOLDS ") held"
        " WHERE ci.cluster_id = $1 AND ci.container_instance_id = ANY($2::text[])"
        " ORDER BY ci.ci_id",
        DB_ARGS(db_int(tx, cluster_id), db_text_array(tx, names, (gssize)count)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)container_instance_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, instance_from_row(res, row));
    return list;
}

GPtrArray *container_instances_list(DbTx *tx, gint64 cluster_id, const char *status,
                                    const char *after, gint64 limit, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT container_instance_id FROM container_instances WHERE cluster_id = $1"
        " AND CASE WHEN $2::text IS NULL THEN status IN ('ACTIVE', 'DRAINING') ELSE status = $2 END"
        " AND container_instance_id > $3 ORDER BY container_instance_id LIMIT $4",
        DB_ARGS(db_int(tx, cluster_id), status, after ? after : "", db_int(tx, limit)));

    return res ? db_texts(res, 0) : NULL;
}

gboolean container_instances_set_status(DbTx *tx, gint64 ci_id, const char *status, GError **error)
{
    return db_exec(
               tx, error,
               "WITH changed AS (UPDATE container_instances SET status = $2, version = version + 1"
               "  WHERE ci_id = $1 AND status <> $2 RETURNING cluster_id)"
               " SELECT pg_notify('berth_wake', 'cluster:' || cluster_id) FROM changed",
               DB_ARGS(db_int(tx, ci_id), status), NULL) &&
           services_wake_for_instance(tx, ci_id, error);
}

gboolean container_instances_set_attributes(DbTx *tx, gint64 ci_id, const json_t *attributes,
                                            GError **error)
{
    g_autofree char *text = json_dumps(attributes, JSON_COMPACT);

    return db_exec(tx, error,
                   "WITH changed AS (UPDATE container_instances SET attributes = $2::jsonb,"
                   "  version = version + 1 WHERE ci_id = $1 RETURNING cluster_id)"
                   " SELECT pg_notify('berth_wake', 'cluster:' || cluster_id) FROM changed",
                   DB_ARGS(db_int(tx, ci_id), text), NULL) &&
           services_wake_for_instance(tx, ci_id, error);
}

gboolean container_instances_stop_tasks(DbTx *tx, gint64 ci_id, const char *stop_code,
                                        const char *stopped_reason, GError **error)
{
    const char *id = db_int(tx, ci_id);

    return services_wake_for_instance(tx, ci_id, error) &&
           db_exec(tx, error,
                   "WITH stopped AS (UPDATE tasks SET desired_status = 'STOPPED',"
                   "   last_status = 'STOPPED', stop_code = coalesce(stop_code, $2),"
                   "   stopped_reason = coalesce(stopped_reason, $3),"
                   "   stopping_at = coalesce(stopping_at, now()), stopped_at = now(),"
                   "   version = version + 1"
                   "   WHERE (ci_id = $1 OR pinned_ci_id = $1) AND last_status <> 'STOPPED'"
                   "   RETURNING task_key)"
                   " UPDATE containers SET last_status = 'STOPPED' FROM stopped"
                   " WHERE containers.task_key = stopped.task_key",
                   DB_ARGS(id, stop_code, stopped_reason), NULL);
}

gboolean container_instances_end(DbTx *tx, gint64 ci_id, const char *status_reason,
                                 const char *stop_code, const char *stopped_reason, GError **error)
{
    const char *id = db_int(tx, ci_id);

    return container_instances_stop_tasks(tx, ci_id, stop_code, stopped_reason, error) &&
           db_exec(tx, error,
                   "WITH ended AS (UPDATE container_instances SET status = 'INACTIVE',"
                   "   status_reason = $2, version = version + 1"
                   "   WHERE ci_id = $1 AND status <> 'INACTIVE' RETURNING cluster_id)"
                   " SELECT pg_notify('berth_wake', 'cluster:' || cluster_id) FROM ended",
                   DB_ARGS(id, status_reason), NULL) &&
           db_wake(tx, "channel", id, error);
}

/* Off, and not on its way through a reboot (model/instance.c says the same): after that its agent
 * tells itself what became of its tasks. */
#define HOST_OFF                                                                                   \
    "coalesce(i.ever_defined AND i.seen <> 'running' AND NOT (i.seen = 'off'"                      \
    " AND i.reboot_generation = i.generation AND i.seen_generation < i.generation), false)"

gboolean agent_facts(DbTx *tx, gint64 ci_id, AgentFacts *f, gboolean *ret_found, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT ci.cluster_id, ci.container_instance_id, ci.status, "
        "ci.ec2_instance_id, " CI_CONNECTED
        ", coalesce(i.terminated_at IS NOT NULL OR i.fault IS NOT NULL"
        "  OR i.desired = 'terminated', false), " SILENT_US ", " LOST_US ","
        " (SELECT count(*) FROM tasks t WHERE t.ci_id = ci.ci_id AND t.last_status <> "
        "'STOPPED'), " HOST_OFF
        " FROM container_instances ci LEFT JOIN instances i ON i.instance_id = ci.ec2_instance_id"
        " WHERE ci.ci_id = $1 FOR NO KEY UPDATE OF ci",
        DB_ARGS(db_int(tx, ci_id)));

    if (!res)
        return FALSE;
    *ret_found = PQntuples(res) > 0;
    if (!*ret_found)
        return TRUE;
    const char *ec2 = db_text(res, 0, 3);
    f->cluster_id = db_int64(res, 0, 0);
    g_strlcpy(f->name, db_text(res, 0, 1), sizeof f->name);
    g_strlcpy(f->status, db_text(res, 0, 2), sizeof f->status);
    g_strlcpy(f->ec2_instance_id, ec2 ? ec2 : "", sizeof f->ec2_instance_id);
    f->connected = db_truth(res, 0, 4);
    f->host_gone = db_truth(res, 0, 5);
    f->silent_us = db_int64(res, 0, 6);
    f->lost_us = db_int64(res, 0, 7);
    f->live_tasks = db_int64(res, 0, 8);
    f->host_off = db_truth(res, 0, 9);
    return TRUE;
}

gboolean agent_lose(DbTx *tx, gint64 ci_id, const char *name, GError **error)
{
    g_autofree char *reason = g_strdup_printf("The agent of container instance %s was lost.", name);
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "WITH lost AS (UPDATE container_instances SET lost_at = now(), version = version + 1"
        "  WHERE ci_id = $1 RETURNING ci_id)"
        " SELECT string_agg(task_key::text, ',') FROM tasks, lost WHERE tasks.ci_id = lost.ci_id"
        " AND service_id IS NOT NULL AND last_status <> 'STOPPED' AND desired_status = 'RUNNING'",
        DB_ARGS(db_int(tx, ci_id)));

    if (!res)
        return FALSE;
    g_autoptr(GArray) keys = row_ints(res, 0, 0);
    return tasks_stop(tx, (const gint64 *)(const void *)keys->data, keys->len,
                      "ServiceSchedulerInitiated", reason, error);
}

gboolean agent_found(DbTx *tx, gint64 ci_id, GError **error)
{
    return db_exec(
        tx, error,
        "UPDATE container_instances SET lost_at = NULL, version = version + 1 WHERE ci_id = $1",
        DB_ARGS(db_int(tx, ci_id)), NULL);
}
