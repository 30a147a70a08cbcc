#include "agent/tcs.h"
#include "agent/acs.h"
#include "agent/image_pull.h"
#include "agent/stats.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"

#include <string.h>

#define TASKS_PER_MESSAGE 10

struct AgentTcs {
    AgentEngine *engine;
    AgentChannel *channel;
    char *endpoint;
    char *docker_version;
    LoopTimer publish;
    gboolean beat;          /* the runtime's state is to be sent */
    gboolean reading;       /* counters are being read in a worker */
    GHashTable *cpu_before; /* container id -> AgentCpu of the reading before */
};

static gint64 now_s_ms(void)
{
    return clock_now_us() / 1000;
}

/* Seconds since 1970 with three decimals. */
static json_t *seconds(gint64 ms)
{
    return json_real((double)ms / 1000.0);
}

static char *tcs_url(gpointer user)
{
    const AgentTcs *tcs = user;
    const AgentState *state = tcs->engine->state;
    const char *const words[] = { "agentHash",         "berth",    "agentVersion",
                                  BERTH_VERSION,       "cluster",  state->cluster,
                                  "containerInstance", state->arn, "dockerVersion",
                                  tcs->docker_version, NULL };
    g_autofree char *query = agent_acs_query(words);

    return agent_acs_url(tcs->endpoint, query);
}

static json_t *metadata(const AgentTcs *tcs, const char *id_key)
{
    g_autofree char *id = id_uuid();

    return json_pack("{s:s, s:s, s:s}", "cluster", tcs->engine->state->cluster, "containerInstance",
                     tcs->engine->state->arn, id_key, id);
}

static const char *health_name(AgentHealth health)
{
    static const char *const names[] = {
        [HEALTH_UNKNOWN] = "UNKNOWN", [HEALTH_HEALTHY] = "HEALTHY", [HEALTH_UNHEALTHY] = "UNHEALTHY"
    };

    return names[health];
}

/* The containers of a task that have a health check and run. Caller owns. */
static json_t *task_health(const AgentTask *task)
{
    json_t *list = json_array();

    for (guint i = 0; i < task->containers->len; i++) {
        const AgentContainer *c = agent_task_container(task, i);
        if (c->checks_health && c->at == AT_RUNNING)
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:o}", "containerName", c->name,
                                            "healthStatus", health_name(c->health), "statusSince",
                                            seconds(c->health_since_us / 1000)));
    }
    return list;
}

static void publish_health(AgentTcs *tcs)
{
    json_t *tasks = json_array();

    for (guint i = 0; i < tcs->engine->tasks->len; i++) {
        const AgentTask *task = tcs->engine->tasks->pdata[i];
        json_t *containers = task_health(task);
        if (json_array_size(containers) == 0) {
            json_decref(containers);
            continue;
        }
        json_array_append_new(tasks, json_pack("{s:s, s:s, s:s, s:o}", "taskArn", task->arn,
                                               "taskDefinitionFamily", task->family,
                                               "taskDefinitionVersion", task->version, "containers",
                                               containers));
    }
    if (json_array_size(tasks) == 0) {
        json_decref(tasks);
        return;
    }
    json_t *about = metadata(tcs, "messageId");
    json_object_set_new(about, "fin", json_true());
    agent_channel_send_signed(tcs->channel, "PublishHealthRequest",
                              json_pack("{s:o, s:o, s:o}", "metadata", about, "tasks", tasks,
                                        "timestamp", seconds(now_s_ms())));
}

static void publish_status(AgentTcs *tcs)
{
    if (!tcs->beat)
        return;
    tcs->beat = FALSE;
    json_t *status =
        json_pack("{s:s, s:s, s:o, s:o}", "type", "ContainerRuntime", "status",
                  tcs->engine->docker_up ? "OK" : "IMPAIRED", "lastUpdated", seconds(now_s_ms()),
                  "lastStatusChange", seconds(tcs->engine->docker_changed_us / 1000));
    agent_channel_send_signed(tcs->channel, "PublishInstanceStatusRequest",
                              json_pack("{s:o, s:[o], s:o}", "metadata", metadata(tcs, "requestId"),
                                        "statuses", status, "timestamp", seconds(now_s_ms())));
}

/* -- metrics */

static void send_metrics(AgentTcs *tcs, json_t *tasks, gboolean last)
{
    json_t *about = metadata(tcs, "messageId");
    json_t *message = json_pack("{s:o, s:o}", "metadata", about, "timestamp", seconds(now_s_ms()));

    json_object_set_new(about, "fin", json_boolean(last));
    if (tasks)
        json_object_set_new(message, "taskMetrics", tasks);
    else
        json_object_set_new(about, "idle", json_true());
    agent_channel_send_signed(tcs->channel, "PublishMetricsRequest", message);
}

static void on_stats(gpointer user)
{
    g_autoptr(AgentStatsJob) job = user;
    AgentTcs *tcs = job->owner;
    json_auto_t *all = agent_stats_metrics(job, tcs->cpu_before);
    gsize count = json_array_size(all);

    tcs->reading = FALSE;
    if (count == 0)
        send_metrics(tcs, NULL, TRUE);
    for (gsize from = 0; from < count; from += TASKS_PER_MESSAGE) {
        json_t *part = json_array();
        for (gsize i = from; i < MIN(from + TASKS_PER_MESSAGE, count); i++)
            json_array_append(part, json_array_get(all, i));
        send_metrics(tcs, part, from + TASKS_PER_MESSAGE >= count);
    }
}

static void publish_metrics(AgentTcs *tcs)
{
    if (tcs->reading)
        return;
    AgentStatsJob *job = agent_stats_new(tcs->engine, tcs);
    tcs->reading = TRUE;
    pool_push(tcs->engine->acts, agent_stats_run, on_stats, job);
}

/* -- pulls of images: a message of Berth's own, once a second at most */

static void on_pulls(gpointer user)
{
    AgentTcs *tcs = user;
    json_t *tasks = agent_pulls_progress(tcs->engine->image_pulls);

    if (json_array_size(tasks) == 0 || !agent_channel_is_open(tcs->channel)) {
        json_decref(tasks);
        return;
    }
    agent_channel_send_signed(tcs->channel, "PublishImagePullsRequest",
                              json_pack("{s:o, s:o, s:o}", "metadata", metadata(tcs, "messageId"),
                                        "tasks", tasks, "timestamp", seconds(now_s_ms())));
}

/* -- the channel */

static void on_publish(gpointer user)
{
    AgentTcs *tcs = user;

    loop_timer_set(tcs->engine->loop, &tcs->publish,
                   clock_mono_ms() + tcs->engine->config->publish_ms);
    if (!agent_channel_is_open(tcs->channel))
        return;
    publish_metrics(tcs);
    publish_health(tcs);
    publish_status(tcs);
}

static void tcs_opened(gpointer user)
{
    on_publish(user);
}

static gboolean tcs_message(gpointer user, const char *type, const json_t *message)
{
    static const char *const known[] = { "AckPublishMetric",         "AckPublishHealth",
                                         "AckPublishInstanceStatus", "AckPublishImagePulls",
                                         "HeartbeatMessage",         NULL };

    (void)user;
    if (g_strv_contains(known, type))
        return TRUE;
    const char *words = json_string_value(json_object_get(message, "message"));
    log_warn("-", "tcs: %.60s: %.300s", type, words ? words : "");
    return FALSE;
}

static const AgentChannelKind tcs_kind = {
    .name = "tcs",
    .backoff_first_ms = 1000,
    .backoff_growth = 2,
    .backoff_max_ms = 60000,
    .url = tcs_url,
    .on_open = tcs_opened,
    .on_message = tcs_message,
};

AgentTcs *agent_tcs_start(AgentEngine *engine, Pool *dials, const char *endpoint,
                          const char *docker_version)
{
    AgentTcs *tcs = g_new0(AgentTcs, 1);

    *tcs = (AgentTcs){ .engine = engine,
                       .endpoint = g_strdup(endpoint),
                       .docker_version = g_strdup(docker_version),
                       .beat = TRUE };
    tcs->cpu_before = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    loop_timer_init(&tcs->publish, on_publish, tcs);
    agent_pulls_watch(engine->image_pulls, on_pulls, tcs);
    tcs->channel =
        agent_channel_new(engine->loop, dials, engine->config, engine->api, &tcs_kind, tcs);
    if (endpoint)
        agent_channel_open(tcs->channel);
    return tcs;
}

void agent_tcs_set_endpoint(AgentTcs *tcs, const char *endpoint)
{
    gboolean first = !tcs->endpoint;

    g_free(tcs->endpoint);
    tcs->endpoint = g_strdup(endpoint);
    if (first)
        agent_channel_open(tcs->channel);
}

void agent_tcs_beat(AgentTcs *tcs)
{
    tcs->beat = TRUE;
}
