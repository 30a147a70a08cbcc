/* The agent's telemetry channel: every publication is acknowledged and kept. */
#include "base/clock.h"
#include "base/errors.h"
#include "base/log.h"
#include "server/channel_metrics.h"
#include "server/channel_pulls.h"
#include "store/channels.h"

#include <string.h>

#define SILENCE_MS   (180 * 1000)
#define HEARTBEAT_MS 30000
#define REPORTS_MAX  1000 /* containers of one instance */

/* -- health and status: what comes while a worker records some goes with the next lot, the latest
 * of each container */

typedef struct {
    ChannelJob job;
    guint64 conn_id;
    gint64 ci_id;
    json_t *health;             /* [{task, name, health}]; NULL: none was told */
    const char *runtime_status; /* static; NULL: none was told */
} Telemetry;

static void telemetry_clear(ChannelJob *job)
{
    json_decref(((Telemetry *)job)->health);
}

static void telemetry_work(ChannelJob *job, const ChannelWorld *world)
{
    const Telemetry *t = (const Telemetry *)job;
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, &error);

    if (tx && (!t->health || channels_health(tx, t->ci_id, t->health, &error)) &&
        (!t->runtime_status || channels_runtime_status(tx, t->ci_id, t->runtime_status, &error)) &&
        db_commit(g_steal_pointer(&tx), &error))
        return;
    log_line(LOG_WARN, "channel", "telemetry is not recorded: %s", error->message);
}

static void record(ChannelLoop *loop, ChannelConn *conn);

static void telemetry_done(ChannelJob *job, gpointer user)
{
    ChannelLoop *loop = user;
    ChannelConn *conn = loop_conn(loop, ((Telemetry *)job)->conn_id);

    if (!conn)
        return;
    conn->recording = FALSE;
    record(loop, conn);
}

static json_t *values_of(json_t *object)
{
    json_t *list = json_array(), *value;
    const char *key;

    json_object_foreach(object, key, value) json_array_append(list, value);
    return list;
}

/* Gives a worker what was told, when none is at it. */
static void record(ChannelLoop *loop, ChannelConn *conn)
{
    if (conn->recording || (!conn->health && !conn->runtime_status))
        return;
    Telemetry *telemetry = g_new0(Telemetry, 1);
    telemetry->job =
        (ChannelJob){ .work = telemetry_work, .done = telemetry_done, .clear = telemetry_clear };
    telemetry->conn_id = conn->id;
    telemetry->ci_id = conn->ci_id;
    telemetry->health = conn->health ? values_of(conn->health) : NULL;
    telemetry->runtime_status = g_steal_pointer(&conn->runtime_status);
    json_decref(g_steal_pointer(&conn->health));
    conn->recording = TRUE;
    channel_jobs_submit(loop->jobs, &telemetry->job);
}

static gboolean is_health(const char *status)
{
    return g_strcmp0(status, "HEALTHY") == 0 || g_strcmp0(status, "UNHEALTHY") == 0 ||
           g_strcmp0(status, "UNKNOWN") == 0;
}

static void add_health(json_t *reports, const json_t *task)
{
    const char *arn = json_string_value(json_object_get(task, "taskArn"));
    const char *slash = arn ? strrchr(arn, '/') : NULL;
    const json_t *container;
    size_t n;

    json_array_foreach(json_object_get(task, "containers"), n, container)
    {
        const char *name = json_string_value(json_object_get(container, "containerName"));
        const char *health = json_string_value(json_object_get(container, "healthStatus"));
        if (!slash || !name || !is_health(health))
            continue;
        g_autofree char *key = g_strconcat(slash + 1, "/", name, NULL);
        if (json_object_size(reports) < REPORTS_MAX || json_object_get(reports, key))
            json_object_set_new(
                reports, key,
                json_pack("{s:s, s:s, s:s}", "task", slash + 1, "name", name, "health", health));
    }
}

static void take_health(ChannelLoop *loop, ChannelConn *conn, const json_t *message)
{
    const json_t *task;
    size_t n;

    if (!conn->health)
        conn->health = json_object();
    json_array_foreach(json_object_get(message, "tasks"), n, task) add_health(conn->health, task);
    if (json_object_size(conn->health) == 0)
        json_decref(g_steal_pointer(&conn->health));
    record(loop, conn);
}

static void take_status(ChannelLoop *loop, ChannelConn *conn, const json_t *message)
{
    static const char *const known[] = { "OK", "IMPAIRED", "INSUFFICIENT_DATA", "INITIALIZING" };
    const json_t *entry;
    size_t n;

    json_array_foreach(json_object_get(message, "statuses"), n, entry)
    {
        const char *type = json_string_value(json_object_get(entry, "type"));
        const char *status = json_string_value(json_object_get(entry, "status"));
        for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
            if (g_strcmp0(type, "ContainerRuntime") == 0 && g_strcmp0(status, known[i]) == 0)
                conn->runtime_status = known[i];
    }
    record(loop, conn);
}

/* A message begins with the lines of a signed request; its JSON follows an empty line. */
static const char *json_part(const char *text, gsize length, gsize *ret_length)
{
    const char *empty = *text == '{' ? NULL : g_strstr_len(text, (gssize)length, "\r\n\r\n");
    const char *start = empty ? empty + 4 : text;

    *ret_length = length - (gsize)(start - text);
    return start;
}

void tcs_text(ChannelLoop *loop, ChannelConn *conn, const char *text, gsize length)
{
    static const struct {
        const char *type;
        const char *ack;
        void (*take)(ChannelLoop *loop, ChannelConn *conn, const json_t *message);
    } kinds[] = {
        { "PublishMetricsRequest", "AckPublishMetric", metrics_take },
        { "PublishHealthRequest", "AckPublishHealth", take_health },
        { "PublishInstanceStatusRequest", "AckPublishInstanceStatus", take_status },
        { "PublishImagePullsRequest", "AckPublishImagePulls", pulls_take },
    };
    const char *type = NULL;
    const json_t *message = NULL;
    gsize json_length;
    const char *json = json_part(text, length, &json_length);
    json_auto_t *tree = channel_parse(json, json_length, &type, &message);

    for (gsize i = 0; tree && i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(type, kinds[i].type) != 0)
            continue;
        channel_send(conn, kinds[i].ack, json_pack("{s:s}", "message", "taken"));
        conn->heartbeat_ms = clock_mono_ms() + HEARTBEAT_MS; /* an acknowledgement does as well */
        if (kinds[i].take)
            kinds[i].take(loop, conn, message);
    }
}

gboolean tcs_tick(ChannelLoop *loop G_GNUC_UNUSED, ChannelConn *conn, gint64 now_ms)
{
    if (now_ms - conn->heard_ms > SILENCE_MS) {
        conn->cause = "no telemetry came";
        return FALSE;
    }
    if (now_ms >= conn->heartbeat_ms) {
        channel_send(conn, "HeartbeatMessage", json_pack("{s:b}", "healthy", TRUE));
        conn->heartbeat_ms = now_ms + HEARTBEAT_MS;
    }
    return TRUE;
}
