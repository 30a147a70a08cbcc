/* Tables "deployments" and "service_events"; declared in store/services.h. */
#include "base/id.h"
#include "store/services.h"

/* SQL: times of rows as microseconds. */
#define BEGUN_US   DB_US("p.created_at")
#define TOLD_US    DB_US("e.created_at")
#define UPDATED_US DB_US("p.updated_at")

#define EVENTS_MAX 100

void deployment_free(Deployment *d)
{
    if (!d)
        return;
    char *texts[] = { d->id, d->status, d->family, d->rollout_state, d->rollout_reason };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    g_free(d);
}

static Deployment *deployment_from_row(const PGresult *res, int row)
{
    Deployment *d = g_new0(Deployment, 1);

    d->id = g_strdup(db_text(res, row, 0));
    d->service_id = db_int64(res, row, 1);
    d->status = g_strdup(db_text(res, row, 2));
    d->task_definition_id = db_int64(res, row, 3);
    d->family = g_strdup(db_text(res, row, 4));
    d->revision = db_int64(res, row, 5);
    d->desired_count = db_int64(res, row, 6);
    d->failed_tasks = db_int64(res, row, 7);
    d->rollout_state = g_strdup(db_text(res, row, 8));
    d->rollout_reason = g_strdup(db_text(res, row, 9));
    d->created_us = db_int64(res, row, 10);
    d->updated_us = db_int64(res, row, 11);
    d->pending = db_int64(res, row, 12);
    d->running = db_int64(res, row, 13);
    return d;
}

GPtrArray *deployments_of(DbTx *tx, const gint64 *service_ids, gsize count, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT p.deployment_id, p.service_id, p.status, p.task_definition_id, d.family,"
        " d.revision, p.desired_count, p.failed_tasks, p.rollout_state, "
        "p.rollout_reason, " BEGUN_US ", " UPDATED_US ", t.pending, t.running"
        " FROM deployments p JOIN task_definitions d USING (task_definition_id),"
        " LATERAL (SELECT count(*) FILTER (WHERE last_status IN ('PROVISIONING', 'PENDING'))"
        "    AS pending, count(*) FILTER (WHERE last_status = 'RUNNING') AS running"
        "   FROM tasks LEFT JOIN container_instances ci USING (ci_id)"
        "   WHERE tasks.deployment_id = p.deployment_id AND last_status <> 'STOPPED'"
        "   AND desired_status = 'RUNNING' AND ci.lost_at IS NULL) t"
        " WHERE p.service_id = ANY($1::bigint[]) AND p.status <> 'INACTIVE'"
        " ORDER BY p.service_id, p.status = 'PRIMARY' DESC, p.created_at DESC",
        DB_ARGS(db_int_array(tx, service_ids, count)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)deployment_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, deployment_from_row(res, row));
    return list;
}

char *deployments_begin(DbTx *tx, gint64 service_id, gint64 task_definition_id,
                        gint64 desired_count, const char *reason, GError **error)
{
    g_autofree char *id = id_deployment();
    g_autofree char *text =
        reason ? g_strdup(reason) : g_strdup_printf("ECS deployment %s in progress.", id);

    if (!db_exec(tx, error,
                 "UPDATE deployments SET status = 'ACTIVE', updated_at = now()"
                 " WHERE service_id = $1 AND status = 'PRIMARY'",
                 DB_ARGS(db_int(tx, service_id)), NULL) ||
        !db_exec(tx, error,
                 "INSERT INTO deployments (deployment_id, service_id, status, task_definition_id,"
                 " desired_count, rollout_reason) VALUES ($1, $2, 'PRIMARY', $3, $4, $5)",
                 DB_ARGS(id, db_int(tx, service_id), db_int(tx, task_definition_id),
                         db_int(tx, desired_count), text),
                 NULL))
        return NULL;
    return g_steal_pointer(&id);
}

gboolean deployments_last_completed(DbTx *tx, gint64 service_id, const char *but,
                                    gint64 *ret_task_definition_id, char **ret_id, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT task_definition_id, deployment_id FROM deployments WHERE service_id = $1"
        " AND rollout_state = 'COMPLETED' AND deployment_id <> $2 ORDER BY created_at DESC LIMIT 1",
        DB_ARGS(db_int(tx, service_id), but));

    *ret_id = NULL;
    *ret_task_definition_id = 0;
    if (!res)
        return FALSE;
    if (PQntuples(res) > 0) {
        *ret_task_definition_id = db_int64(res, 0, 0);
        *ret_id = g_strdup(db_text(res, 0, 1));
    }
    return TRUE;
}

gboolean deployments_set(DbTx *tx, const char *id, gint64 desired_count, gint64 failed_tasks,
                         const char *rollout_state, const char *reason, GError **error)
{
    return db_exec(
        tx, error,
        "UPDATE deployments SET desired_count = $2, failed_tasks = $3, rollout_state = $4,"
        " rollout_reason = $5, updated_at = now() WHERE deployment_id = $1 AND (desired_count,"
        " failed_tasks, rollout_state, rollout_reason) IS DISTINCT FROM ($2::integer, $3::integer,"
        " $4::text, $5::text)",
        DB_ARGS(id, db_int(tx, desired_count), db_int(tx, failed_tasks), rollout_state, reason),
        NULL);
}

gboolean deployments_retire(DbTx *tx, gint64 service_id, gboolean all, GError **error)
{
    return db_exec(
        tx, error,
        "UPDATE deployments p SET desired_count = held.wanted, updated_at = now(),"
        " status = CASE WHEN held.live = 0 THEN 'INACTIVE' ELSE p.status END"
        " FROM (SELECT o.deployment_id, count(t.task_key) AS live,"
        "    count(t.task_key) FILTER (WHERE t.desired_status = 'RUNNING') AS wanted"
        "   FROM deployments o LEFT JOIN (tasks t LEFT JOIN container_instances ci USING (ci_id))"
        "    ON t.deployment_id = o.deployment_id AND t.last_status <> 'STOPPED'"
        "    AND ci.lost_at IS NULL"
        "   WHERE o.service_id = $1 AND (o.status = 'ACTIVE' OR ($2 AND o.status = 'PRIMARY'))"
        "   GROUP BY o.deployment_id) held"
        " WHERE p.deployment_id = held.deployment_id"
        " AND (held.live = 0 OR p.desired_count <> held.wanted)",
        DB_ARGS(db_int(tx, service_id), db_bool(all)), NULL);
}

void service_event_free(ServiceEvent *event)
{
    g_free(event->id);
    g_free(event->message);
    g_free(event);
}

GPtrArray *service_events_of(DbTx *tx, const gint64 *service_ids, gsize count, gint64 limit,
                             GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT e.service_id, e.event_id, " TOLD_US ", e.message"
                 " FROM unnest($1::bigint[]) AS s (id), LATERAL (SELECT * FROM service_events"
                 "  WHERE service_id = s.id ORDER BY serial DESC LIMIT $2) e"
                 " ORDER BY e.service_id, e.serial DESC",
                 DB_ARGS(db_int_array(tx, service_ids, count), db_int(tx, limit)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)service_event_free);
    for (int row = 0; row < PQntuples(res); row++) {
        ServiceEvent *event = g_new0(ServiceEvent, 1);
        event->service_id = db_int64(res, row, 0);
        event->id = g_strdup(db_text(res, row, 1));
        event->created_us = db_int64(res, row, 2);
        event->message = g_strdup(db_text(res, row, 3));
        g_ptr_array_add(list, event);
    }
    return list;
}

gboolean service_events_add(DbTx *tx, gint64 service_id, const char *service_name, const char *text,
                            GError **error)
{
    const char *id = db_int(tx, service_id);
    g_autofree char *message = g_strdup_printf("(service %s) %s", service_name, text);

    return db_exec(tx, error, "INSERT INTO service_events (service_id, message) VALUES ($1, $2)",
                   DB_ARGS(id, message), NULL) &&
           db_exec(tx, error,
                   "DELETE FROM service_events WHERE service_id = $1 AND serial <="
                   " (SELECT serial FROM service_events WHERE service_id = $1"
                   "  ORDER BY serial DESC OFFSET $2 LIMIT 1)",
                   DB_ARGS(id, db_int(tx, EVENTS_MAX)), NULL);
}
