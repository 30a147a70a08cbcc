/* The agent's control channel: payloads and heartbeats down, acknowledgements up. */
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "base/log.h"
#include "handlers/secret_values.h"
#include "model/payload.h"
#include "server/channel_credentials.h"
#include "server/channel_keys.h"
#include "server/channel_loop.h"
#include "server/channel_manifest.h"
#include "store/channels.h"
#include "store/task_credentials.h"

#include <string.h>

#define HEARTBEAT_MS 30000
#define PROBE_MS     5000
#define RESEND_MS    30000
#define RETRY_MS     2000
#define COLLECT_MAX  50
/* What is kept of acknowledgements while a worker records others. */
#define ACKS_MAX       1000
#define ACK_LENGTH_MAX 64
#define NACK_EVERY_MS  1000

void channel_send(ChannelConn *conn, const char *type, json_t *message)
{
    json_auto_t *tree = json_pack("{s:s, s:o}", "type", type, "message", message);
    g_autofree char *text = json_dumps(tree, JSON_COMPACT);

    if (conn->stage == CONN_OPEN)
        ws_send_text(conn->ws, text, strlen(text));
}

json_t *channel_parse(const char *text, gsize length, const char **ret_type,
                      const json_t **ret_message)
{
    json_auto_t *tree = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);

    *ret_type = json_string_value(json_object_get(tree, "type"));
    *ret_message = json_object_get(tree, "message");
    return *ret_type && json_is_object(*ret_message) ? json_incref(tree) : NULL;
}

/* -- payloads: gathered by a worker, one gathering at a time */

typedef struct {
    ChannelJob job;
    guint64 conn_id;
    gint64 ci_id;
    ChannelWork which;
    char *account_id;
    char *cluster_name;
    char *cluster_arn;
    char *container_instance_arn;
    /* found */
    GPtrArray *texts;
    gboolean inactive;
    gboolean failed;
} Collect;

static void collect_clear(ChannelJob *job)
{
    Collect *collect = (Collect *)job;

    g_free(collect->account_id);
    g_free(collect->cluster_name);
    g_free(collect->cluster_arn);
    g_free(collect->container_instance_arn);
    g_ptr_array_unref(collect->texts);
}

static char *payload_text(const Collect *collect, const char *region, const ChannelTask *task,
                          const char *message_id, gint64 sequence)
{
    PayloadTask payload = {
        .region = region,
        .account_id = collect->account_id,
        .cluster_name = collect->cluster_name,
        .task_id = task->task_id,
        .desired_status = task->desired_status,
        .family = task->family,
        .revision = task->revision,
        .launch_type = task->launch_type,
        .task_group = task->task_group,
        .service_name = task->service_name,
        .definition = task->definition,
        .overrides = task->overrides,
        .container_uuids = task->container_uuids,
        .role_credentials = task->role_credentials,
        .execution_credentials = task->execution_credentials,
    };
    json_auto_t *message =
        payload_message(message_id, sequence, collect->cluster_arn, collect->container_instance_arn,
                        clock_now_us(), payload_task(&payload));

    return json_dumps(message, JSON_COMPACT);
}

/* Puts a task's secrets into its definition; one that cannot have them fails here, and is left out:
 * *ret_goes. */
static gboolean open_secrets(const Collect *collect, const ChannelWorld *world, DbTx *tx,
                             ChannelTask *task, gboolean *ret_goes, GError **error)
{
    const SecretScope scope = { world->config->region, collect->account_id, world->master_key };
    g_autoptr(GError) cause = NULL;

    *ret_goes = TRUE;
    if (strcmp(task->desired_status, "RUNNING") != 0 || !task_secrets_needed(task->definition))
        return TRUE;
    json_t *definition = task_secrets_apply(tx, &scope, task->definition, &cause);
    if (definition) {
        json_decref(task->definition);
        task->definition = definition;
        return TRUE;
    }
    *ret_goes = FALSE;
    if (error_is(cause, ERROR_TASK_RESOURCE))
        return channels_fail_task(tx, task->task_key, cause->message, error);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

static gboolean open_all_secrets(const Collect *collect, const ChannelWorld *world, DbTx *tx,
                                 GPtrArray *tasks, GError **error)
{
    gboolean all_go = TRUE;

    for (guint i = 0; i < tasks->len;) {
        gboolean goes;
        if (!open_secrets(collect, world, tx, tasks->pdata[i], &goes, error))
            return FALSE;
        all_go &= goes;
        if (goes)
            i++;
        else
            g_ptr_array_remove_index(tasks, i);
    }
    return all_go || channels_end_unsent(tx, collect->ci_id, error);
}

static gboolean add_credentials(const Collect *collect, const ChannelWorld *world, DbTx *tx,
                                GPtrArray *tasks, GError **error)
{
    gboolean all_go = TRUE;

    return channel_credentials_add(world, tx, collect->account_id, tasks, &all_go, error) &&
           (all_go || channels_end_unsent(tx, collect->ci_id, error));
}

/* Records the tasks as sent and makes their messages. */
static gboolean make_messages(Collect *collect, const ChannelWorld *world, DbTx *tx,
                              const GPtrArray *tasks, GError **error)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    gint64 sequence = 0;

    for (guint i = 0; i < tasks->len; i++)
        g_ptr_array_add(ids, id_uuid());
    if (!channels_sent(tx, collect->ci_id, tasks, (const char *const *)ids->pdata, &sequence,
                       error))
        return FALSE;
    for (guint i = 0; i < tasks->len; i++)
        g_ptr_array_add(collect->texts, payload_text(collect, world->config->region,
                                                     tasks->pdata[i], ids->pdata[i], sequence + i));
    return TRUE;
}

static gboolean collect_in(Collect *collect, const ChannelWorld *world, DbTx *tx, GError **error)
{
    if (!channels_end_unsent(tx, collect->ci_id, error))
        return FALSE;
    g_autoptr(GPtrArray) tasks =
        channels_work(tx, collect->ci_id, collect->which, COLLECT_MAX, error);
    return tasks && open_all_secrets(collect, world, tx, tasks, error) &&
           add_credentials(collect, world, tx, tasks, error) &&
           (tasks->len == 0 || make_messages(collect, world, tx, tasks, error));
}

/* Looks first: of many that come back at once few have anything to be told. */
static gboolean collect_if_any(Collect *collect, const ChannelWorld *world, GError **error)
{
    gboolean active = TRUE, work = TRUE;
    g_autoptr(DbTx) look = db_begin(world->region, DB_MODE_READ, error);

    if (!look || !channels_look(look, collect->ci_id, &active, &work, error))
        return FALSE;
    collect->inactive = !active;
    if (!active || !work)
        return TRUE;
    db_rollback(g_steal_pointer(&look));
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);
    return tx && collect_in(collect, world, tx, error) && db_commit(g_steal_pointer(&tx), error);
}

static void collect_work(ChannelJob *job, const ChannelWorld *world)
{
    Collect *collect = (Collect *)job;
    g_autoptr(GError) error = NULL;

    if (collect_if_any(collect, world, &error))
        return;
    g_ptr_array_set_size(collect->texts, 0);
    collect->failed = TRUE;
    log_line(LOG_WARN, "channel", "cannot gather work of \"%s\": %s",
             collect->container_instance_arn, error->message);
}

static void collect_begin(ChannelLoop *loop, ChannelConn *conn, ChannelWork which);

static void collect_done(ChannelJob *job, gpointer user)
{
    Collect *collect = (Collect *)job;
    ChannelLoop *loop = user;
    ChannelConn *conn = loop_conn(loop, collect->conn_id);

    if (!conn)
        return;
    if (collect->inactive)
        conn_close(conn, WS_CLOSE_NORMAL, "the container instance was deregistered");
    for (guint i = 0; i < collect->texts->len; i++) {
        const char *text = collect->texts->pdata[i];
        if (conn->stage == CONN_OPEN)
            ws_send_text(conn->ws, text, strlen(text));
        conn->unacked++;
        conn->resend_ms = clock_mono_ms() + RESEND_MS;
    }
    if (collect->failed) {
        conn->unacked = MAX(conn->unacked, 1);
        conn->resend_ms = clock_mono_ms() + RETRY_MS;
        conn->collecting = FALSE;
    } else {
        conn->collect_again |= collect->texts->len == COLLECT_MAX;
        acs_gathered(loop, conn);
    }
    loop_flush(loop, conn);
}

void acs_gathered(ChannelLoop *loop, ChannelConn *conn)
{
    conn->collecting = FALSE;
    if (!conn->collect_again)
        return;
    conn->collect_again = FALSE;
    collect_begin(loop, conn, CHANNEL_NEW);
}

static void collect_begin(ChannelLoop *loop, ChannelConn *conn, ChannelWork which)
{
    Collect *collect = g_new0(Collect, 1);

    collect->job =
        (ChannelJob){ .work = collect_work, .done = collect_done, .clear = collect_clear };
    collect->conn_id = conn->id;
    collect->ci_id = conn->ci_id;
    collect->which = which;
    collect->account_id = g_strdup(conn->account_id);
    collect->cluster_name = g_strdup(conn->cluster_name);
    collect->cluster_arn = g_strdup(conn->cluster_arn);
    collect->container_instance_arn = g_strdup(conn->container_instance_arn);
    collect->texts = g_ptr_array_new_with_free_func(g_free);
    conn->collecting = TRUE;
    channel_jobs_submit(loop->jobs, &collect->job);
}

void acs_wake(ChannelLoop *loop, ChannelConn *conn)
{
    if (conn->collecting)
        conn->collect_again = TRUE;
    else
        collect_begin(loop, conn, CHANNEL_NEW);
}

/* -- acknowledgements: what came while a worker records some goes with the next lot */

typedef struct {
    ChannelJob job;
    guint64 conn_id;
    gint64 ci_id;
    char **message_ids;    /* NULL: none */
    char **credential_ids; /* NULL: none */
} Acks;

static void acks_clear(ChannelJob *job)
{
    g_strfreev(((Acks *)job)->message_ids);
    g_strfreev(((Acks *)job)->credential_ids);
}

static void acks_work(ChannelJob *job, const ChannelWorld *world)
{
    Acks *acks = (Acks *)job;
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, &error);

    if (!tx ||
        (acks->message_ids &&
         !channels_acked(tx, acks->ci_id, (const char *const *)acks->message_ids, &error)) ||
        (acks->credential_ids &&
         !task_credentials_acked(tx, acks->ci_id, (const char *const *)acks->credential_ids,
                                 &error)))
        log_line(LOG_WARN, "channel", "acknowledgements are not recorded: %s", error->message);
}

static void acks_begin(ChannelLoop *loop, ChannelConn *conn);

static void acks_done(ChannelJob *job, gpointer user)
{
    ChannelLoop *loop = user;
    ChannelConn *conn = loop_conn(loop, ((Acks *)job)->conn_id);

    if (!conn)
        return;
    conn->acking = FALSE;
    if (conn->acks || conn->credential_acks)
        acks_begin(loop, conn);
}

/* The list as an array that ends with NULL; NULL for none. */
static char **acks_take(GPtrArray **list)
{
    if (!*list)
        return NULL;
    g_ptr_array_add(*list, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(list), FALSE);
}

static void acks_begin(ChannelLoop *loop, ChannelConn *conn)
{
    Acks *acks = g_new0(Acks, 1);

    acks->job = (ChannelJob){ .work = acks_work, .done = acks_done, .clear = acks_clear };
    acks->conn_id = conn->id;
    acks->ci_id = conn->ci_id;
    acks->message_ids = acks_take(&conn->acks);
    acks->credential_ids = acks_take(&conn->credential_acks);
    conn->acking = TRUE;
    channel_jobs_submit(loop->jobs, &acks->job);
}

/* Ids are UUIDs of ours. What is left out here is sent again, and acknowledged again. */
static void keep_ack(ChannelLoop *loop, ChannelConn *conn, GPtrArray **list, const char *id)
{
    if (!id || strlen(id) > ACK_LENGTH_MAX || (*list && (*list)->len >= ACKS_MAX))
        return;
    if (!*list)
        *list = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(*list, g_strdup(id));
    if (!conn->acking)
        acks_begin(loop, conn);
}

static void take_ack(ChannelLoop *loop, ChannelConn *conn, const char *message_id)
{
    conn->unacked -= conn->unacked > 0;
    if (!conn->unacked)
        conn->resend_ms = 0;
    keep_ack(loop, conn, &conn->acks, message_id);
}

static void take_nack(ChannelConn *conn, const char *message_id, const char *reason)
{
    gint64 now_ms = clock_mono_ms();

    if (now_ms < conn->nack_ms)
        return;
    conn->nack_ms = now_ms + NACK_EVERY_MS;
    log_line(LOG_WARN, conn->container_instance_id, "the agent refused message \"%.*s\": %.200s",
             ACK_LENGTH_MAX, message_id, reason ? reason : "no reason was given");
}

/* Everything else that an agent sends shows that it lives, which the caller has noted. */
void acs_text(ChannelLoop *loop, ChannelConn *conn, const char *text, gsize length)
{
    const char *type = NULL;
    const json_t *message = NULL;
    json_auto_t *tree = channel_parse(text, length, &type, &message);
    const char *message_id = json_string_value(json_object_get(message, "messageId"));

    conn->probe_ms = 0;
    if (!tree || !message_id)
        return;
    if (strcmp(type, "AckRequest") == 0)
        take_ack(loop, conn, message_id);
    else if (strcmp(type, "IAMRoleCredentialsAckRequest") == 0)
        keep_ack(loop, conn, &conn->credential_acks,
                 json_string_value(json_object_get(message, "credentialsId")));
    else if (strcmp(type, "TaskStopVerificationMessage") == 0)
        manifest_answered(loop, conn, message);
    else if (strcmp(type, "NackRequest") == 0)
        take_nack(conn, message_id, json_string_value(json_object_get(message, "reason")));
}

/* -- life */

static gint64 patience_ms(const ChannelLoop *loop)
{
    return (gint64)loop->world->config->agent_suspect_seconds * 1000;
}

/* Two beats fit into what a silent agent is given; agents that came together do not beat together.
 */
static gint64 beat_ms(const ChannelLoop *loop)
{
    gint64 most = MIN(HEARTBEAT_MS, patience_ms(loop) / 2);

    return most - g_random_int_range(0, (gint32)(most / 6) + 1);
}

static void send_heartbeat(const ChannelLoop *loop, ChannelConn *conn, gint64 now_ms)
{
    g_autofree char *id = id_uuid();

    channel_send(conn, "HeartbeatMessage",
                 json_pack("{s:s, s:b}", "messageId", id, "healthy", TRUE));
    conn->heartbeat_ms = now_ms + beat_ms(loop);
}

void acs_start(ChannelLoop *loop, ChannelConn *conn, gboolean work)
{
    send_heartbeat(loop, conn, clock_mono_ms());
    if (work)
        collect_begin(loop, conn, CHANNEL_UNACKED);
    channel_credentials_start(loop, conn);
    conn->manifest_ms = clock_mono_ms() + manifest_delay_ms();
    channel_keys_start(loop, conn);
}

void acs_probe(ChannelLoop *loop, ChannelConn *conn)
{
    gint64 now_ms = clock_mono_ms();

    if (conn->probe_ms)
        return;
    conn->probe_ms = now_ms + PROBE_MS;
    send_heartbeat(loop, conn, now_ms);
    loop_flush(loop, conn);
}

gboolean acs_tick(ChannelLoop *loop, ChannelConn *conn, gint64 now_ms)
{
    if (conn->probe_ms && now_ms >= conn->probe_ms) {
        conn->cause = "silent when another session asked for the instance";
        return FALSE;
    }
    if (now_ms - conn->heard_ms > patience_ms(loop)) {
        conn->cause = "heartbeats were not answered";
        return FALSE;
    }
    if (now_ms >= conn->heartbeat_ms)
        send_heartbeat(loop, conn, now_ms);
    if (now_ms >= conn->credentials_ms)
        channel_credentials_send(loop, conn);
    if (conn->renew_ms && now_ms >= conn->renew_ms)
        channel_keys_send(loop, conn);
    if (conn->manifest_ms && now_ms >= conn->manifest_ms && !conn->collecting) {
        conn->manifest_ms = 0;
        manifest_send(loop, conn);
    }
    if (conn->resend_ms && now_ms >= conn->resend_ms && !conn->collecting) {
        conn->unacked = 0;
        conn->resend_ms = 0;
        collect_begin(loop, conn, CHANNEL_UNACKED);
    }
    return TRUE;
}
