#include "agent/endpoint.h"
#include "agent/metadata.h"
#include "base/log.h"

#include <string.h>

#define READINGS_MAX 10
#define SHORT_ID_MAX 12
#define PROTECTION   "task-protection"

static const char *cluster_of(const AgentEndpoint *endpoint)
{
    const char *cluster = endpoint->engine->state->cluster;

    return cluster ? cluster : "default";
}

static gboolean is_path(const ServeRequest *rq, guint parts, const char *first, const char *second)
{
    return rq->parts == parts && strcmp(rq->path[0], first) == 0 &&
           (!second || strcmp(rq->path[1], second) == 0);
}

/* -- credentials */

static void refuse_credentials(AgentEndpoint *endpoint, const ServeRequest *rq, int status,
                               const char *code, const char *message)
{
    log_info("audit", "credentials for %s refused: %s", rq->peer, code);
    serve_answer(
        endpoint->tasks, rq->id, status,
        json_pack("{s:s, s:s, s:i}", "code", code, "message", message, "HTTPErrorCode", status));
}

static void answer_credentials(AgentEndpoint *endpoint, const ServeRequest *rq, const char *id)
{
    if (!id || !*id) {
        refuse_credentials(endpoint, rq, 400, "NoIdInRequest", "there is no id in the request");
        return;
    }
    const AgentCredentials *set = agent_credentials_by_id(endpoint->engine->credentials, id);
    if (!set) {
        refuse_credentials(endpoint, rq, 400, "InvalidIdInRequest", "the id is not known");
        return;
    }
    if (!*set->access_key_id) {
        refuse_credentials(endpoint, rq, 503, "CredentialsUninitialized",
                           "the credentials are not there yet");
        return;
    }
    log_info("audit", "credentials of \"%s\" given to %s for task %s", set->role_arn, rq->peer,
             set->task_arn);
    serve_answer(endpoint->tasks, rq->id, 200,
                 json_pack("{s:s, s:s, s:s, s:s, s:s}", "RoleArn", set->role_arn, "AccessKeyId",
                           set->access_key_id, "SecretAccessKey", set->secret_access_key, "Token",
                           set->session_token, "Expiration", set->expiration));
}

/* -- metadata */

typedef gboolean (*Match)(const AgentContainer *container, const char *word);

static gboolean has_endpoint_id(const AgentContainer *c, const char *id)
{
    return strcmp(c->endpoint_id, id) == 0;
}

static gboolean has_docker_id(const AgentContainer *c, const char *id)
{
    gsize length = strlen(id);

    if (!c->docker_id || length == 0)
        return FALSE;
    return strcmp(c->docker_id, id) == 0 ||
           (length <= SHORT_ID_MAX && g_str_has_prefix(c->docker_id, id));
}

static gboolean is_running_at(const AgentContainer *c, const char *address)
{
    return c->at == AT_RUNNING && agent_metadata_has_address(c, address);
}

static AgentTask *find_task(const AgentEndpoint *endpoint, Match match, const char *word,
                            AgentContainer **ret_container)
{
    for (guint i = 0; i < endpoint->engine->tasks->len; i++) {
        AgentTask *task = endpoint->engine->tasks->pdata[i];
        for (guint n = 0; n < task->containers->len; n++) {
            *ret_container = agent_task_container(task, n);
            if (match(*ret_container, word))
                return task;
        }
    }
    *ret_container = NULL;
    return NULL;
}

/* What may be associated with a container (GPUs, accelerators) no task of this agent has. */
static void answer_associations(AgentEndpoint *endpoint, const ServeRequest *rq)
{
    if (rq->parts == 4)
        serve_answer(endpoint->tasks, rq->id, 200, json_pack("{s:n}", "Associations"));
    else
        serve_answer(endpoint->tasks, rq->id, 404,
                     json_string("the container has no association of this name"));
}

/* /v3/ID and /v4/ID, alone and followed by stats, task, taskWithTags, task/stats or
 * associations/TYPE[/NAME]. */
static gboolean answer_metadata(AgentEndpoint *endpoint, const ServeRequest *rq)
{
    MetadataVersion version = strcmp(rq->path[0], "v4") == 0 ? METADATA_V4 : METADATA_V3;
    const char *what = rq->parts > 2 ? rq->path[2] : "";
    AgentContainer *c = NULL;
    AgentTask *task = find_task(endpoint, has_endpoint_id, rq->path[1], &c);
    gboolean stats = strcmp(rq->path[rq->parts - 1], "stats") == 0;

    if (!task) {
        serve_answer(endpoint->tasks, rq->id, stats ? 400 : 500,
                     json_string("the container is not known to the agent"));
        return TRUE;
    }
    if (rq->parts == 2)
        serve_answer(endpoint->tasks, rq->id, 200,
                     agent_metadata_container(task, c, cluster_of(endpoint), version));
    else if (rq->parts == 3 && stats)
        agent_endpoint_stats(endpoint, rq, c, version == METADATA_V3);
    else if (rq->parts == 3 && strcmp(what, "task") == 0)
        serve_answer(endpoint->tasks, rq->id, 200,
                     agent_metadata_task(task, cluster_of(endpoint), version));
    else if (rq->parts == 3 && strcmp(what, "taskWithTags") == 0)
        agent_endpoint_with_tags(endpoint, rq, task,
                                 agent_metadata_task(task, cluster_of(endpoint), version),
                                 version == METADATA_V4);
    else if (rq->parts >= 4 && rq->parts <= 5 && strcmp(what, "associations") == 0)
        answer_associations(endpoint, rq);
    else if (rq->parts == 4 && strcmp(what, "task") == 0 && stats)
        agent_endpoint_task_stats(endpoint, rq, task, version == METADATA_V3);
    else
        return FALSE;
    return TRUE;
}

/* /v2/metadata, /v2/metadataWithTags and /v2/stats, alone and followed by a container's id in
 * Docker: who asks is known by the address, which containers in the machine's own network do not
 * have. */
static gboolean answer_metadata_v2(AgentEndpoint *endpoint, const ServeRequest *rq)
{
    gboolean stats = strcmp(rq->path[1], "stats") == 0;
    gboolean tags = is_path(rq, 2, "v2", "metadataWithTags");
    AgentContainer *c = NULL;
    AgentTask *task = find_task(endpoint, is_running_at, rq->peer, &c);

    if (!stats && !tags && strcmp(rq->path[1], "metadata") != 0)
        return FALSE;
    if (task && rq->parts == 3 && find_task(endpoint, has_docker_id, rq->path[2], &c) != task)
        task = NULL;
    if (!task)
        serve_answer(endpoint->tasks, rq->id, 400, json_string("no task has the caller's address"));
    else if (rq->parts == 3 && stats)
        agent_endpoint_stats(endpoint, rq, c, TRUE);
    else if (stats)
        agent_endpoint_task_stats(endpoint, rq, task, TRUE);
    else if (tags)
        agent_endpoint_with_tags(endpoint, rq, task,
                                 agent_metadata_task(task, cluster_of(endpoint), METADATA_V3),
                                 FALSE);
    else if (rq->parts == 3)
        serve_answer(endpoint->tasks, rq->id, 200,
                     agent_metadata_container(task, c, cluster_of(endpoint), METADATA_V3));
    else
        serve_answer(endpoint->tasks, rq->id, 200,
                     agent_metadata_task(task, cluster_of(endpoint), METADATA_V3));
    return TRUE;
}

static gboolean is_protection(const ServeRequest *rq)
{
    return rq->parts == 5 && strcmp(rq->path[0], "api") == 0 &&
           strcmp(rq->path[2], PROTECTION) == 0 && strcmp(rq->path[3], "v1") == 0 &&
           strcmp(rq->path[4], "state") == 0;
}

/* FALSE: there is no such path. */
static gboolean answer_get(AgentEndpoint *endpoint, const ServeRequest *rq)
{
    g_autofree char *id = serve_query(rq, "id");

    if (rq->parts < 2)
        return FALSE;
    if (is_path(rq, 2, "v1", "credentials"))
        answer_credentials(endpoint, rq, id);
    else if (is_path(rq, 2, "v2", "credentials") || is_path(rq, 3, "v2", "credentials"))
        answer_credentials(endpoint, rq, rq->path[2]);
    else if (strcmp(rq->path[0], "v3") == 0 || strcmp(rq->path[0], "v4") == 0)
        return answer_metadata(endpoint, rq);
    else if (is_path(rq, 2, "v2", NULL) || is_path(rq, 3, "v2", NULL))
        return answer_metadata_v2(endpoint, rq);
    else
        return FALSE;
    return TRUE;
}

static void on_task_request(gpointer user, const ServeRequest *rq)
{
    AgentEndpoint *endpoint = user;
    AgentContainer *c = NULL;

    if (is_protection(rq))
        agent_endpoint_protection(endpoint, rq,
                                  find_task(endpoint, has_endpoint_id, rq->path[1], &c));
    else if (strcmp(rq->method, "GET") != 0)
        serve_answer(endpoint->tasks, rq->id, 405, json_string("only GET is served here"));
    else if (!answer_get(endpoint, rq))
        serve_answer(endpoint->tasks, rq->id, 404, json_string("there is no such path"));
}

/* -- introspection */

static void answer_tasks(AgentEndpoint *endpoint, const ServeRequest *rq)
{
    g_autofree char *arn = serve_query(rq, "taskarn");
    g_autofree char *docker_id = serve_query(rq, "dockerid");
    AgentContainer *c = NULL;
    json_t *list;

    if (arn && docker_id) {
        serve_answer(endpoint->introspection, rq->id, 400,
                     json_string("ask by taskarn or by dockerid, not by both"));
        return;
    }
    if (arn || docker_id) {
        AgentTask *task = arn ? agent_engine_find(endpoint->engine, arn)
                              : find_task(endpoint, has_docker_id, docker_id, &c);
        serve_answer(endpoint->introspection, rq->id, task ? 200 : 404,
                     task ? agent_metadata_listed(task) : json_object());
        return;
    }
    list = json_array();
    for (guint i = 0; i < endpoint->engine->tasks->len; i++)
        json_array_append_new(list, agent_metadata_listed(endpoint->engine->tasks->pdata[i]));
    serve_answer(endpoint->introspection, rq->id, 200, json_pack("{s:o}", "Tasks", list));
}

static void on_introspection(gpointer user, const ServeRequest *rq)
{
    AgentEndpoint *endpoint = user;
    const AgentState *state = endpoint->engine->state;
    AgentContainer *c = NULL;

    if (!rq->from_here && !find_task(endpoint, is_running_at, rq->peer, &c))
        serve_answer(endpoint->introspection, rq->id, 403,
                     json_string("only this machine and its tasks are told"));
    else if (is_path(rq, 2, "v1", "tasks"))
        answer_tasks(endpoint, rq);
    else if (is_path(rq, 2, "v1", "metadata"))
        serve_answer(endpoint->introspection, rq->id, 200,
                     json_pack("{s:s, s:s?, s:s}", "Cluster", cluster_of(endpoint),
                               "ContainerInstanceArn", state->arn, "Version",
                               "Berth container agent - v" BERTH_VERSION));
    else
        serve_answer(endpoint->introspection, rq->id, 200,
                     json_pack("{s:[s, s]}", "AvailableCommands", "/v1/metadata", "/v1/tasks"));
}

void agent_endpoint_start(AgentEngine *engine)
{
    AgentEndpoint *endpoint = g_new0(AgentEndpoint, 1);

    endpoint->engine = engine;
    endpoint->readings = pool_new(engine->loop, READINGS_MAX);
    endpoint->tasks = serve_new(engine->loop, "127.0.0.1", engine->config->endpoint_port, TRUE,
                                on_task_request, endpoint);
    endpoint->introspection = serve_new(engine->loop, "0.0.0.0", engine->config->introspection_port,
                                        FALSE, on_introspection, endpoint);
}
