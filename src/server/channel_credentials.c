#include "server/channel_credentials.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "base/log.h"
#include "handlers/task_roles.h"
#include "model/ecs_arn.h"
#include "store/channels.h"
#include "store/sessions.h"
#include "store/task_credentials.h"

#include <string.h>

#define EVERY_MAX_MS (30 * 60 * 1000)
#define EVERY_MIN_MS 1000
#define RETRY_MS     2000
#define UNACKED_MS   35000 /* a little more than task_credentials_due gives an agent */

/* One transaction on identity for all that a worker grants at once. */
typedef struct {
    const ChannelWorld *world;
    DbTx *tx;       /* the region's */
    DbTx *identity; /* NULL: none needed yet */
    const char *account_id;
    gint64 now_us;
} Granting;

static void granting_clear(Granting *g)
{
    if (g->identity)
        db_rollback(g->identity);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Granting, granting_clear)

static gboolean granting_commit(Granting *g, GError **error)
{
    return !g->identity || db_commit(g_steal_pointer(&g->identity), error);
}

static gint64 lasts_us(const ChannelWorld *world)
{
    return (gint64)world->config->role_session_seconds * CLOCK_SECOND_US;
}

/* ACCESS_DENIED when the role is not there, or trusts no tasks. */
static SessionCredentials *session_grant(Granting *g, SessionKind kind, const char *task_id,
                                         const char *role_arn, GError **error)
{
    SessionWish wish = { .account_id = g->account_id,
                         .session_name = task_id,
                         .kind = kind,
                         .subject = task_id,
                         .expires_us = g->now_us + lasts_us(g->world) };

    if (!g->identity && !(g->identity = db_begin(g->world->identity, DB_MODE_WRITE, error)))
        return NULL;
    wish.role_name = task_role_check(g->identity, g->account_id, role_arn, error);
    if (!wish.role_name)
        return NULL;
    return sessions_grant(g->identity, g->world->master_key, &wish, error);
}

/* As the agent takes them. */
static json_t *grant(Granting *g, gint64 task_key, const char *task_id, SessionKind kind,
                     const char *role_arn, GError **error)
{
    char ends[CLOCK_ISO_SIZE];
    g_autofree char *id = NULL;
    g_autoptr(SessionCredentials) made = session_grant(g, kind, task_id, role_arn, error);

    if (!made ||
        !task_credentials_keep(g->tx, task_key, kind, role_arn, made->expires_us, &id, error))
        return NULL;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "credentialsId", id, "roleArn", role_arn,
                     "accessKeyId", made->access_key_id, "secretAccessKey", made->secret,
                     "sessionToken", made->token, "expiration",
                     clock_iso_s(made->expires_us, ends));
}

/* -- in payloads */

static gboolean is_refusal(const GError *error)
{
    return error_is(error, ERROR_ACCESS_DENIED) || error_is(error, ERROR_NO_SUCH_ENTITY);
}

/* FALSE without *error: the role cannot be taken, and the task was failed. */
static gboolean add_one(Granting *g, ChannelTask *task, SessionKind kind, const char *member,
                        json_t **ret_credentials, GError **error)
{
    const char *role_arn = task_role_named(task->definition, task->overrides, member);
    g_autoptr(GError) cause = NULL;

    if (!role_arn)
        return TRUE;
    *ret_credentials = grant(g, task->task_key, task->task_id, kind, role_arn, &cause);
    if (*ret_credentials)
        return TRUE;
    if (!is_refusal(cause)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    g_autofree char *reason = task_role_refusal(role_arn);
    channels_fail_task(g->tx, task->task_key, reason, error);
    return FALSE;
}

gboolean channel_credentials_add(const ChannelWorld *world, DbTx *tx, const char *account_id,
                                 GPtrArray *tasks, gboolean *ret_all, GError **error)
{
    g_auto(Granting)
        g = { .world = world, .tx = tx, .account_id = account_id, .now_us = clock_now_us() };
    GError *cause = NULL;

    *ret_all = TRUE;
    for (guint i = 0; i < tasks->len;) {
        ChannelTask *task = tasks->pdata[i];
        gboolean goes =
            strcmp(task->desired_status, "RUNNING") != 0 ||
            (add_one(&g, task, SESSION_TASK, "taskRoleArn", &task->role_credentials, &cause) &&
             add_one(&g, task, SESSION_EXECUTION, "executionRoleArn", &task->execution_credentials,
                     &cause));
        if (cause) {
            g_propagate_error(error, cause);
            return FALSE;
        }
        *ret_all &= goes;
        if (goes)
            i++;
        else
            g_ptr_array_remove_index(tasks, i);
    }
    return granting_commit(&g, error);
}

/* -- as messages of their own */

typedef struct {
    ChannelJob job;
    guint64 conn_id;
    gint64 ci_id;
    gboolean all;
    gboolean failed;
    char *account_id;
    char *cluster_name;
    GPtrArray *texts;
} Renewal;

static void renewal_clear(ChannelJob *job)
{
    Renewal *renewal = (Renewal *)job;

    g_free(renewal->account_id);
    g_free(renewal->cluster_name);
    g_ptr_array_unref(renewal->texts);
}

static char *renewal_text(const Renewal *renewal, const char *region, const TaskCredentials *due,
                          json_t *credentials)
{
    g_autofree char *message_id = id_uuid();
    g_autofree char *arn = ecs_arn_in_cluster(region, renewal->account_id, "task",
                                              renewal->cluster_name, due->task_id);
    json_auto_t *tree =
        json_pack("{s:s, s:{s:s, s:s, s:s, s:o}}", "type", "IAMRoleCredentialsMessage", "message",
                  "messageId", message_id, "taskArn", arn, "roleType",
                  due->kind == SESSION_TASK ? "TaskApplication" : "TaskExecution",
                  "roleCredentials", credentials);

    return json_dumps(tree, JSON_COMPACT);
}

static gboolean renew_in(Renewal *renewal, Granting *g, GError **error)
{
    gint64 left_us = lasts_us(g->world) - session_fresh_us(lasts_us(g->world));
    g_autoptr(GPtrArray) due =
        task_credentials_due(g->tx, renewal->ci_id, renewal->all, g->now_us + left_us, error);

    for (guint i = 0; due && i < due->len; i++) {
        const TaskCredentials *one = due->pdata[i];
        g_autoptr(GError) cause = NULL;
        json_t *credentials =
            grant(g, one->task_key, one->task_id, one->kind, one->role_arn, &cause);
        if (credentials) {
            g_ptr_array_add(renewal->texts,
                            renewal_text(renewal, g->world->config->region, one, credentials));
        } else if (is_refusal(cause)) {
            log_line(LOG_WARN, one->task_id, "credentials are not renewed: %s", cause->message);
        } else {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
    }
    return due && granting_commit(g, error);
}

static void renewal_work(ChannelJob *job, const ChannelWorld *world)
{
    Renewal *renewal = (Renewal *)job;
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, &error);
    g_auto(Granting) g = {
        .world = world, .tx = tx, .account_id = renewal->account_id, .now_us = clock_now_us()
    };

    if (tx && renew_in(renewal, &g, &error) && db_commit(g_steal_pointer(&tx), &error))
        return;
    g_ptr_array_set_size(renewal->texts, 0);
    renewal->failed = TRUE;
    log_line(LOG_WARN, "channel", "cannot renew credentials of tasks: %s", error->message);
}

static void renewal_done(ChannelJob *job, gpointer user)
{
    Renewal *renewal = (Renewal *)job;
    ChannelConn *conn = loop_conn(user, renewal->conn_id);

    if (!conn || conn->stage != CONN_OPEN)
        return;
    for (guint i = 0; i < renewal->texts->len; i++)
        ws_send_text(conn->ws, renewal->texts->pdata[i], strlen(renewal->texts->pdata[i]));
    if (renewal->failed)
        conn->credentials_ms = clock_mono_ms() + RETRY_MS;
    else if (renewal->all)
        conn->send_credentials = FALSE;
    if (renewal->texts->len > 0) /* see whether they are acknowledged */
        conn->credentials_ms = MIN(conn->credentials_ms, clock_mono_ms() + UNACKED_MS);
    loop_flush(user, conn);
}

/* How often an instance's credentials are looked at. */
static gint64 every_ms(const ChannelWorld *world)
{
    return CLAMP((gint64)world->config->role_session_seconds * 1000 / 12, EVERY_MIN_MS,
                 EVERY_MAX_MS);
}

void channel_credentials_start(ChannelLoop *loop, ChannelConn *conn)
{
    if (conn->send_credentials)
        channel_credentials_send(loop, conn);
    else if (conn->credentials) /* those of the last session may not have arrived */
        conn->credentials_ms = clock_mono_ms() + MIN(UNACKED_MS, every_ms(loop->world));
    else
        conn->credentials_ms = clock_mono_ms() + every_ms(loop->world);
}

void channel_credentials_send(ChannelLoop *loop, ChannelConn *conn)
{
    Renewal *renewal = g_new0(Renewal, 1);

    conn->credentials_ms = clock_mono_ms() + every_ms(loop->world);
    renewal->job =
        (ChannelJob){ .work = renewal_work, .done = renewal_done, .clear = renewal_clear };
    renewal->conn_id = conn->id;
    renewal->ci_id = conn->ci_id;
    renewal->all = conn->send_credentials;
    renewal->account_id = g_strdup(conn->account_id);
    renewal->cluster_name = g_strdup(conn->cluster_name);
    renewal->texts = g_ptr_array_new_with_free_func(g_free);
    channel_jobs_submit(loop->jobs, &renewal->job);
}
