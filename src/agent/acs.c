#include "agent/acs.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/tree.h"
#include "wire/form.h"

#include <string.h>

struct AgentAcs {
    AgentEngine *engine;
    AgentChannel *channel;
    char *endpoint;
    char *docker_version;
    gboolean was_open; /* credentials were asked for */
    char *verifying;   /* messageId of the manifest whose stops are to be confirmed */
    AgentAcsEvents events;
};

static const char *cluster_of(const AgentAcs *acs)
{
    return acs->engine->state->cluster;
}

char *agent_acs_query(const char *const *words)
{
    g_autoptr(GString) query = g_string_new(NULL);

    for (; *words; words += 2) {
        g_string_append_printf(query, "%s%s=", query->len ? "&" : "", words[0]);
        form_escape(query, words[1]);
    }
    return g_string_free(g_steal_pointer(&query), FALSE);
}

char *agent_acs_url(const char *endpoint, const char *query)
{
    return g_strconcat(endpoint, g_str_has_suffix(endpoint, "/") ? "" : "/", "ws?", query, NULL);
}

static char *acs_url(gpointer user)
{
    const AgentAcs *acs = user;
    g_autofree char *docker = g_strconcat("DockerVersion: ", acs->docker_version, NULL);
    const char *const words[] = { "agentHash",
                                  "berth",
                                  "agentVersion",
                                  BERTH_VERSION,
                                  "clusterArn",
                                  cluster_of(acs),
                                  "containerInstanceArn",
                                  acs->engine->state->arn,
                                  "dockerVersion",
                                  docker,
                                  "protocolVersion",
                                  "2",
                                  "sendCredentials",
                                  acs->was_open ? "false" : "true",
                                  "seqNum",
                                  "1",
                                  NULL };
    g_autofree char *query = agent_acs_query(words);

    return agent_acs_url(acs->endpoint, query);
}

static void acs_opened(gpointer user)
{
    ((AgentAcs *)user)->was_open = TRUE;
}

static void acs_trouble(gpointer user)
{
    AgentAcs *acs = user;

    acs->events.trouble(acs->events.user);
}

static void acs_unknown(gpointer user)
{
    AgentAcs *acs = user;

    acs->events.unknown(acs->events.user);
}

static void acknowledge(AgentAcs *acs, const json_t *message)
{
    agent_channel_send(acs->channel, "AckRequest",
                       json_pack("{s:s, s:s, s:s}", "cluster", cluster_of(acs), "containerInstance",
                                 acs->engine->state->arn, "messageId",
                                 text_of(message, "messageId")));
    FAULT_POINT("agent.acknowledged");
}

static void nack(AgentAcs *acs, const json_t *message, const char *reason)
{
    agent_channel_send(acs->channel, "NackRequest",
                       json_pack("{s:s, s:s, s:s, s:s}", "cluster", text_of(message, "clusterArn"),
                                 "containerInstance", acs->engine->state->arn, "messageId",
                                 text_of(message, "messageId"), "reason", reason));
}

/* Keeps credentials and says so; what cannot be kept is not acknowledged. */
static void take_credentials(AgentAcs *acs, const json_t *message, const char *task_arn,
                             AgentCredentialsKind kind, const json_t *credentials)
{
    if (!agent_engine_keep_credentials(acs->engine, task_arn, kind, credentials))
        return;
    agent_channel_send(acs->channel, "IAMRoleCredentialsAckRequest",
                       json_pack("{s:s, s:s, s:s}", "credentialsId",
                                 text_of(credentials, "credentialsId"), "expiration",
                                 text_of(credentials, "expiration"), "messageId",
                                 text_of(message, "messageId")));
}

/* The greatest number seen is kept, before what it came with is acknowledged. */
static gboolean raise_timeline(AgentAcs *acs, gint64 timeline)
{
    AgentState *state = acs->engine->state;
    g_autoptr(GError) cause = NULL;

    if (timeline <= state->timeline)
        return TRUE;
    state->timeline = timeline;
    if (agent_state_save(state, &cause))
        return TRUE;
    log_error("-", "%s", cause->message);
    return FALSE;
}

static void on_heartbeat(AgentAcs *acs, const json_t *message)
{
    agent_channel_send(acs->channel, "HeartbeatAckRequest",
                       json_pack("{s:s}", "messageId", text_of(message, "messageId")));
    acs->events.beat(acs->events.user);
}

static void on_payload(AgentAcs *acs, const json_t *message)
{
    const json_t *tasks = json_object_get(message, "tasks");
    const json_t *task;
    gsize n;

    if (!*text_of(message, "messageId") || (tasks && !json_is_array(tasks))) {
        log_warn("-", "acs: a payload cannot be read");
        return;
    }
    gboolean kept = raise_timeline(acs, json_integer_value(json_object_get(message, "seqNum")));
    gboolean good = agent_engine_accept(acs->engine, tasks) && kept;
    json_array_foreach(tasks, n, task)
    {
        for (int kind = 0; kind < CREDENTIALS__COUNT; kind++)
            take_credentials(
                acs, message, text_of(task, "arn"), (AgentCredentialsKind)kind,
                json_object_get(task, agent_credentials_member((AgentCredentialsKind)kind)));
    }
    if (good)
        acknowledge(acs, message);
}

static void on_credentials(AgentAcs *acs, const json_t *message)
{
    gboolean execution = strcmp(text_of(message, "roleType"), "TaskExecution") == 0;

    if (*text_of(message, "messageId"))
        take_credentials(acs, message, text_of(message, "taskArn"),
                         execution ? CREDENTIALS_EXECUTION : CREDENTIALS_TASK,
                         json_object_get(message, "roleCredentials"));
}

static void on_own_credentials(AgentAcs *acs, const json_t *message)
{
    agent_api_replace(acs->engine->api, message);
}

static gboolean lists_running(const json_t *tasks, const char *arn)
{
    const json_t *task;
    gsize n;

    json_array_foreach(tasks, n, task) if (strcmp(text_of(task, "taskArn"), arn) == 0 &&
                                           strcmp(text_of(task, "desiredStatus"), "RUNNING") ==
                                               0) return TRUE;
    return FALSE;
}

/* What the sender believes to run here, and does not. */
static void on_expected(AgentAcs *acs, const json_t *tasks)
{
    const json_t *task;
    gsize n;

    json_array_foreach(tasks, n, task)
    {
        if (strcmp(text_of(task, "desiredStatus"), "RUNNING") == 0)
            agent_engine_expected(acs->engine, text_of(task, "taskArn"),
                                  json_is_true(json_object_get(task, "acknowledged")));
    }
}

/* Tasks that run here and that the manifest does not list are named to the sender, who confirms
 * those that are to stop. */
static void on_manifest(AgentAcs *acs, const json_t *message)
{
    gint64 timeline = json_integer_value(json_object_get(message, "timeline"));
    g_autoptr(GPtrArray) stray = g_ptr_array_new();

    if (timeline <= acs->engine->state->timeline || !raise_timeline(acs, timeline))
        return;
    acknowledge(acs, message);
    on_expected(acs, json_object_get(message, "tasks"));
    json_t *candidates = json_array();
    for (guint i = 0; i < acs->engine->tasks->len; i++) {
        const AgentTask *task = acs->engine->tasks->pdata[i];
        if (task->want == WANT_RUNNING &&
            !lists_running(json_object_get(message, "tasks"), task->arn))
            json_array_append_new(
                candidates, json_pack("{s:s, s:s, s:s}", "desiredStatus", "STOPPED", "taskArn",
                                      task->arn, "taskClusterArn", text_of(message, "clusterArn")));
    }
    if (json_array_size(candidates) == 0) {
        json_decref(candidates);
        return;
    }
    g_free(acs->verifying);
    acs->verifying = g_strdup(text_of(message, "messageId"));
    agent_channel_send(
        acs->channel, "TaskStopVerificationMessage",
        json_pack("{s:s, s:o}", "messageId", acs->verifying, "stopCandidates", candidates));
}

static void on_verified(AgentAcs *acs, const json_t *message)
{
    const json_t *task;
    gsize n;

    if (!acs->verifying || strcmp(acs->verifying, text_of(message, "messageId")) != 0)
        return;
    g_clear_pointer(&acs->verifying, g_free);
    json_array_foreach(json_object_get(message, "stopTasks"), n,
                       task) if (strcmp(text_of(task, "desiredStatus"), "STOPPED") == 0)
        agent_engine_stop(acs->engine, text_of(task, "taskArn"));
    agent_engine_wake(acs->engine, 1);
}

static void on_update(AgentAcs *acs, const json_t *message)
{
    nack(acs, message, "Updates are disabled");
}

/* Network interfaces are not supported: the sender does not see that capability. */
static void on_nothing(AgentAcs *acs, const json_t *message)
{
    log_info("-", "acs: %.300s", text_of(message, "message"));
    (void)acs;
}

static const struct {
    const char *type;
    void (*handle)(AgentAcs *acs, const json_t *message);
} handlers[] = {
    { "HeartbeatMessage", on_heartbeat },
    { "PayloadMessage", on_payload },
    { "IAMRoleCredentialsMessage", on_credentials },
    { "BerthCredentialsMessage", on_own_credentials },
    { "TaskManifestMessage", on_manifest },
    { "TaskStopVerificationAck", on_verified },
    { "StageUpdateMessage", on_update },
    { "PerformUpdateMessage", on_update },
    { "CloseMessage", on_nothing },
    { "ErrorMessage", on_nothing },
    { "ServerException", on_nothing },
    { "BadRequestException", on_nothing },
    { "InvalidClusterException", on_nothing },
    { "InvalidInstanceException", on_nothing },
    { "AccessDeniedException", on_nothing },
    { "InactiveInstanceException", on_nothing },
};

static gboolean acs_message(gpointer user, const char *type, const json_t *message)
{
    for (gsize i = 0; i < G_N_ELEMENTS(handlers); i++)
        if (strcmp(handlers[i].type, type) == 0) {
            handlers[i].handle(user, message);
            return TRUE;
        }
    return FALSE;
}

static const AgentChannelKind acs_kind = {
    .name = "acs",
    .backoff_first_ms = 250,
    .backoff_growth = 1.5,
    .backoff_max_ms = 120000,
    .rotates = TRUE,
    .url = acs_url,
    .on_open = acs_opened,
    .on_trouble = acs_trouble,
    .on_unknown = acs_unknown,
    .on_message = acs_message,
};

AgentAcs *agent_acs_start(AgentEngine *engine, Pool *dials, const char *endpoint,
                          const char *docker_version, const AgentAcsEvents *events)
{
    AgentAcs *acs = g_new0(AgentAcs, 1);

    *acs = (AgentAcs){ .engine = engine,
                       .endpoint = g_strdup(endpoint),
                       .docker_version = g_strdup(docker_version),
                       .events = *events };
    acs->channel =
        agent_channel_new(engine->loop, dials, engine->config, engine->api, &acs_kind, acs);
    agent_channel_open(acs->channel);
    return acs;
}

void agent_acs_set_endpoint(AgentAcs *acs, const char *endpoint)
{
    g_free(acs->endpoint);
    acs->endpoint = g_strdup(endpoint);
}
