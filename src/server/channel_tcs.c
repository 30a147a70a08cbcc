/* The agent's telemetry channel: every publication is acknowledged and kept. */
#include "base/clock.h"
#include "base/errors.h"
#include "base/log.h"
#include "server/channel_metrics.h"
#include "store/channels.h"

#include <string.h>

#define SILENCE_MS   (180 * 1000)
#define HEARTBEAT_MS 30000
#define REPORTS_MAX  1000

typedef struct {
    ChannelJob job;
    gint64 ci_id;
    json_t *health; /* [{task, name, health}]; NULL: none was told */
    char *runtime_status;
} Telemetry;

static void telemetry_clear(ChannelJob *job)
{
    Telemetry *telemetry = (Telemetry *)job;

    json_decref(telemetry->health);
    g_free(telemetry->runtime_status);
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

static void telemetry_done(ChannelJob *job G_GNUC_UNUSED, gpointer loop G_GNUC_UNUSED)
{
}

/* Takes health. */
static void record(ChannelLoop *loop, const ChannelConn *conn, json_t *health,
                   const char *runtime_status)
{
    Telemetry *telemetry = g_new0(Telemetry, 1);

    telemetry->job =
        (ChannelJob){ .work = telemetry_work, .done = telemetry_done, .clear = telemetry_clear };
    telemetry->ci_id = conn->ci_id;
    telemetry->health = health;
    telemetry->runtime_status = g_strdup(runtime_status);
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
        if (slash && name && is_health(health) && json_array_size(reports) < REPORTS_MAX)
            json_array_append_new(reports, json_pack("{s:s, s:s, s:s}", "task", slash + 1, "name",
                                                     name, "health", health));
    }
}

static void take_health(ChannelLoop *loop, const ChannelConn *conn, const json_t *message)
{
    json_auto_t *reports = json_array();
    const json_t *task;
    size_t n;

    json_array_foreach(json_object_get(message, "tasks"), n, task) add_health(reports, task);
    if (json_array_size(reports))
        record(loop, conn, json_incref(reports), NULL);
}

static void take_status(ChannelLoop *loop, const ChannelConn *conn, const json_t *message)
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
                record(loop, conn, NULL, known[i]);
    }
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
        void (*take)(ChannelLoop *loop, const ChannelConn *conn, const json_t *message);
    } kinds[] = {
        { "PublishMetricsRequest", "AckPublishMetric", metrics_take },
        { "PublishHealthRequest", "AckPublishHealth", take_health },
        { "PublishInstanceStatusRequest", "AckPublishInstanceStatus", take_status },
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
