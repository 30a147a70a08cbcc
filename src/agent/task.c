#include "agent/task.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"

#include <string.h>

#define KEEP_SOON_MS 1000

static void container_free(gpointer data)
{
    AgentContainer *c = data;

    g_free(c->name);
    g_free(c->image);
    g_free(c->docker_name);
    g_free(c->docker_id);
    g_free(c->endpoint_id);
    g_free(c->about);
    g_free(c->digest);
    g_free(c->reason);
    g_array_free(c->depends, TRUE);
    json_decref(c->bindings);
    g_free(c);
}

AgentTask *agent_task_new(const char *arn, const char *id)
{
    AgentTask *task = g_new0(AgentTask, 1);

    task->arn = g_strdup(arn);
    task->id = g_strdup(id);
    task->family = g_strdup("");
    task->version = g_strdup("");
    task->reason = g_strdup("");
    task->payload = json_object();
    task->containers = g_ptr_array_new_with_free_func(container_free);
    return task;
}

void agent_task_free(AgentTask *task)
{
    if (!task)
        return;
    g_ptr_array_free(task->containers, TRUE);
    json_decref(task->payload);
    json_decref(task->pause_spec);
    g_free(task->arn);
    g_free(task->id);
    g_free(task->family);
    g_free(task->version);
    g_free(task->reason);
    g_free(task);
}

AgentContainer *agent_task_add(AgentTask *task, const char *name)
{
    AgentContainer *c = g_new0(AgentContainer, 1);

    c->name = g_strdup(name);
    c->endpoint_id = id_uuid();
    c->depends = g_array_new(FALSE, FALSE, sizeof(AgentDepend));
    c->bindings = json_array();
    g_ptr_array_add(task->containers, c);
    return c;
}

AgentContainer *agent_task_container(const AgentTask *task, guint index)
{
    return task->containers->pdata[index];
}

int agent_task_find(const AgentTask *task, const char *name)
{
    for (guint i = 0; i < task->containers->len; i++)
        if (g_strcmp0(agent_task_container(task, i)->name, name) == 0)
            return (int)i;
    return -1;
}

/* The longest start of text that fits in max bytes and is whole UTF-8. Caller frees. */
static char *cut(const char *text, gsize max)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    if (strlen(valid) > max)
        *g_utf8_find_prev_char(valid, valid + max + 1) = '\0';
    return g_steal_pointer(&valid);
}

void agent_task_blame(AgentTask *task, const char *text)
{
    if (*task->reason)
        return;
    g_free(task->reason);
    task->reason = cut(text, AGENT_TASK_REASON_MAX);
    agent_task_keep(task);
}

void agent_container_blame(AgentContainer *container, const char *name, const char *text)
{
    if (container->reason)
        return;
    g_autofree char *whole = g_strdup_printf("%s: %s", name, text);
    container->reason = cut(whole, AGENT_CONTAINER_REASON_MAX);
}

void agent_task_keep(AgentTask *task)
{
    task->keep_ms = 1;
}

void agent_task_keep_soon(AgentTask *task)
{
    if (!task->keep_ms)
        task->keep_ms = clock_mono_ms() + KEEP_SOON_MS;
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *container_save(const AgentContainer *c)
{
    return json_pack(
        "{s:s, s:s, s:o, s:i, s:i, s:o, s:o, s:o, s:b, s:o, s:i, s:I, s:I, s:I, s:O,"
        " s:b, s:i}",
        "name", c->name, "endpoint_id", c->endpoint_id, "about", text_or_null(c->about), "at",
        (int)c->at, "reported", (int)c->reported, "docker_id", text_or_null(c->docker_id), "digest",
        text_or_null(c->digest), "reason", text_or_null(c->reason), "was_started", c->was_started,
        "exit_code", c->has_exit ? json_integer(c->exit_code) : json_null(), "health",
        (int)c->health, "health_since_us", (json_int_t)c->health_since_us, "started_us",
        (json_int_t)c->started_us, "finished_us", (json_int_t)c->finished_us, "bindings",
        c->bindings, "again", c->again, "restart_count", (int)c->restart_count);
}

json_t *agent_task_save(const AgentTask *task)
{
    json_t *containers = json_array();

    for (guint i = 0; i < task->containers->len; i++)
        json_array_append_new(containers, container_save(agent_task_container(task, i)));
    return json_pack("{s:s, s:O, s:i, s:i, s:i, s:s, s:I, s:I, s:I, s:I, s:o}", "arn", task->arn,
                     "payload", task->payload, "want", (int)task->want, "status", (int)task->status,
                     "reported", (int)task->reported, "reason", task->reason, "pull_started_us",
                     (json_int_t)task->pull_started_us, "pull_stopped_us",
                     (json_int_t)task->pull_stopped_us, "execution_stopped_us",
                     (json_int_t)task->execution_stopped_us, "stopped_us",
                     (json_int_t)task->stopped_us, "containers", containers);
}

static gint64 number(const json_t *tree, const char *key)
{
    return json_integer_value(json_object_get(tree, key));
}

/* A number below count, else 0. */
static int choice(const json_t *tree, const char *key, int count)
{
    gint64 value = number(tree, key);

    return value > 0 && value < count ? (int)value : 0;
}

static char *text(const json_t *tree, const char *key)
{
    return g_strdup(json_string_value(json_object_get(tree, key)));
}

static void container_restore(AgentContainer *c, const json_t *tree)
{
    const json_t *exit_code = json_object_get(tree, "exit_code");
    json_t *bindings = json_object_get(tree, "bindings");
    char *endpoint_id = text(tree, "endpoint_id");

    if (endpoint_id) {
        g_free(c->endpoint_id);
        c->endpoint_id = endpoint_id;
    }
    c->about = text(tree, "about");

    c->at = (AgentAt)choice(tree, "at", AT__COUNT);
    c->reported = (AgentAt)choice(tree, "reported", AT__COUNT);
    c->docker_id = text(tree, "docker_id");
    c->digest = text(tree, "digest");
    c->reason = text(tree, "reason");
    c->was_started = json_is_true(json_object_get(tree, "was_started"));
    c->has_exit = json_is_integer(exit_code);
    c->exit_code = (int)json_integer_value(exit_code);
    c->health = (AgentHealth)choice(tree, "health", HEALTH_UNHEALTHY + 1);
    c->health_since_us = number(tree, "health_since_us");
    c->started_us = number(tree, "started_us");
    c->finished_us = number(tree, "finished_us");
    c->again = json_is_true(json_object_get(tree, "again"));
    c->restart_count = (guint)MAX(number(tree, "restart_count"), 0);
    if (json_is_array(bindings)) {
        json_decref(c->bindings);
        c->bindings = json_deep_copy(bindings);
    }
}

gboolean agent_task_restore(AgentTask *task, const json_t *tree, GError **error)
{
    const json_t *containers = json_object_get(tree, "containers");
    const json_t *item;
    gsize n;

    if (!json_is_array(containers) || !json_is_string(json_object_get(tree, "reason")))
        return fail(error, CONFIG, "the saved state of task \"%s\" is incomplete", task->arn);
    task->want = (AgentWant)choice(tree, "want", WANT__COUNT);
    task->status = (AgentTaskStatus)choice(tree, "status", TASK_STOPPED + 1);
    task->reported = (AgentTaskStatus)choice(tree, "reported", TASK_STOPPED + 1);
    g_free(task->reason);
    task->reason = text(tree, "reason");
    task->pull_started_us = number(tree, "pull_started_us");
    task->pull_stopped_us = number(tree, "pull_stopped_us");
    task->execution_stopped_us = number(tree, "execution_stopped_us");
    task->stopped_us = number(tree, "stopped_us");
    json_array_foreach(containers, n, item)
    {
        int index = agent_task_find(task, json_string_value(json_object_get(item, "name")));
        if (index >= 0)
            container_restore(agent_task_container(task, (guint)index), item);
    }
    return TRUE;
}
