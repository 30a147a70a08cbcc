#include "store/tasks.h"
#include "store/ecs_rows.h"
#include "store/placement_load.h"

/* SQL: times of rows as microseconds. */
#define CONNECTED_US         DB_US("ci.connected_at")
#define CREATED_US           DB_US("t.created_at")
#define PULL_STARTED_US      DB_US("t.pull_started_at")
#define PULL_STOPPED_US      DB_US("t.pull_stopped_at")
#define STARTED_US           DB_US("t.started_at")
#define STOPPING_US          DB_US("t.stopping_at")
#define EXECUTION_STOPPED_US DB_US("t.execution_stopped_at")
#define STOPPED_US           DB_US("t.stopped_at")

static void container_free(gpointer data)
{
    Container *c = data;

    g_free(c->name);
    g_free(c->container_uuid);
    g_free(c->image);
    g_free(c->last_status);
    g_free(c->runtime_id);
    g_free(c->image_digest);
    g_free(c->reason);
    g_free(c->health_status);
    json_decref(c->network_bindings);
    g_free(c);
}

void task_free(Task *task)
{
    if (!task)
        return;
    char *texts[] = { task->id,           task->container_instance_id,
                      task->zone,         task->family,
                      task->group,        task->started_by,
                      task->launch_type,  task->desired_status,
                      task->last_status,  task->health_status,
                      task->stop_code,    task->stopped_reason,
                      task->service_name, task->deployment_id };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    json_decref(task->overrides);
    json_decref(task->definition_sizes);
    g_clear_pointer(&task->containers, g_ptr_array_unref);
    g_free(task);
}

static const char *optional_id(DbTx *tx, gint64 id)
{
    return id ? db_int(tx, id) : NULL;
}

gboolean tasks_add(DbTx *tx, const TaskSeed *seed, const char *const *ids, const gint64 *ci_ids,
                   const gint64 *pinned, gsize count, GError **error)
{
    g_autofree gint64 *nowhere = g_new0(gint64, count + 1);
    g_autofree char *overrides = json_dumps(seed->overrides, JSON_COMPACT);
    g_autofree char *containers = json_dumps(seed->containers, JSON_COMPACT);

    return count == 0 ||
           db_exec(
               tx, error,
               "WITH added AS (INSERT INTO tasks (task_id, ci_id, pinned_ci_id, last_status, "
               "placed_at,"
               "   account_id, cluster_id, service_id, deployment_id, task_definition_id, "
               "task_group,"
               "   started_by, overrides, cpu, memory_mib, ports_tcp, ports_udp)"
               "  SELECT id, nullif(ci, 0), nullif(pin, 0),"
               "   CASE WHEN ci = 0 THEN 'PROVISIONING' ELSE 'PENDING' END,"
               "   CASE WHEN ci = 0 THEN NULL ELSE now() END, $4, $5, $6, $7, $8, $9, $10, "
               "$11::jsonb,"
               "   $12, $13, $14::integer[], $15::integer[]"
               "  FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS new (id, ci, pin)"
               "  RETURNING task_key, ci_id),"
               " parts AS (INSERT INTO containers (task_key, name, position, image, cpu, "
               "memory_mib,"
               "   memory_reservation_mib)"
               "  SELECT task_key, part->>'name', place, part->>'image', (part->>'cpu')::integer,"
               "   (part->>'memory_mib')::integer, (part->>'memory_reservation_mib')::integer"
               "  FROM added, jsonb_array_elements($16::jsonb) WITH ORDINALITY AS p (part, place)),"
               " woken AS (SELECT DISTINCT ci_id FROM added WHERE ci_id IS NOT NULL)"
               " SELECT pg_notify('berth_wake', 'channel:' || ci_id) FROM woken",
               DB_ARGS(db_text_array(tx, ids, (gssize)count),
                       db_int_array(tx, ci_ids ? ci_ids : nowhere, count),
                       db_int_array(tx, pinned ? pinned : nowhere, count), seed->account_id,
                       db_int(tx, seed->cluster_id), optional_id(tx, seed->service_id),
                       seed->deployment_id, db_int(tx, seed->task_definition_id), seed->group,
                       seed->started_by, overrides, db_int(tx, seed->hold->cpu),
                       db_int(tx, seed->hold->memory_mib), ints_param(tx, seed->hold->ports_tcp),
                       ints_param(tx, seed->hold->ports_udp), containers),
               NULL);
}

static void read_names(Task *task, const PGresult *res, int row)
{
    task->key = db_int64(res, row, 0);
    task->id = g_strdup(db_text(res, row, 1));
    task->ci_id = db_int64(res, row, 2);
    task->container_instance_id = g_strdup(db_text(res, row, 3));
    task->zone = g_strdup(db_text(res, row, 4));
    task->connected = db_truth(res, row, 5);
    task->connected_us = db_int64(res, row, 6);
    task->family = g_strdup(db_text(res, row, 7));
    task->revision = db_int64(res, row, 8);
    task->definition_sizes = row_json(res, row, 9);
    task->group = g_strdup(db_text(res, row, 10));
    task->started_by = g_strdup(db_text(res, row, 11));
    task->launch_type = g_strdup(db_text(res, row, 12));
    task->overrides = row_json(res, row, 13);
}

static void read_states(Task *task, const PGresult *res, int row)
{
    task->desired_status = g_strdup(db_text(res, row, 14));
    task->last_status = g_strdup(db_text(res, row, 15));
    task->health_status = g_strdup(db_text(res, row, 16));
    task->stop_code = g_strdup(db_text(res, row, 17));
    task->stopped_reason = g_strdup(db_text(res, row, 18));
    task->created_us = db_int64(res, row, 19);
    task->pull_started_us = db_int64(res, row, 20);
    task->pull_stopped_us = db_int64(res, row, 21);
    task->started_us = db_int64(res, row, 22);
    task->stopping_us = db_int64(res, row, 23);
    task->execution_stopped_us = db_int64(res, row, 24);
    task->stopped_us = db_int64(res, row, 25);
    task->version = db_int64(res, row, 26);
    task->service_name = g_strdup(db_text(res, row, 27));
    task->deployment_id = g_strdup(db_text(res, row, 28));
}

static Container *container_from_row(const PGresult *res, int row)
{
    Container *c = g_new0(Container, 1);

    c->name = g_strdup(db_text(res, row, 1));
    c->container_uuid = g_strdup(db_text(res, row, 2));
    c->image = g_strdup(db_text(res, row, 3));
    c->cpu = db_int64(res, row, 4);
    c->memory_mib = db_int64(res, row, 5);
    c->memory_reservation_mib = db_int64(res, row, 6);
    c->last_status = g_strdup(db_text(res, row, 7));
    c->runtime_id = g_strdup(db_text(res, row, 8));
    c->image_digest = g_strdup(db_text(res, row, 9));
    c->has_exit_code = db_text(res, row, 10) != NULL;
    c->exit_code = db_int64(res, row, 10);
    c->reason = g_strdup(db_text(res, row, 11));
    c->health_status = g_strdup(db_text(res, row, 12));
    c->network_bindings = row_json(res, row, 13);
    return c;
}

/* Gives each task its containers, in the order of the definition. */
static gboolean read_containers(DbTx *tx, GHashTable *by_key, GError **error)
{
    g_autofree gint64 *keys = g_new(gint64, g_hash_table_size(by_key) + 1);
    GHashTableIter iter;
    gpointer key;
    gsize count = 0;

    g_hash_table_iter_init(&iter, by_key);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        keys[count++] = *(gint64 *)key;
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT task_key, name, container_uuid, image, cpu, memory_mib, memory_reservation_mib,"
        " last_status, runtime_id, image_digest, exit_code, reason, health_status,"
        " network_bindings FROM containers WHERE task_key = ANY($1::bigint[])"
        " ORDER BY task_key, position",
        DB_ARGS(db_int_array(tx, keys, count)));
    if (!res)
        return FALSE;
    for (int row = 0; row < PQntuples(res); row++) {
        gint64 task_key = db_int64(res, row, 0);
        Task *task = g_hash_table_lookup(by_key, &task_key);
        g_ptr_array_add(task->containers, container_from_row(res, row));
    }
    return TRUE;
}

GPtrArray *tasks_describe(DbTx *tx, gint64 cluster_id, const char *const *ids, gsize count,
                          GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT t.task_key, t.task_id, t.ci_id, ci.container_instance_id, "
        "ci.zone_name, " CI_CONNECTED ", " CONNECTED_US ", d.family, d.revision,"
        " jsonb_build_object('cpu', d.definition->'cpu', 'memory', d.definition->'memory'),"
        " t.task_group, t.started_by, t.launch_type, t.overrides, t.desired_status, t.last_status,"
        " t.health_status, t.stop_code, t.stopped_reason, " CREATED_US ", " PULL_STARTED_US
        ", " PULL_STOPPED_US ", " STARTED_US ", " STOPPING_US ", " EXECUTION_STOPPED_US
        ", " STOPPED_US ", t.version, s.service_name, t.deployment_id"
        " FROM tasks t JOIN task_definitions d USING (task_definition_id)"
        " LEFT JOIN container_instances ci ON ci.ci_id = t.ci_id"
        " LEFT JOIN services s ON s.service_id = t.service_id"
        " WHERE t.cluster_id = $1 AND t.task_id = ANY($2::text[]) ORDER BY t.task_key",
        DB_ARGS(db_int(tx, cluster_id), db_text_array(tx, ids, (gssize)count)));
    g_autoptr(GHashTable) by_key = g_hash_table_new(g_int64_hash, g_int64_equal);

    if (!res)
        return NULL;
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)task_free);
    for (int row = 0; row < PQntuples(res); row++) {
        Task *task = g_new0(Task, 1);
        task->containers = g_ptr_array_new_with_free_func(container_free);
        read_names(task, res, row);
        read_states(task, res, row);
        g_ptr_array_add(list, task);
        g_hash_table_insert(by_key, &task->key, task);
    }
    return list->len == 0 || read_containers(tx, by_key, error) ? g_steal_pointer(&list) : NULL;
}

static void task_name_clear(gpointer name)
{
    g_free(((TaskName *)name)->id);
}

GArray *tasks_list(DbTx *tx, gint64 cluster_id, const TaskFilter *f, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT t.task_key, t.task_id FROM tasks t WHERE t.cluster_id = $1 AND t.task_key > $2"
        " AND ($3::text IS NULL OR t.desired_status = $3)"
        " AND ($4::text IS NULL OR t.ci_id = (SELECT ci_id FROM container_instances"
        "   WHERE container_instance_id = $4))"
        " AND ($5::text IS NULL OR t.started_by = $5)"
        " AND ($6::text IS NULL OR t.task_group = 'service:' || $6)"
        " AND ($7::text IS NULL OR t.task_definition_id IN (SELECT d.task_definition_id"
        "   FROM task_definitions d WHERE d.account_id = t.account_id AND d.family = $7))"
        " AND ($8::text IS NULL OR t.launch_type = $8) ORDER BY t.task_key LIMIT $9",
        DB_ARGS(db_int(tx, cluster_id), db_int(tx, f->after_key), f->desired_status,
                f->container_instance_id, f->started_by, f->service_name, f->family, f->launch_type,
                db_int(tx, f->limit)));

    if (!res)
        return NULL;
    GArray *list = g_array_new(FALSE, FALSE, sizeof(TaskName));
    g_array_set_clear_func(list, task_name_clear);
    for (int row = 0; row < PQntuples(res); row++) {
        TaskName name = { db_int64(res, row, 0), g_strdup(db_text(res, row, 1)) };
        g_array_append_val(list, name);
    }
    return list;
}

gboolean tasks_stop(DbTx *tx, const gint64 *keys, gsize count, const char *stop_code,
                    const char *reason, GError **error)
{
    return count == 0 ||
           db_exec(
               tx, error,
               "WITH chosen AS (SELECT t.task_key, t.last_status = 'PROVISIONING' OR EXISTS"
               "    (SELECT 1 FROM container_instances ci WHERE ci.ci_id = t.ci_id"
               "     AND ci.status = 'INACTIVE') AS over"
               "   FROM tasks t WHERE t.task_key = ANY($1::bigint[]) AND t.desired_status = "
               "'RUNNING'"
               "   AND t.last_status <> 'STOPPED' ORDER BY t.task_key FOR NO KEY UPDATE),"
               " asked AS (UPDATE tasks t SET desired_status = 'STOPPED', stop_code = $2,"
               "   stopped_reason = $3, stopping_at = now(), version = t.version + 1,"
               "   last_status = CASE WHEN over THEN 'STOPPED' ELSE t.last_status END,"
               "   stopped_at = CASE WHEN over THEN now() END"
               "  FROM chosen WHERE t.task_key = chosen.task_key"
               "  RETURNING t.ci_id, t.service_id, t.last_status),"
               " woken AS (SELECT 'channel:' || ci_id AS wake FROM asked"
               "   WHERE ci_id IS NOT NULL AND last_status <> 'STOPPED'"
               "  UNION SELECT 'service:' || service_id FROM asked WHERE service_id IS NOT NULL)"
               " SELECT pg_notify('berth_wake', wake) FROM woken",
               DB_ARGS(db_int_array(tx, keys, count), stop_code, reason), NULL);
}
