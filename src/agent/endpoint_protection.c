/* Task protection: the container's wish is passed on in the name of its task's role. */
#include "agent/endpoint.h"

#include <string.h>

#define TIMEOUT_MS 4000

typedef struct {
    AgentEndpoint *endpoint;
    guint64 id;
    char *arn;
} Asked;

static void answer_error(AgentEndpoint *endpoint, guint64 id, int status, const char *arn,
                         const char *code, const char *message)
{
    json_t *error = json_pack("{s:s, s:s}", "Code", code, "Message", message);

    if (arn)
        json_object_set_new(error, "Arn", json_string(arn));
    serve_answer(endpoint->tasks, id, status, json_pack("{s:o}", "error", error));
}

/* The protocol of containers writes the members of the API's answer with capitals. */
static json_t *capitalised(json_t *tree)
{
    json_t *out = json_object();
    const char *key;
    json_t *value;

    json_object_foreach(tree, key, value)
    {
        g_autofree char *name = g_strdup(key);
        name[0] = g_ascii_toupper(name[0]);
        json_object_set(out, name, value);
    }
    return out;
}

/* Seconds since 1970, as the API has them, in the words of the endpoint. */
static void set_expiration(json_t *protection)
{
    json_t *at = json_object_get(protection, "ExpirationDate");

    if (!json_is_number(at))
        return;
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc((gint64)json_number_value(at));
    g_autofree char *text = time ? g_date_time_format_iso8601(time) : NULL;
    if (text)
        json_object_set_new(protection, "ExpirationDate", json_string(text));
}

static int status_of(const AgentAnswer *answer)
{
    if (!answer->code)
        return 504;
    if (strcmp(answer->code, "AccessDeniedException") == 0)
        return 403;
    if (strcmp(answer->code, "ServerException") == 0)
        return 500;
    return 400;
}

static void on_answered(gpointer user, const AgentAnswer *answer)
{
    g_autofree Asked *asked = user;
    g_autofree char *arn = asked->arn;
    json_t *task = json_array_get(json_object_get(answer->tree, "protectedTasks"), 0);
    json_t *failure = json_array_get(json_object_get(answer->tree, "failures"), 0);

    if (!answer->tree) {
        answer_error(asked->endpoint, asked->id, status_of(answer), arn,
                     answer->code ? answer->code : "RequestCanceled", answer->message);
    } else if (task) {
        json_t *protection = capitalised(task);
        set_expiration(protection);
        serve_answer(asked->endpoint->tasks, asked->id, 200,
                     json_pack("{s:o}", "protection", protection));
    } else {
        serve_answer(asked->endpoint->tasks, asked->id, 200,
                     json_pack("{s:o}", "failure", capitalised(failure)));
    }
}

/* Members of a PUT's body into the call's; NULL is all right, else what is wrong. */
static const char *read_wish(const ServeRequest *rq, json_t *call)
{
    json_auto_t *body = json_loadb(rq->body, rq->body_length, 0, NULL);
    json_t *enabled = json_object_get(body, "ProtectionEnabled");
    json_t *minutes = json_object_get(body, "ExpiresInMinutes");
    gsize known = (enabled != NULL) + (minutes != NULL);

    if (!json_is_object(body) || json_object_size(body) != known)
        return "the body has members other than ProtectionEnabled and ExpiresInMinutes";
    if (!json_is_boolean(enabled))
        return "ProtectionEnabled is not a boolean";
    if (minutes && !json_is_integer(minutes))
        return "ExpiresInMinutes is not an integer";
    json_object_set(call, "protectionEnabled", enabled);
    if (minutes)
        json_object_set(call, "expiresInMinutes", minutes);
    return NULL;
}

void agent_endpoint_protection(AgentEndpoint *endpoint, const ServeRequest *rq,
                               const AgentTask *task)
{
    const AgentEngine *engine = endpoint->engine;
    gboolean put = strcmp(rq->method, "PUT") == 0;
    const char *wrong = NULL;

    if (!put && strcmp(rq->method, "GET") != 0) {
        serve_answer(endpoint->tasks, rq->id, 405, json_string("only GET and PUT are served here"));
        return;
    }
    if (!task) {
        answer_error(endpoint, rq->id, 404, NULL, "ResourceNotFoundException",
                     "the container is not known to the agent");
        return;
    }
    json_auto_t *call =
        json_pack("{s:s, s:[s]}", "cluster",
                  engine->state->cluster ? engine->state->cluster : "default", "tasks", task->arn);
    if (put)
        wrong = read_wish(rq, call);
    if (wrong) {
        answer_error(endpoint, rq->id, 400, task->arn, "InvalidParameterException", wrong);
        return;
    }
    const AgentCredentials *role =
        agent_credentials_of(engine->credentials, task->arn, CREDENTIALS_TASK);
    if (!role) {
        answer_error(endpoint, rq->id, 403, task->arn, "AccessDeniedException",
                     "the task has no role, or its credentials are not there");
        return;
    }
    const AgentSigner signer = { role->access_key_id, role->secret_access_key, role->session_token,
                                 engine->config->region };
    Asked *asked = g_new0(Asked, 1);
    *asked = (Asked){ endpoint, rq->id, g_strdup(task->arn) };
    agent_api_call_as(engine->api, &signer, TIMEOUT_MS,
                      put ? "UpdateTaskProtection" : "GetTaskProtection", json_incref(call),
                      on_answered, asked);
}
