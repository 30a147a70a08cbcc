#include "agent/orphans.h"
#include "agent/pause.h"
#include "agent/payload.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/tree.h"

#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS   30000
#define REASON         "the agent has no record of this task"

typedef struct {
    AgentEngine *engine;
    LoopCall done;
    gpointer user;
    LoopTimer retry;
    guint failures;
    GHashTable *known; /* ARNs of the engine's tasks */
    GPtrArray *found;  /* DockerContainer */
    GError *error;
} Search;

/* -- in a worker */

/* Whether the label's ARN is one of which there is no record of any kind. */
static gboolean is_unknown(const Search *search, const DockerListed *listed)
{
    json_auto_t *tree =
        json_pack("{s:O?}", "arn", json_object_get(listed->labels, AGENT_LABEL_TASK));
    const char *arn = NULL;
    g_autofree char *id = NULL;

    if (!agent_payload_arn(tree, &arn, &id) || g_hash_table_contains(search->known, arn))
        return FALSE;
    if (!agent_state_has_file(search->engine->state, id))
        return TRUE;
    log_warn(id, "container \"%s\" is left alone: the record of %s was set aside", listed->name,
             arn);
    return FALSE;
}

/* FALSE when Docker is to be asked again. */
static gboolean see(Search *search, const DockerListed *listed)
{
    g_autoptr(GError) cause = NULL;
    DockerContainer *seen = docker_inspect(search->engine->docker, listed->id, &cause);

    if (seen)
        g_ptr_array_add(search->found, seen);
    else if (error_is(cause, ERROR_HTTP_CLIENT) || error_is(cause, ERROR_UNAVAILABLE))
        g_propagate_error(&search->error, g_steal_pointer(&cause));
    else if (!error_is(cause, ERROR_NOT_FOUND))
        log_warn("-", "container \"%s\" is left alone: %s", listed->name, cause->message);
    return !search->error;
}

static void search_run(gpointer user)
{
    Search *search = user;
    g_autofree char *label = g_strconcat(AGENT_LABEL_OWNER "=", search->engine->state->owner, NULL);
    g_autoptr(GPtrArray) list = docker_list(search->engine->docker, label, &search->error);

    for (guint i = 0; list && i < list->len; i++)
        if (is_unknown(search, list->pdata[i]) && !see(search, list->pdata[i]))
            return;
}

/* -- in the loop */

static AgentTask *task_of(AgentEngine *engine, const DockerContainer *seen)
{
    json_auto_t *tree = json_pack("{s:s}", "arn", text_of(seen->labels, AGENT_LABEL_TASK));
    const char *arn = NULL;
    g_autofree char *id = NULL;

    if (!agent_payload_arn(tree, &arn, &id))
        return NULL;
    AgentTask *task = agent_engine_find(engine, arn);
    if (task)
        return task->is_orphan ? task : NULL;
    task = agent_task_new(arn, id);
    g_free(task->family);
    g_free(task->version);
    task->family = g_strdup(text_of(seen->labels, AGENT_LABEL_FAMILY));
    task->version = g_strdup(text_of(seen->labels, AGENT_LABEL_VERSION));
    task->is_orphan = TRUE;
    task->want = WANT_REMOVED;
    task->status = task->reported = TASK_RUNNING; /* only its end is news */
    agent_task_blame(task, "TaskStateError: " REASON);
    g_ptr_array_add(engine->tasks, task);
    return task;
}

static void add_container(AgentTask *task, const DockerContainer *seen)
{
    const char *name = text_of(seen->labels, AGENT_LABEL_CONTAINER);

    if (task->containers->len == AGENT_CONTAINERS_ALL || agent_task_find(task, name) >= 0)
        return;
    AgentContainer *c = agent_task_add(task, name);
    c->docker_id = g_strdup(seen->id);
    c->docker_name = g_strdup(seen->name);
    c->image = g_strdup(seen->image_id);
    c->internal = g_str_has_prefix(name, AGENT_INTERNAL_PREFIX);
    c->stop_timeout_s = seen->stop_timeout_s;
    c->reported = AT_RUNNING;
    agent_container_blame(c, "TaskStateError", REASON);
    log_warn(task->id, "container \"%s\" of %s is stopped and removed: " REASON, seen->name,
             task->arn);
}

/* What the pause container holds is needed until the others have stopped. */
static void order(AgentTask *task)
{
    int pause = agent_task_find(task, AGENT_PAUSE_NAME);
    const AgentDepend on_pause = { (guint)pause, DEPEND_START };

    for (guint i = 0; pause >= 0 && i < task->containers->len; i++)
        if ((int)i != pause)
            g_array_append_val(agent_task_container(task, i)->depends, on_pause);
}

static void take_on(Search *search)
{
    AgentEngine *engine = search->engine;

    for (guint i = 0; i < search->found->len; i++) {
        AgentTask *task = task_of(engine, search->found->pdata[i]);
        if (task)
            add_container(task, search->found->pdata[i]);
    }
    for (guint i = 0; i < engine->tasks->len; i++) {
        AgentTask *task = engine->tasks->pdata[i];
        if (task->is_orphan)
            order(task);
    }
    agent_engine_wake(engine, clock_mono_ms());
    FAULT_POINT("agent.orphans_found");
}

static void on_searched(gpointer user)
{
    Search *search = user;
    g_autoptr(GHashTable) known = g_steal_pointer(&search->known);
    g_autoptr(GPtrArray) found = search->found;
    g_autoptr(GError) error = g_steal_pointer(&search->error);

    if (error) {
        gint64 delay_ms = MIN(RETRY_MAX_MS, (gint64)RETRY_FIRST_MS << MIN(search->failures, 10));
        log_warn("-", "cannot look for containers of tasks without record: %s", error->message);
        search->failures++;
        loop_timer_set(search->engine->loop, &search->retry, clock_mono_ms() + delay_ms);
        return;
    }
    take_on(search);
    search->done(search->user);
    g_free(search);
}

static void search_begin(gpointer user)
{
    Search *search = user;
    const GPtrArray *tasks = search->engine->tasks;

    search->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    search->found = g_ptr_array_new_with_free_func((GDestroyNotify)docker_container_free);
    for (guint i = 0; i < tasks->len; i++)
        g_hash_table_add(search->known, g_strdup(((const AgentTask *)tasks->pdata[i])->arn));
    pool_push(search->engine->acts, search_run, on_searched, search);
}

void agent_orphans_find(AgentEngine *engine, LoopCall done, gpointer user)
{
    Search *search = g_new0(Search, 1);

    search->engine = engine;
    search->done = done;
    search->user = user;
    loop_timer_init(&search->retry, search_begin, search);
    search_begin(search);
}
