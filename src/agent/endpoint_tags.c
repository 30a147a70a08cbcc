#include "agent/endpoint.h"

/* A description of a task that waits for tags: of the container instance first, then of the task.
 */
typedef struct {
    AgentEndpoint *endpoint;
    guint64 id;
    json_t *tree;
    char *task_arn;
    char *instance_arn; /* NULL once its tags are there */
    gboolean tells_errors;
} Asked;

static void ask(Asked *asked);

static void asked_free(Asked *asked)
{
    json_decref(asked->tree);
    g_free(asked->task_arn);
    g_free(asked->instance_arn);
    g_free(asked);
}

static void add_tags(Asked *asked, const char *member, const json_t *list)
{
    json_t *map = json_object();
    const json_t *tag;
    gsize n;

    json_array_foreach(list, n, tag)
    {
        const char *key = json_string_value(json_object_get(tag, "key"));
        if (key)
            json_object_set(map, key, json_object_get(tag, "value"));
    }
    if (json_object_size(map) > 0)
        json_object_set(asked->tree, member, map);
    json_decref(map);
}

/* Version 4 says what could not be had; earlier ones leave it out. */
static void add_error(Asked *asked, const char *member, const char *arn, const AgentAnswer *answer)
{
    json_t *errors = json_object_get(asked->tree, "Errors");

    if (!asked->tells_errors)
        return;
    if (!errors) {
        errors = json_array();
        json_object_set_new(asked->tree, "Errors", errors);
    }
    json_array_append_new(errors, json_pack("{s:s, s:s, s:s, s:s}", "ErrorField", member,
                                            "ErrorCode", answer->code ? answer->code : "",
                                            "ErrorMessage", answer->message, "ResourceARN", arn));
}

static void on_tags(gpointer user, const AgentAnswer *answer)
{
    Asked *asked = user;
    gboolean instance = asked->instance_arn != NULL;
    const char *member = instance ? "ContainerInstanceTags" : "TaskTags";

    if (answer->tree)
        add_tags(asked, member, json_object_get(answer->tree, "tags"));
    else
        add_error(asked, member, instance ? asked->instance_arn : asked->task_arn, answer);
    if (instance) {
        g_clear_pointer(&asked->instance_arn, g_free);
        ask(asked);
        return;
    }
    serve_answer(asked->endpoint->tasks, asked->id, 200, json_incref(asked->tree));
    asked_free(asked);
}

static void ask(Asked *asked)
{
    const char *arn = asked->instance_arn ? asked->instance_arn : asked->task_arn;

    agent_api_call(asked->endpoint->engine->api, "ListTagsForResource",
                   json_pack("{s:s}", "resourceArn", arn), on_tags, asked);
}

void agent_endpoint_with_tags(AgentEndpoint *endpoint, const ServeRequest *rq,
                              const AgentTask *task, json_t *tree, gboolean tells_errors)
{
    Asked *asked = g_new0(Asked, 1);

    *asked = (Asked){ .endpoint = endpoint,
                      .id = rq->id,
                      .tree = tree,
                      .task_arn = g_strdup(task->arn),
                      .instance_arn = g_strdup(endpoint->engine->state->arn),
                      .tells_errors = tells_errors };
    ask(asked);
}
