#include "store/services.h"
#include "store/ecs_rows.h"

#define COLUMNS                                                                                    \
    "s.service_id, s.account_id, s.cluster_id, c.cluster_name, s.service_name, s.status,"          \
    " s.desired_count, s.scheduling_strategy, s.launch_type, s.minimum_healthy_percent,"           \
    " s.maximum_percent, s.placement_constraints, s.placement_strategy, s.details, "               \
    "s.created_by, " DB_US("s.created_at") ", s.failed_starts, " DB_US(                            \
        "s.next_start_at") ", " DB_US("s.steady_at") ", " DB_US("s.stuck_at") ", s.stuck_reason"
#define FROM "services s JOIN clusters c USING (cluster_id)"

void service_free(EcsService *s)
{
    if (!s)
        return;
    char *texts[] = { s->account_id,          s->cluster_name, s->name,       s->status,
                      s->scheduling_strategy, s->launch_type,  s->created_by, s->stuck_reason };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    json_decref(s->constraints);
    json_decref(s->strategy);
    json_decref(s->details);
    g_free(s);
}

static EcsService *service_from_row(const PGresult *res, int row)
{
    EcsService *s = g_new0(EcsService, 1);

    s->id = db_int64(res, row, 0);
    s->account_id = g_strdup(db_text(res, row, 1));
    s->cluster_id = db_int64(res, row, 2);
    s->cluster_name = g_strdup(db_text(res, row, 3));
    s->name = g_strdup(db_text(res, row, 4));
    s->status = g_strdup(db_text(res, row, 5));
    s->desired_count = db_int64(res, row, 6);
    s->scheduling_strategy = g_strdup(db_text(res, row, 7));
    s->launch_type = g_strdup(db_text(res, row, 8));
    s->minimum_percent = db_int64(res, row, 9);
    s->maximum_percent = db_int64(res, row, 10);
    s->constraints = row_json(res, row, 11);
    s->strategy = row_json(res, row, 12);
    s->details = row_json(res, row, 13);
    s->created_by = g_strdup(db_text(res, row, 14));
    s->created_us = db_int64(res, row, 15);
    s->failed_starts = db_int64(res, row, 16);
    s->next_start_us = db_int64(res, row, 17);
    s->steady_us = db_int64(res, row, 18);
    s->stuck_us = db_int64(res, row, 19);
    s->stuck_reason = g_strdup(db_text(res, row, 20));
    return s;
}

gboolean services_find(DbTx *tx, gint64 cluster_id, const char *name, ServiceLock lock,
                       EcsService **ret_service, GError **error)
{
    const char *const *args = DB_ARGS(db_int(tx, cluster_id), name);
    g_autoptr(PGresult) res =
        lock == SERVICE_LOCK
            ? db_query(tx, error,
                       "SELECT " COLUMNS " FROM " FROM " WHERE s.cluster_id = $1"
                       " AND s.service_name = $2 ORDER BY s.status = 'INACTIVE', s.service_id DESC"
                       " LIMIT 1 FOR NO KEY UPDATE OF s",
                       args)
            : db_query(tx, error,
                       "SELECT " COLUMNS " FROM " FROM " WHERE s.cluster_id = $1"
                       " AND s.service_name = $2 ORDER BY s.status = 'INACTIVE', s.service_id DESC"
                       " LIMIT 1",
                       args);

    *ret_service = NULL;
    if (!res)
        return FALSE;
    if (PQntuples(res) > 0)
        *ret_service = service_from_row(res, 0);
    return TRUE;
}

gboolean services_get_by_id(DbTx *tx, gint64 service_id, ServiceLock lock, EcsService **ret_service,
                            GError **error)
{
    const char *const *args = DB_ARGS(db_int(tx, service_id));
    g_autoptr(PGresult) res =
        lock == SERVICE_LOCK
            ? db_query(tx, error,
                       "SELECT " COLUMNS " FROM " FROM " WHERE s.service_id = $1"
                       " FOR NO KEY UPDATE OF s",
                       args)
            : db_query(tx, error, "SELECT " COLUMNS " FROM " FROM " WHERE s.service_id = $1", args);

    *ret_service = NULL;
    if (!res)
        return FALSE;
    if (PQntuples(res) > 0)
        *ret_service = service_from_row(res, 0);
    return TRUE;
}

GPtrArray *services_describe(DbTx *tx, gint64 cluster_id, const char *const *names, gsize count,
                             GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT DISTINCT ON (s.service_name) " COLUMNS " FROM " FROM " WHERE s.cluster_id = $1"
        " AND s.service_name = ANY($2::text[])"
        " ORDER BY s.service_name, s.status = 'INACTIVE', s.service_id DESC",
        DB_ARGS(db_int(tx, cluster_id), db_text_array(tx, names, (gssize)count)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)service_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, service_from_row(res, row));
    return list;
}

GPtrArray *services_list(DbTx *tx, gint64 cluster_id, const char *launch_type,
                         const char *scheduling_strategy, const char *after, gint64 limit,
                         GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT service_name FROM services WHERE cluster_id = $1 AND status = 'ACTIVE'"
        " AND ($2::text IS NULL OR launch_type = $2)"
        " AND ($3::text IS NULL OR scheduling_strategy = $3) AND service_name COLLATE \"C\" > $4"
        " ORDER BY service_name COLLATE \"C\" LIMIT $5",
        DB_ARGS(db_int(tx, cluster_id), launch_type, scheduling_strategy, after ? after : "",
                db_int(tx, limit)));

    return res ? db_texts(res, 0) : NULL;
}

gboolean services_wake(DbTx *tx, gint64 service_id, GError **error)
{
    return db_wake(tx, "service", db_int(tx, service_id), error);
}

gboolean services_add(DbTx *tx, EcsService *s, GError **error)
{
    g_autofree char *constraints = json_dumps(s->constraints, JSON_COMPACT);
    g_autofree char *strategy = json_dumps(s->strategy, JSON_COMPACT);
    g_autofree char *details = json_dumps(s->details, JSON_COMPACT);
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "INSERT INTO services (account_id, cluster_id, service_name, desired_count,"
        " scheduling_strategy, launch_type, minimum_healthy_percent, maximum_percent,"
        " placement_constraints, placement_strategy, details, created_by)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10::jsonb, $11::jsonb, $12)"
        " RETURNING service_id",
        DB_ARGS(s->account_id, db_int(tx, s->cluster_id), s->name, db_int(tx, s->desired_count),
                s->scheduling_strategy, s->launch_type, db_int(tx, s->minimum_percent),
                db_int(tx, s->maximum_percent), constraints, strategy, details, s->created_by));

    if (!res)
        return FALSE;
    s->id = db_int64(res, 0, 0);
    return services_wake(tx, s->id, error);
}

gboolean services_update(DbTx *tx, const EcsService *s, GError **error)
{
    g_autofree char *constraints = json_dumps(s->constraints, JSON_COMPACT);
    g_autofree char *strategy = json_dumps(s->strategy, JSON_COMPACT);
    g_autofree char *details = json_dumps(s->details, JSON_COMPACT);

    return db_exec(
               tx, error,
               "UPDATE services SET status = $2, desired_count = $3, minimum_healthy_percent = $4,"
               " maximum_percent = $5, placement_constraints = $6::jsonb,"
               " placement_strategy = $7::jsonb, details = $8::jsonb, generation = generation + 1,"
               " failed_starts = 0, next_start_at = NULL WHERE service_id = $1",
               DB_ARGS(db_int(tx, s->id), s->status, db_int(tx, s->desired_count),
                       db_int(tx, s->minimum_percent), db_int(tx, s->maximum_percent), constraints,
                       strategy, details),
               NULL) &&
           services_wake(tx, s->id, error);
}

gboolean services_wake_for_instance(DbTx *tx, gint64 ci_id, GError **error)
{
    return db_exec(
        tx, error,
        "SELECT pg_notify('berth_wake', 'service:' || service_id) FROM ("
        "  SELECT DISTINCT service_id FROM tasks WHERE ci_id = $1 AND last_status <> 'STOPPED'"
        "   AND service_id IS NOT NULL"
        "  UNION SELECT s.service_id FROM services s JOIN container_instances ci USING (cluster_id)"
        "   WHERE ci.ci_id = $1 AND s.scheduling_strategy = 'DAEMON' AND s.status = 'ACTIVE') s",
        DB_ARGS(db_int(tx, ci_id)), NULL);
}

gboolean services_hold_tasks(DbTx *tx, gint64 service_id, gboolean *ret_holds, GError **error)
{
    return db_ask(
        tx, error,
        "SELECT EXISTS (SELECT 1 FROM tasks WHERE service_id = $1 AND last_status <> 'STOPPED')",
        DB_ARGS(db_int(tx, service_id)), ret_holds);
}
