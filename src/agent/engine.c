#include "agent/engine.h"
#include "agent/act.h"
#include "agent/image_pull.h"
#include "agent/images.h"
#include "agent/payload.h"
#include "agent/report.h"
#include "agent/rules.h"
#include "agent/spec.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/fault.h"
#include "base/id.h"
#include "base/log.h"

#include <string.h>

#define PULLS_MAX     4
#define STOPS_MAX     32
#define ACTS_MAX      12
#define SAVE_RETRY_MS 5000
#define SEND_FIRST_MS 1000.0
#define SEND_MAX_MS   30000.0
#define SEND_GROWTH   1.3
#define SEND_JITTER   0.2
#define UNKNOWN_TASK  "TaskStateError: the agent does not know this task"

typedef struct {
    AgentEngine *engine;
    char *arn;
    AgentSaid said;
} Sending;

AgentTask *agent_engine_find(const AgentEngine *engine, const char *arn)
{
    for (guint i = 0; i < engine->tasks->len; i++) {
        AgentTask *task = engine->tasks->pdata[i];
        if (strcmp(task->arn, arn) == 0)
            return task;
    }
    return NULL;
}

void agent_engine_wake(AgentEngine *engine, gint64 due_ms)
{
    loop_timer_hasten(engine->loop, &engine->timer, due_ms);
}

/* A number from 0 to 1. */
static double chance(void)
{
    guint32 bits = 0;

    id_random(&bits, sizeof bits);
    return bits / (double)G_MAXUINT32;
}

/* -- keeping */

static gboolean save(AgentEngine *engine, AgentTask *task)
{
    g_autoptr(GError) cause = NULL;

    if (!task->keep_ms || task->is_orphan)
        return TRUE;
    if (!agent_state_save_task(engine->state, task, &cause)) {
        log_error(task->id, "%s", cause->message);
        task->keep_ms = clock_mono_ms() + SAVE_RETRY_MS;
        loop_timer_hasten(engine->loop, &engine->keeper, task->keep_ms);
        return FALSE;
    }
    task->keep_ms = 0;
    return TRUE;
}

static void on_settle(gpointer user)
{
    AgentEngine *engine = user;
    gint64 now_ms = clock_mono_ms();

    for (guint i = 0; i < engine->tasks->len; i++) {
        AgentTask *task = engine->tasks->pdata[i];
        if (task->keep_ms > now_ms)
            loop_timer_hasten(engine->loop, &engine->keeper, task->keep_ms);
        else
            save(engine, task);
    }
}

/* The end of each turn of the loop writes what is due; this makes a turn of it. */
static void on_keep(gpointer user)
{
    (void)user;
}

/* -- reporting */

static void on_sent(gpointer user, const AgentAnswer *answer)
{
    g_autofree Sending *sending = user;
    g_autofree char *arn = sending->arn;
    AgentEngine *engine = sending->engine;
    AgentTask *task = agent_engine_find(engine, arn);

    if (!task)
        return;
    task->sending = FALSE;
    if (answer->tree || g_strcmp0(answer->code, "InvalidParameterException") == 0) {
        if (!answer->tree)
            log_warn(task->id, "the report was refused and is dropped: %s", answer->message);
        FAULT_POINT("agent.reported");
        task->send_failures = 0;
        agent_report_accepted(task, &sending->said, clock_now_us());
        agent_task_keep_soon(task);
    } else {
        double delay_ms = SEND_FIRST_MS;
        for (guint i = 0; i < task->send_failures && delay_ms < SEND_MAX_MS; i++)
            delay_ms *= SEND_GROWTH;
        delay_ms = MIN(delay_ms, SEND_MAX_MS) * (1 + SEND_JITTER * chance());
        task->send_failures++;
        task->send_retry_ms = clock_mono_ms() + (gint64)delay_ms;
        log_warn(task->id, "the report is not accepted, trying again: %s%s%s",
                 answer->code ? answer->code : "", answer->code ? ": " : "", answer->message);
    }
    agent_engine_step(engine, task);
}

static void send_report(AgentEngine *engine, AgentTask *task)
{
    Sending *sending = g_new0(Sending, 1);
    const char *cluster = engine->state->cluster ? engine->state->cluster : "default";

    sending->engine = engine;
    sending->arn = g_strdup(task->arn);
    task->sending = TRUE;
    task->batch_ms = 0;
    agent_api_call(engine->api, "SubmitTaskStateChange",
                   agent_report_body(task, cluster, &sending->said), on_sent, sending);
}

/* Sends what is due, or has the timer come back when it is. */
static void report(AgentEngine *engine, AgentTask *task)
{
    AgentReportDue due = agent_report_due(task);
    gint64 now_ms = clock_mono_ms();
    gint64 at_ms = task->send_retry_ms;

    if (due == REPORT_NONE || task->sending || !engine->reporting)
        return;
    if (due == REPORT_BATCH) {
        guint least_ms = engine->config->batch_min_ms;
        if (!task->batch_ms)
            task->batch_ms = now_ms + least_ms + (gint64)(chance() * 2 * least_ms);
        at_ms = MAX(at_ms, task->batch_ms);
    }
    if (now_ms >= at_ms)
        send_report(engine, task);
    else
        agent_engine_wake(engine, at_ms);
}

void agent_engine_report(AgentEngine *engine)
{
    engine->reporting = TRUE;
    agent_engine_wake(engine, clock_mono_ms());
}

/* -- clean-up */

static void on_volumes_removed(gpointer user)
{
    g_autoptr(AgentVolumesJob) job = user;
    AgentEngine *engine = job->owner;
    AgentTask *task = agent_engine_find(engine, job->task_arn);
    g_autoptr(GError) cause = NULL;

    if (!task)
        return;
    if (job->error)
        log_warn(task->id, "a volume stays behind: %s", job->error->message);
    if (!agent_state_drop_task(engine->state, task, &cause)) {
        log_error(task->id, "%s", cause->message);
        task->cleaning = FALSE;
        return;
    }
    log_info(task->id, "cleaned up");
    agent_credentials_drop(engine->credentials, task->arn, CREDENTIALS_EXECUTION);
    g_ptr_array_remove(engine->tasks, task);
}

static gboolean all_removed(const AgentTask *task)
{
    for (guint i = 0; i < task->containers->len; i++) {
        const AgentContainer *c = agent_task_container(task, i);
        if (c->at != AT_REMOVED || c->busy)
            return FALSE;
    }
    return TRUE;
}

/* Once STOPPED was accepted: after a while containers, then volumes, then the record go. */
static void clean_up(AgentEngine *engine, AgentTask *task)
{
    if (!task->stopped_us || task->sending || task->cleaning)
        return;
    gint64 wait_ms = task->containers->len ? engine->config->cleanup_wait_ms : 0;
    gint64 left_ms = wait_ms - (clock_now_us() - task->stopped_us) / 1000;
    if (task->want != WANT_REMOVED && left_ms > 0) {
        agent_engine_wake(engine, clock_mono_ms() + MIN(left_ms, wait_ms));
        return;
    }
    if (task->want != WANT_REMOVED) {
        task->want = WANT_REMOVED;
        agent_task_keep(task);
        agent_engine_wake(engine, clock_mono_ms());
        return;
    }
    if (!all_removed(task))
        return;
    AgentVolumesJob *job = g_new0(AgentVolumesJob, 1);
    job->owner = engine;
    job->task_arn = g_strdup(task->arn);
    job->docker = engine->docker;
    job->names = agent_spec_own_volumes(task);
    job->cgroup_dir = engine->config->cgroup_dir;
    job->task_id = g_strdup(task->id);
    task->cleaning = TRUE;
    pool_push(engine->acts, agent_volumes_run, on_volumes_removed, job);
}

/* -- steps */

void agent_engine_step(AgentEngine *engine, AgentTask *task)
{
    while (agent_step_containers(engine, task))
        continue;
    AgentTaskStatus status = agent_rules_status(task);
    if (status != task->status) {
        static const char *const names[] = { "pending", "running", "stopped" };
        log_info(task->id, "%s", names[status]);
        task->status = status;
        agent_task_keep_soon(task);
    }
    if (status == TASK_STOPPED)
        agent_credentials_drop(engine->credentials, task->arn, CREDENTIALS_TASK);
    report(engine, task);
    clean_up(engine, task);
}

static void step_all(gpointer user)
{
    AgentEngine *engine = user;

    for (guint i = 0; i < engine->tasks->len; i++)
        agent_engine_step(engine, engine->tasks->pdata[i]);
}

static void on_check(gpointer user)
{
    AgentEngine *engine = user;

    loop_timer_set(engine->loop, &engine->checker, clock_mono_ms() + engine->config->check_ms);
    agent_engine_look_all(engine);
}

void agent_engine_look_all(AgentEngine *engine)
{
    for (guint i = 0; i < engine->tasks->len; i++) {
        const AgentTask *task = engine->tasks->pdata[i];
        for (guint n = 0; n < task->containers->len; n++) {
            AgentContainer *c = agent_task_container(task, n);
            c->look = c->at >= AT_CREATED && c->at < AT_STOPPED;
        }
    }
    agent_engine_wake(engine, clock_mono_ms());
}

static void notice(AgentContainer *c, gint64 at_us, const int *exit_code)
{
    if (exit_code && c->at < AT_STOPPED) {
        c->has_exit = TRUE;
        c->exit_code = *exit_code;
    }
    if (at_us && at_us < c->looked_us)
        return;
    if (at_us && c->busy)
        c->noticed_us = MAX(c->noticed_us, at_us); /* the act in hand ends with a look */
    else
        c->look = TRUE;
}

void agent_engine_retry_all(AgentEngine *engine)
{
    for (guint i = 0; i < engine->tasks->len; i++) {
        const AgentTask *task = engine->tasks->pdata[i];
        for (guint n = 0; n < task->containers->len; n++)
            agent_task_container(task, n)->retry_ms = 0;
    }
    agent_engine_look_all(engine);
}

void agent_engine_notice(AgentEngine *engine, const char *docker_name, gint64 at_us,
                         const int *exit_code)
{
    for (guint i = 0; i < engine->tasks->len; i++) {
        AgentTask *task = engine->tasks->pdata[i];
        for (guint n = 0; n < task->containers->len; n++) {
            AgentContainer *c = agent_task_container(task, n);
            if (strcmp(c->docker_name, docker_name) != 0)
                continue;
            notice(c, at_us, exit_code);
            agent_engine_step(engine, task);
            return;
        }
    }
}

/* -- taking on */

static void take_on(AgentEngine *engine, AgentTask *task)
{
    for (guint i = 0; i < task->containers->len; i++)
        agent_task_container(task, i)->known = TRUE;
    agent_task_keep(task);
    g_ptr_array_add(engine->tasks, task);
}

/* A task of which nothing is known but that it is stopped, and why. */
static void take_on_stopped(AgentEngine *engine, const char *arn, const char *id,
                            const char *reason)
{
    AgentTask *task = agent_task_new(arn, id);

    g_free(task->reason);
    task->reason = g_strndup(reason, AGENT_TASK_REASON_MAX);
    task->want = WANT_STOPPED;
    take_on(engine, task);
}

gboolean agent_engine_stop(AgentEngine *engine, const char *arn)
{
    AgentTask *task = agent_engine_find(engine, arn);

    if (!task)
        return FALSE;
    if (task->want == WANT_RUNNING) {
        log_info(task->id, "to be stopped");
        task->want = WANT_STOPPED;
        agent_task_keep(task);
    }
    return TRUE;
}

gboolean agent_engine_end_all(AgentEngine *engine, const char *reason)
{
    gboolean saved = TRUE;

    for (guint i = 0; i < engine->tasks->len; i++) {
        AgentTask *task = engine->tasks->pdata[i];
        if (task->want == WANT_RUNNING)
            agent_task_blame(task, reason);
        agent_engine_stop(engine, task->arn);
        saved = save(engine, task) && saved;
    }
    agent_engine_wake(engine, clock_mono_ms());
    return saved;
}

static gboolean is_stop(const json_t *tree)
{
    return g_strcmp0(json_string_value(json_object_get(tree, "desiredStatus")), "STOPPED") == 0;
}

static gboolean accept_one(AgentEngine *engine, const json_t *tree)
{
    const char *arn = NULL;
    g_autofree char *id = NULL;
    g_autoptr(GError) cause = NULL;

    if (!agent_payload_arn(tree, &arn, &id)) {
        log_error("-", "a task without a valid ARN was sent");
        return FALSE;
    }
    AgentTask *task = agent_engine_find(engine, arn);
    if (task && task->status == TASK_STOPPED)
        agent_report_again(task);
    if (is_stop(tree)) {
        if (!agent_engine_stop(engine, arn))
            take_on_stopped(engine, arn, id, UNKNOWN_TASK);
        return TRUE;
    }
    if (task)
        return TRUE;
    task = agent_payload_task(tree, &cause);
    if (task) {
        log_info(id, "taken on: %s:%s", task->family, task->version);
        take_on(engine, task);
        return TRUE;
    }
    log_error(id, "%s", cause->message);
    g_autofree char *reason =
        g_strdup_printf("UnrecogniedTaskError: Error loading task - %s", cause->message);
    take_on_stopped(engine, arn, id, reason);
    return FALSE;
}

void agent_engine_expected(AgentEngine *engine, const char *task_arn, gboolean acknowledged)
{
    json_auto_t *tree = json_pack("{s:s}", "arn", task_arn);
    AgentTask *task = agent_engine_find(engine, task_arn);
    const char *arn = NULL;
    g_autofree char *id = NULL;

    if (task && task->status == TASK_STOPPED)
        agent_report_again(task);
    if (!task && acknowledged && agent_payload_arn(tree, &arn, &id) &&
        !agent_state_has_file(engine->state, id)) {
        log_warn(id, "is not known here any more, and reported to have stopped");
        take_on_stopped(engine, arn, id, UNKNOWN_TASK);
    }
    agent_engine_wake(engine, clock_mono_ms());
}

gboolean agent_engine_keep_credentials(AgentEngine *engine, const char *arn,
                                       AgentCredentialsKind kind, const json_t *tree)
{
    const AgentTask *task = agent_engine_find(engine, arn);

    if (!task || !json_string_length(json_object_get(tree, "credentialsId")))
        return FALSE;
    if (task->status == TASK_STOPPED && kind == CREDENTIALS_TASK)
        return TRUE;
    agent_engine_wake(engine, clock_mono_ms()); /* a container may wait for them */
    return agent_credentials_keep(engine->credentials, arn, kind, tree);
}

gboolean agent_engine_accept(AgentEngine *engine, const json_t *tasks)
{
    gboolean good = TRUE;
    const json_t *tree;
    gsize n;

    json_array_foreach(tasks, n, tree) if (is_stop(tree)) good = accept_one(engine, tree) && good;
    json_array_foreach(tasks, n, tree) if (!is_stop(tree)) good = accept_one(engine, tree) && good;
    for (guint i = 0; i < engine->tasks->len; i++)
        good = save(engine, engine->tasks->pdata[i]) && good;
    agent_engine_wake(engine, clock_mono_ms());
    return good;
}

AgentEngine *agent_engine_new(Loop *loop, const AgentConfig *config, AgentState *state,
                              Docker *docker, AgentApi *api, GError **error)
{
    guint bad = 0;
    GPtrArray *tasks = agent_state_tasks(state, &bad, error);

    if (!tasks)
        return NULL;
    AgentEngine *engine = g_new0(AgentEngine, 1);
    *engine = (AgentEngine){ .loop = loop,
                             .config = config,
                             .state = state,
                             .docker = docker,
                             .api = api,
                             .tasks = tasks,
                             .docker_changed_us = clock_now_us() };
    engine->credentials = agent_credentials_new();
    engine->pulls = pool_new(loop, PULLS_MAX);
    engine->stops = pool_new(loop, STOPS_MAX);
    engine->acts = pool_new(loop, ACTS_MAX);
    engine->image_pulls = agent_pulls_new(engine);
    engine->images = agent_images_new(engine);
    loop_timer_init(&engine->timer, step_all, engine);
    loop_timer_init(&engine->checker, on_check, engine);
    loop_timer_init(&engine->keeper, on_keep, engine);
    loop_timer_set(loop, &engine->checker, clock_mono_ms() + config->check_ms);
    loop_set_settle(loop, on_settle, engine);
    if (bad)
        log_error("-", "%u saved tasks cannot be read and were set aside", bad);
    if (tasks->len)
        log_info("-", "%u saved tasks are taken up", tasks->len);
    agent_engine_wake(engine, clock_mono_ms());
    return engine;
}
