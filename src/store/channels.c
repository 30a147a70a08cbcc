#include "store/channels.h"
#include "base/errors.h"
#include "store/ecs_rows.h"

void channel_row_free(ChannelRow *row)
{
    if (!row)
        return;
    g_free(row->account_id);
    g_free(row->cluster_name);
    g_free(row->container_instance_id);
    g_free(row->ec2_instance_id);
    g_free(row->owner);
    g_free(row->session);
    g_free(row);
}

/* First column: the place of the lookup it answers. */
static ChannelRow *channel_row_from(const PGresult *res, int n)
{
    ChannelRow *row = g_new0(ChannelRow, 1);

    row->ci_id = db_int64(res, n, 1);
    row->cluster_id = db_int64(res, n, 2);
    row->account_id = g_strdup(db_text(res, n, 3));
    row->cluster_name = g_strdup(db_text(res, n, 4));
    row->container_instance_id = g_strdup(db_text(res, n, 5));
    row->ec2_instance_id = g_strdup(db_text(res, n, 6));
    row->active = db_truth(res, n, 7);
    row->owner = g_strdup(db_text(res, n, 8));
    row->session = g_strdup(db_text(res, n, 9));
    return row;
}

static const char *texts(DbTx *tx, const GPtrArray *list)
{
    return db_text_array(tx, (const char *const *)list->pdata, (gssize)list->len);
}

gboolean channels_find(DbTx *tx, ChannelLookup *lookups, gsize count, GError **error)
{
    g_autoptr(GPtrArray) accounts = g_ptr_array_new(), ids = g_ptr_array_new();

    for (gsize i = 0; i < count; i++) {
        g_ptr_array_add(accounts, (gpointer)lookups[i].account_id);
        g_ptr_array_add(ids, (gpointer)lookups[i].container_instance_id);
    }
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT w.n, i.ci_id, i.cluster_id, i.account_id, c.cluster_name,"
                 " i.container_instance_id, i.ec2_instance_id, i.status <> 'INACTIVE',"
                 " i.channel_owner, i.channel_session"
                 " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (account, id, n)"
                 " JOIN container_instances i ON i.account_id = w.account"
                 "  AND i.container_instance_id = w.id JOIN clusters c USING (cluster_id)",
                 DB_ARGS(texts(tx, accounts), texts(tx, ids)));
    if (!res)
        return FALSE;
    for (int n = 0; n < PQntuples(res); n++)
        lookups[db_int64(res, n, 0) - 1].row = channel_row_from(res, n);
    return TRUE;
}

static void take_claimed(const PGresult *res, int row, ChannelClaim *claims, gsize count)
{
    for (gsize i = 0; i < count; i++) {
        if (g_strcmp0(claims[i].session, db_text(res, row, 0)) != 0)
            continue;
        claims[i].taken = TRUE;
        claims[i].work = db_truth(res, row, 1);
        claims[i].credentials = db_truth(res, row, 2);
    }
}

/* Rows are locked in the order of their ids, as everywhere. */
#define CLAIM                                                                                      \
    "WITH free AS (SELECT ci_id, a.session, a.version, a.hash, a.docker"                           \
    "  FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])"      \
    "  AS a (ci_id, session, former, version, hash, docker) JOIN container_instances i"            \
    "  USING (ci_id) WHERE i.status <> 'INACTIVE' AND (i.channel_owner IS NULL"                    \
    "   OR i.channel_session = a.former"                                                           \
    "   OR i.channel_owner <> ALL (ARRAY(SELECT daemon_id FROM daemons)))"                         \
    "  ORDER BY ci_id FOR NO KEY UPDATE OF i),"                                                    \
    " taken AS (UPDATE container_instances i SET channel_owner = $1, channel_session = f.session," \
    "  connected_at = now(), last_frame_at = now(), disconnect_cause = NULL,"                      \
    "  agent_version = coalesce(f.version, agent_version),"                                        \
    "  agent_hash = coalesce(f.hash, agent_hash),"                                                 \
    "  docker_version = coalesce(f.docker, docker_version), version = i.version + 1"               \
    "  FROM free f WHERE i.ci_id = f.ci_id RETURNING i.ci_id, i.cluster_id, i.channel_session,"    \
    " i.lost_at),"                                                                                 \
    " woken AS MATERIALIZED (SELECT pg_notify('berth_wake', 'cluster:' || cluster_id) AS told"     \
    "  FROM taken GROUP BY cluster_id UNION ALL SELECT pg_notify('berth_wake', "                   \
    "'container_instance:' || ci_id)"                                                              \
    " FROM taken WHERE lost_at IS NOT NULL)"                                                       \
    " SELECT n.channel_session, EXISTS (SELECT 1 FROM tasks t WHERE t.ci_id = n.ci_id"             \
    "   AND t.last_status <> 'STOPPED'"                                                            \
    "   AND (t.sent_status IS DISTINCT FROM t.desired_status OR (" CHANNELS_UNACKED "))),"         \
    "  EXISTS (SELECT 1 FROM tasks t JOIN task_credentials USING (task_key)"                       \
    "   WHERE t.ci_id = n.ci_id AND t.last_status <> 'STOPPED')"                                   \
    " FROM taken n, (SELECT count(told) FROM woken) w"

/* A column of the claims: the text at offset of each. */
static const char *claims_texts(DbTx *tx, const ChannelClaim *claims, gsize count, gsize offset)
{
    g_autoptr(GPtrArray) list = g_ptr_array_sized_new((guint)count);

    for (gsize i = 0; i < count; i++)
        g_ptr_array_add(list, G_STRUCT_MEMBER(gpointer, &claims[i], offset));
    return texts(tx, list);
}
#define CLAIMED(member) claims_texts(tx, claims, count, G_STRUCT_OFFSET(ChannelClaim, member))

gboolean channels_claim(DbTx *tx, const char *daemon_id, ChannelClaim *claims, gsize count,
                        GError **error)
{
    g_autofree gint64 *ids = g_new(gint64, count);

    for (gsize i = 0; i < count; i++)
        ids[i] = claims[i].ci_id;
    g_autoptr(PGresult) res = db_query(
        tx, error, CLAIM,
        DB_ARGS(daemon_id, db_int_array(tx, ids, count), CLAIMED(session), CLAIMED(over_session),
                CLAIMED(agent.version), CLAIMED(agent.hash), CLAIMED(agent.docker_version)));
    if (!res)
        return FALSE;
    for (int row = 0; row < PQntuples(res); row++)
        take_claimed(res, row, claims, count);
    return TRUE;
}

void channel_ends_add(ChannelEnds *ends, gint64 ci_id, const char *session, const char *cause)
{
    if (!ends->ci_ids) {
        ends->ci_ids = g_array_new(FALSE, FALSE, sizeof(gint64));
        ends->sessions = g_ptr_array_new_with_free_func(g_free);
        ends->causes = g_ptr_array_new_with_free_func(g_free);
    }
    g_array_append_val(ends->ci_ids, ci_id);
    g_ptr_array_add(ends->sessions, g_strdup(session));
    g_ptr_array_add(ends->causes, g_strdup(cause));
}

void channel_ends_clear(ChannelEnds *ends)
{
    g_clear_pointer(&ends->ci_ids, g_array_unref);
    g_clear_pointer(&ends->sessions, g_ptr_array_unref);
    g_clear_pointer(&ends->causes, g_ptr_array_unref);
}

/* Rows are locked in the order of their ids, as everywhere. Each instance is looked at when it has
 * been away for too long; of very many at once, which mostly come back, the sweep finds those that
 * do not. */
gboolean channels_release(DbTx *tx, const ChannelEnds *ends, GError **error)
{
    return db_exec(tx, error,
                   "WITH held AS (SELECT ci_id, cause FROM container_instances JOIN"
                   "  unnest($1::bigint[], $2::text[], $3::text[]) AS e (ci_id, session, cause)"
                   "  USING (ci_id) WHERE channel_session = e.session"
                   "  ORDER BY ci_id FOR NO KEY UPDATE OF container_instances),"
                   " freed AS (UPDATE container_instances i SET channel_owner = NULL,"
                   "  channel_session = NULL, disconnected_at = now(), disconnect_cause = h.cause,"
                   "  version = version + 1 FROM held h WHERE i.ci_id = h.ci_id"
                   "  RETURNING i.ci_id, i.cluster_id)"
                   " SELECT pg_notify('berth_wake', wake) FROM"
                   "  (SELECT 'cluster:' || cluster_id FROM freed GROUP BY cluster_id UNION ALL"
                   "  (SELECT 'container_instance:' || ci_id FROM freed LIMIT 100)) w (wake)",
                   DB_ARGS(db_int_array(tx, (const gint64 *)(const void *)ends->ci_ids->data,
                                        ends->ci_ids->len),
                           texts(tx, ends->sessions), texts(tx, ends->causes)),
                   NULL);
}

gboolean channels_touch(DbTx *tx, const gint64 *ci_ids, gsize count, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE container_instances SET last_frame_at = now()"
                   " WHERE ci_id = ANY($1::bigint[])",
                   DB_ARGS(db_int_array(tx, ci_ids, count)), NULL);
}

gboolean channels_note(DbTx *tx, gint64 ci_id, const char *what, GError **error)
{
    return db_exec(tx, error,
                   "INSERT INTO history (kind, object_id, what)"
                   " SELECT 'channel', container_instance_id, $2 FROM container_instances"
                   " WHERE ci_id = $1",
                   DB_ARGS(db_int(tx, ci_id), what), NULL);
}

void channel_state_clear(ChannelState *state)
{
    g_free(state->cause);
}

gboolean channels_state(DbTx *tx, gint64 ci_id, ChannelState *ret_state, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT " DB_US("connected_at") ", " DB_US(
            "last_frame_at") ","
                             " CASE WHEN channel_owner IS NULL THEN " DB_US(
                                 "disconnected_at") " END, " DB_US("lost_at") ", disconnect_cause "
                                                                              "FROM "
                                                                              "container_instances "
                                                                              "WHERE ci_id = $1",
        DB_ARGS(db_int(tx, ci_id)));

    if (!res || PQntuples(res) == 0)
        return res != NULL;
    *ret_state = (ChannelState){ .connected_us = db_int64(res, 0, 0),
                                 .last_frame_us = db_int64(res, 0, 1),
                                 .disconnected_us = db_int64(res, 0, 2),
                                 .lost_us = db_int64(res, 0, 3),
                                 .cause = g_strdup(db_text(res, 0, 4)) };
    return TRUE;
}

void channel_task_free(ChannelTask *task)
{
    if (!task)
        return;
    g_free(task->task_id);
    g_free(task->desired_status);
    g_free(task->family);
    g_free(task->launch_type);
    g_free(task->task_group);
    g_free(task->service_name);
    json_decref(task->definition);
    json_decref(task->overrides);
    json_decref(task->container_uuids);
    json_decref(task->role_credentials);
    json_decref(task->execution_credentials);
    g_free(task);
}

static ChannelTask *channel_task_from_row(const PGresult *res, int row)
{
    ChannelTask *task = g_new0(ChannelTask, 1);

    task->task_key = db_int64(res, row, 0);
    task->task_id = g_strdup(db_text(res, row, 1));
    task->desired_status = g_strdup(db_text(res, row, 2));
    task->family = g_strdup(db_text(res, row, 3));
    task->revision = db_int64(res, row, 4);
    task->launch_type = g_strdup(db_text(res, row, 5));
    task->task_group = g_strdup(db_text(res, row, 6));
    task->service_name = g_strdup(db_text(res, row, 7));
    task->definition = row_json(res, row, 8);
    task->overrides = row_json(res, row, 9);
    task->container_uuids = row_json(res, row, 10);
    return task;
}

gboolean channels_look(DbTx *tx, gint64 ci_id, gboolean *ret_active, gboolean *ret_work,
                       GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT status <> 'INACTIVE', EXISTS (SELECT 1 FROM tasks t WHERE t.ci_id = $1"
                 " AND t.last_status <> 'STOPPED'"
                 " AND (t.sent_status IS DISTINCT FROM t.desired_status OR (" CHANNELS_UNACKED ")))"
                 " FROM container_instances WHERE ci_id = $1",
                 DB_ARGS(db_int(tx, ci_id)));

    if (!res)
        return FALSE;
    *ret_active = PQntuples(res) > 0 && db_truth(res, 0, 0);
    *ret_work = PQntuples(res) > 0 && db_truth(res, 0, 1);
    return TRUE;
}

GPtrArray *channels_work(DbTx *tx, gint64 ci_id, ChannelWork which, guint limit, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT t.task_key, t.task_id, t.desired_status, d.family, d.revision, t.launch_type,"
        " t.task_group, s.service_name, d.definition, t.overrides,"
        " (SELECT jsonb_object_agg(c.name, c.container_uuid) FROM containers c"
        "   WHERE c.task_key = t.task_key)"
        " FROM tasks t JOIN task_definitions d USING (task_definition_id)"
        " LEFT JOIN services s ON s.service_id = t.service_id"
        " WHERE t.ci_id = $1 AND t.last_status <> 'STOPPED'"
        " AND (t.sent_status IS DISTINCT FROM t.desired_status OR ($2 AND " CHANNELS_UNACKED "))"
        " ORDER BY t.desired_status DESC, t.task_key LIMIT $3 FOR NO KEY UPDATE OF t",
        DB_ARGS(db_int(tx, ci_id), db_bool(which == CHANNEL_UNACKED), db_int(tx, limit)));
    if (!res)
        return NULL;
    GPtrArray *tasks = g_ptr_array_new_with_free_func((GDestroyNotify)channel_task_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(tasks, channel_task_from_row(res, row));
    return tasks;
}

gboolean channels_end_unsent(DbTx *tx, gint64 ci_id, GError **error)
{
    return db_exec(tx, error,
                   "WITH ended AS (UPDATE tasks SET last_status = 'STOPPED', stopped_at = now(),"
                   "  stopping_at = coalesce(stopping_at, now()), version = version + 1"
                   "  WHERE ci_id = $1 AND desired_status = 'STOPPED' AND sent_status IS NULL"
                   "  AND last_status <> 'STOPPED' RETURNING task_key, service_id, cluster_id),"
                   " parts AS (UPDATE containers SET last_status = 'STOPPED'"
                   "  WHERE task_key IN (SELECT task_key FROM ended))"
                   " SELECT pg_notify('berth_wake', wake) FROM ("
                   "  SELECT 'cluster:' || cluster_id AS wake FROM ended UNION"
                   "  SELECT 'service:' || service_id FROM ended WHERE service_id IS NOT NULL) w",
                   DB_ARGS(db_int(tx, ci_id)), NULL);
}

gboolean channels_fail_task(DbTx *tx, gint64 task_key, const char *reason, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE tasks SET desired_status = 'STOPPED', stop_code = 'TaskFailedToStart',"
                   " stopped_reason = $2, stopping_at = now(), version = version + 1"
                   " WHERE task_key = $1 AND desired_status = 'RUNNING'",
                   DB_ARGS(db_int(tx, task_key), reason), NULL);
}

static const char *task_keys(DbTx *tx, const GPtrArray *tasks)
{
    g_autofree gint64 *keys = g_new(gint64, tasks->len);

    for (guint i = 0; i < tasks->len; i++)
        keys[i] = ((const ChannelTask *)tasks->pdata[i])->task_key;
    return db_int_array(tx, keys, tasks->len);
}

static const char *task_desires(DbTx *tx, const GPtrArray *tasks)
{
    g_autofree const char **desires = g_new(const char *, tasks->len);

    for (guint i = 0; i < tasks->len; i++)
        desires[i] = ((const ChannelTask *)tasks->pdata[i])->desired_status;
    return db_text_array(tx, desires, (gssize)tasks->len);
}

gboolean channels_sent(DbTx *tx, gint64 ci_id, const GPtrArray *tasks,
                       const char *const *message_ids, gint64 *ret_first, GError **error)
{
    if (!db_exec(tx, error,
                 "UPDATE tasks t SET sent_status = w.desire, sent_message = w.message"
                 " FROM unnest($1::bigint[], $2::text[], $3::text[]) AS w (key, desire, message)"
                 " WHERE t.task_key = w.key",
                 DB_ARGS(task_keys(tx, tasks), task_desires(tx, tasks),
                         db_text_array(tx, message_ids, (gssize)tasks->len)),
                 NULL))
        return FALSE;
    return channels_number(tx, ci_id, tasks->len, ret_first, error);
}

gboolean channels_number(DbTx *tx, gint64 ci_id, guint count, gint64 *ret_first, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "UPDATE container_instances SET sequence = " CHANNELS_SEQUENCE " + $2"
                 " WHERE ci_id = $1"
                 " RETURNING sequence - $2 + 1",
                 DB_ARGS(db_int(tx, ci_id), db_int(tx, count)));

    if (!res)
        return FALSE;
    *ret_first = PQntuples(res) > 0 ? db_int64(res, 0, 0) : 1;
    return TRUE;
}

gboolean channels_acked(DbTx *tx, gint64 ci_id, const char *const *message_ids, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE tasks SET acked_status = sent_status"
                   " WHERE ci_id = $1 AND sent_message = ANY($2::text[])",
                   DB_ARGS(db_int(tx, ci_id), db_text_array(tx, message_ids, -1)), NULL);
}

GArray *channels_waiting(DbTx *tx, const char *daemon_id, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT i.ci_id FROM container_instances i WHERE i.channel_owner = $1"
                 " AND (i.status = 'INACTIVE' OR EXISTS (SELECT 1 FROM tasks t"
                 "  WHERE t.ci_id = i.ci_id AND t.last_status <> 'STOPPED'"
                 "  AND t.sent_status IS DISTINCT FROM t.desired_status))",
                 DB_ARGS(daemon_id));
    if (!res)
        return NULL;
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    for (int row = 0; row < PQntuples(res); row++) {
        gint64 id = db_int64(res, row, 0);
        g_array_append_val(ids, id);
    }
    return ids;
}

/* A task is as healthy as its essential containers that are checked. */
#define DERIVE_TASK_HEALTH                                                                         \
    "WITH judged AS ("                                                                             \
    " SELECT c.task_key, CASE WHEN bool_or(c.health_status = 'UNHEALTHY') THEN 'UNHEALTHY'"        \
    "  WHEN bool_and(c.health_status = 'HEALTHY') THEN 'HEALTHY' ELSE 'UNKNOWN' END AS health"     \
    " FROM containers c JOIN tasks t USING (task_key)"                                             \
    " JOIN task_definitions d USING (task_definition_id)"                                          \
    " JOIN LATERAL jsonb_array_elements(d.definition -> 'containerDefinitions') AS e (part)"       \
    "  ON part ->> 'name' = c.name"                                                                \
    " WHERE t.ci_id = $1 AND t.last_status <> 'STOPPED' AND part ? 'healthCheck'"                  \
    "  AND coalesce((part ->> 'essential')::boolean, true) GROUP BY c.task_key),"                  \
    " changed AS (UPDATE tasks t SET health_status = j.health, version = version + 1"              \
    "  FROM judged j WHERE t.task_key = j.task_key AND t.health_status <> j.health"                \
    "  RETURNING t.service_id)"                                                                    \
    " SELECT pg_notify('berth_wake', 'service:' || service_id) FROM changed"                       \
    " WHERE service_id IS NOT NULL GROUP BY service_id"

gboolean channels_health(DbTx *tx, gint64 ci_id, const json_t *reports, GError **error)
{
    g_autofree char *text = json_dumps(reports, JSON_COMPACT);
    const char *id = db_int(tx, ci_id);
    guint changed = 0;

    if (!db_exec(tx, error,
                 "UPDATE containers c SET health_status = r.health"
                 " FROM jsonb_to_recordset($2::jsonb) AS r (task text, name text, health text)"
                 " JOIN tasks t ON t.task_id = r.task AND t.ci_id = $1"
                 " WHERE c.task_key = t.task_key AND c.name = r.name"
                 "  AND c.health_status <> r.health",
                 DB_ARGS(id, text), &changed))
        return FALSE;
    return changed == 0 || db_exec(tx, error, DERIVE_TASK_HEALTH, DB_ARGS(id), NULL);
}

gboolean channels_runtime_status(DbTx *tx, gint64 ci_id, const char *status, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE container_instances SET runtime_status = $2, version = version + 1"
                   " WHERE ci_id = $1 AND runtime_status IS DISTINCT FROM $2",
                   DB_ARGS(db_int(tx, ci_id), status), NULL);
}
