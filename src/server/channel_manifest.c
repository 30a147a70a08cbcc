#include "server/channel_manifest.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "base/log.h"
#include "model/ecs_arn.h"
#include "model/payload.h"
#include "store/manifests.h"

#include <string.h>

#define DELAY_LEAST_MS 500
#define DELAY_MOST_MS  5000
#define NAMED_MAX      1000
#define TASK_ID_DIGITS 32

typedef struct {
    ChannelJob job;
    guint64 conn_id;
    gint64 ci_id;
    char *account_id;
    char *cluster_name;
    char *cluster_arn;
    char *container_instance_arn;
    char *message_id; /* of the manifest, once it is made */
    char **named;     /* task ids that the agent named; NULL: the manifest is to be made */
    GPtrArray *texts; /* messages */
} Manifest;

static void manifest_clear(ChannelJob *job)
{
    Manifest *m = (Manifest *)job;

    g_free(m->account_id);
    g_free(m->cluster_name);
    g_free(m->cluster_arn);
    g_free(m->container_instance_arn);
    g_free(m->message_id);
    g_strfreev(m->named);
    g_ptr_array_unref(m->texts);
}

static char *task_arn(const Manifest *m, const ChannelWorld *world, const char *task_id)
{
    return ecs_arn_in_cluster(world->config->region, m->account_id, "task", m->cluster_name,
                              task_id);
}

/* Takes message. */
static void add_text(Manifest *m, const char *type, json_t *message)
{
    json_auto_t *tree = json_pack("{s:s, s:o}", "type", type, "message", message);

    g_ptr_array_add(m->texts, json_dumps(tree, JSON_COMPACT));
}

/* -- the manifest */

/* Our own agent is told which of the tasks it has acknowledged: that they are over is all that it
 * can mean when it has no record of one, whichever copy of the database says that they run. Of the
 * others it may just not have heard yet. */
static json_t *manifest_entry(const Manifest *m, const ChannelWorld *world,
                              const ManifestTask *task, gboolean own)
{
    g_autofree char *arn = task_arn(m, world, task->task_id);
    json_t *entry = json_pack("{s:s, s:s, s:s}", "taskArn", arn, "taskClusterArn", m->cluster_arn,
                              "desiredStatus", "RUNNING");

    if (own && task->acknowledged)
        json_object_set_new(entry, "acknowledged", json_true());
    return entry;
}

static gboolean make(Manifest *m, const ChannelWorld *world, DbTx *tx, GError **error)
{
    gint64 timeline = 0;
    gboolean own = FALSE;
    g_autoptr(GPtrArray) listed = manifests_make(tx, m->ci_id, &timeline, &own, error);

    if (!listed || !timeline)
        return listed != NULL;
    m->message_id = id_uuid();
    json_t *tasks = json_array();
    for (guint i = 0; i < listed->len; i++)
        json_array_append_new(tasks, manifest_entry(m, world, listed->pdata[i], own));
    add_text(m, "TaskManifestMessage",
             json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "messageId", m->message_id, "clusterArn",
                       m->cluster_arn, "containerInstanceArn", m->container_instance_arn,
                       "generatedAt", (json_int_t)(clock_now_us() / 1000), "timeline",
                       (json_int_t)timeline, "tasks", tasks));
    return TRUE;
}

/* -- what is not in it */

static void add_stop(Manifest *m, const ChannelWorld *world, const char *task_id, gint64 sequence)
{
    PayloadTask task = { .region = world->config->region,
                         .account_id = m->account_id,
                         .cluster_name = m->cluster_name,
                         .task_id = task_id,
                         .desired_status = "STOPPED" };
    g_autofree char *message_id = id_uuid();
    json_auto_t *tree =
        payload_message(message_id, sequence, m->cluster_arn, m->container_instance_arn,
                        clock_now_us(), payload_task(&task));

    g_ptr_array_add(m->texts, json_dumps(tree, JSON_COMPACT));
}

static gboolean stop(Manifest *m, const ChannelWorld *world, DbTx *tx, GError **error)
{
    g_auto(GStrv) strays = manifests_strays(tx, m->ci_id, (const char *const *)m->named, error);
    guint count = strays ? g_strv_length(strays) : 0;
    gint64 sequence = 0;

    if (!count)
        return strays != NULL;
    g_autofree char *shown = g_strjoinv(", ", strays);
    g_autofree char *note = g_strdup_printf(
        "the agent ran %u tasks that are not to run there: stopped %.200s", count, shown);
    if (!channels_number(tx, m->ci_id, count, &sequence, error) ||
        !channels_note(tx, m->ci_id, note, error))
        return FALSE;
    log_line(LOG_INFO, m->container_instance_arn, "%s", note);
    for (guint n = 0; n < count; n++)
        add_stop(m, world, strays[n], sequence + n);
    return TRUE;
}

/* -- jobs */

static void manifest_work(ChannelJob *job, const ChannelWorld *world)
{
    Manifest *m = (Manifest *)job;
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, &error);

    if (tx && (m->named ? stop : make)(m, world, tx, &error) &&
        db_commit(g_steal_pointer(&tx), &error))
        return;
    g_ptr_array_set_size(m->texts, 0);
    log_line(LOG_WARN, "channel", "cannot compare the tasks of \"%s\": %s",
             m->container_instance_arn, error->message);
}

static void manifest_done(ChannelJob *job, gpointer user)
{
    Manifest *m = (Manifest *)job;
    ChannelLoop *loop = user;
    ChannelConn *conn = loop_conn(loop, m->conn_id);

    if (!conn)
        return;
    for (guint i = 0; i < m->texts->len && conn->stage == CONN_OPEN; i++)
        ws_send_text(conn->ws, m->texts->pdata[i], strlen(m->texts->pdata[i]));
    if (!m->named) {
        if (m->texts->len)
            conn->manifest_id = g_steal_pointer(&m->message_id);
        acs_gathered(loop, conn);
    }
    loop_flush(loop, conn);
}

/* Takes named. */
static void manifest_submit(ChannelLoop *loop, const ChannelConn *conn, char **named)
{
    Manifest *m = g_new0(Manifest, 1);

    m->job = (ChannelJob){ .work = manifest_work, .done = manifest_done, .clear = manifest_clear };
    m->conn_id = conn->id;
    m->ci_id = conn->ci_id;
    m->account_id = g_strdup(conn->account_id);
    m->cluster_name = g_strdup(conn->cluster_name);
    m->cluster_arn = g_strdup(conn->cluster_arn);
    m->container_instance_arn = g_strdup(conn->container_instance_arn);
    m->named = named;
    m->texts = g_ptr_array_new_with_free_func(g_free);
    channel_jobs_submit(loop->jobs, &m->job);
}

gint64 manifest_delay_ms(void)
{
    return g_random_int_range(DELAY_LEAST_MS, DELAY_MOST_MS);
}

void manifest_send(ChannelLoop *loop, ChannelConn *conn)
{
    conn->collecting = TRUE;
    manifest_submit(loop, conn, NULL);
}

void manifest_answered(ChannelLoop *loop, ChannelConn *conn, const json_t *message)
{
    const char *message_id = json_string_value(json_object_get(message, "messageId"));
    g_autoptr(GPtrArray) named = g_ptr_array_new_with_free_func(g_free);
    const json_t *candidate;
    size_t n;

    if (!conn->manifest_id || g_strcmp0(conn->manifest_id, message_id) != 0)
        return;
    g_clear_pointer(&conn->manifest_id, g_free);
    json_array_foreach(json_object_get(message, "stopCandidates"), n, candidate)
    {
        const char *arn = json_string_value(json_object_get(candidate, "taskArn"));
        const char *slash = arn ? strrchr(arn, '/') : NULL;
        if (slash && id_is_hex(slash + 1, TASK_ID_DIGITS) && named->len < NAMED_MAX)
            g_ptr_array_add(named, g_strdup(slash + 1));
    }
    if (named->len == 0)
        return;
    g_ptr_array_add(named, NULL);
    manifest_submit(loop, conn, (char **)g_ptr_array_free(g_steal_pointer(&named), FALSE));
}
