#include "store/placement_batch.h"
#include "store/ecs_rows.h"

#define BATCH_COLUMNS                                                                              \
    "w.service_id, s.service_name, s.stuck_reason, " DB_US(                                        \
        "s.stuck_at") ", w.task_group, w.cpu,"                                                     \
                      " w.memory_mib, w.ports_tcp, w.ports_udp, "                                  \
                      "d.definition->'requiresAttributes',"                                        \
                      " d.definition->'placementConstraints', s.placement_constraints, "           \
                      "s.placement_strategy,"                                                      \
                      " w.pinned_ci_id, w.keys, w.ids"
#define BATCH_JOINS                                                                                \
    " w JOIN task_definitions d USING (task_definition_id)"                                        \
    " LEFT JOIN services s ON s.service_id = w.service_id"
#define BATCH_GROUP                                                                                \
    "service_id, task_definition_id, pinned_ci_id, task_group, cpu, memory_mib, ports_tcp,"        \
    " ports_udp"
#define BATCH_LISTS                                                                                \
    "string_agg(task_key::text, ',' ORDER BY task_key) AS keys,"                                   \
    " string_agg(task_id, ',' ORDER BY task_key) AS ids, min(task_key) AS first"

void waiting_batch_free(WaitingBatch *b)
{
    if (!b)
        return;
    g_free(b->service_name);
    g_free(b->stuck_reason);
    g_free(b->group);
    g_array_unref(b->ports_tcp);
    g_array_unref(b->ports_udp);
    json_decref(b->required);
    json_decref(b->definition_constraints);
    json_decref(b->constraints);
    json_decref(b->strategy);
    g_array_unref(b->keys);
    g_strfreev(b->ids);
    g_free(b);
}

static WaitingBatch *batch_from_row(const PGresult *res, int row)
{
    WaitingBatch *b = g_new0(WaitingBatch, 1);

    b->service_id = db_int64(res, row, 0);
    b->service_name = g_strdup(db_text(res, row, 1));
    b->stuck_reason = g_strdup(db_text(res, row, 2));
    b->stuck_us = db_int64(res, row, 3);
    b->group = g_strdup(db_text(res, row, 4));
    b->cpu = db_int64(res, row, 5);
    b->memory_mib = db_int64(res, row, 6);
    b->ports_tcp = row_ints(res, row, 7);
    b->ports_udp = row_ints(res, row, 8);
    b->required = row_json(res, row, 9);
    b->definition_constraints = row_json(res, row, 10);
    b->constraints = row_json(res, row, 11);
    b->strategy = row_json(res, row, 12);
    b->pinned = db_int64(res, row, 13);
    b->keys = row_ints(res, row, 14);
    b->ids = g_strsplit(db_text(res, row, 15), ",", -1);
    return b;
}

GPtrArray *tasks_waiting(DbTx *tx, gint64 cluster_id, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT " BATCH_COLUMNS " FROM (SELECT " BATCH_GROUP ", " BATCH_LISTS " FROM tasks"
        "   WHERE cluster_id = $1 AND last_status = 'PROVISIONING' AND desired_status = 'RUNNING'"
        "   GROUP BY " BATCH_GROUP ")" BATCH_JOINS
        " ORDER BY (s.scheduling_strategy = 'DAEMON') DESC NULLS LAST, w.first",
        DB_ARGS(db_int(tx, cluster_id)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)waiting_batch_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, batch_from_row(res, row));
    return list;
}

gboolean task_as_waiting(DbTx *tx, gint64 task_key, WaitingBatch **ret_batch, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " BATCH_COLUMNS " FROM (SELECT " BATCH_GROUP ", " BATCH_LISTS " FROM tasks"
                 "   WHERE task_key = $1 GROUP BY " BATCH_GROUP ")" BATCH_JOINS,
                 DB_ARGS(db_int(tx, task_key)));

    *ret_batch = NULL;
    if (!res)
        return FALSE;
    if (PQntuples(res) > 0)
        *ret_batch = batch_from_row(res, 0);
    return TRUE;
}

gboolean tasks_place(DbTx *tx, const GArray *keys, const GArray *ci_ids, GError **error)
{
    return keys->len == 0 ||
           db_exec(
               tx, error,
               "WITH placed AS (UPDATE tasks t SET ci_id = n.ci, last_status = 'PENDING',"
               "   placed_at = now(), version = t.version + 1"
               "   FROM unnest($1::bigint[], $2::bigint[]) AS n (key, ci) WHERE t.task_key = n.key"
               "   AND t.last_status = 'PROVISIONING' AND t.desired_status = 'RUNNING'"
               "   RETURNING t.ci_id),"
               " woken AS (SELECT DISTINCT ci_id FROM placed)"
               " SELECT pg_notify('berth_wake', 'channel:' || ci_id) FROM woken",
               DB_ARGS(ints_param(tx, keys), ints_param(tx, ci_ids)), NULL);
}

gboolean services_set_stuck(DbTx *tx, gint64 service_id, const char *reason, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE services SET stuck_reason = $2, stuck_at = now() WHERE service_id = $1",
                   DB_ARGS(db_int(tx, service_id), reason), NULL);
}

void waiting_request(const WaitingBatch *b, PlacementRequest *ret_request)
{
    *ret_request = (PlacementRequest){
        .count = b->keys->len,
        .cpu = b->cpu,
        .memory_mib = b->memory_mib,
        .ports_tcp = b->ports_tcp,
        .ports_udp = b->ports_udp,
        .group = b->group,
        .required = b->required,
        .constraints = { b->definition_constraints, b->constraints },
        .strategy = b->strategy,
        .pinned = b->pinned,
    };
}
