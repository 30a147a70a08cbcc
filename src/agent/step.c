#include "agent/act.h"
#include "agent/engine.h"
#include "agent/env_files.h"
#include "agent/image_pull.h"
#include "agent/images.h"
#include "agent/kernel_log.h"
#include "agent/ports.h"
#include "agent/restart.h"
#include "agent/rules.h"
#include "agent/spec.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/log.h"

#include <string.h>

#define PULL_TRIES      5
#define PULL_LATER_MS   500
#define PULL_GROWTH     5
#define RETRY_FIRST_MS  1000
#define RETRY_MAX_MS    30000
#define CREATED_WAIT_MS 2000
#define EXIT_NEVER_RAN  143
#define EXIT_KILLED     137

static void on_act_done(gpointer user);

/* -- recording what was seen */

static void record_health(AgentTask *task, AgentContainer *c, DockerHealth seen)
{
    AgentHealth health = seen == DOCKER_HEALTHY     ? HEALTH_HEALTHY
                         : seen == DOCKER_UNHEALTHY ? HEALTH_UNHEALTHY
                                                    : HEALTH_UNKNOWN;

    if (health == c->health && c->health_since_us)
        return;
    c->health = health;
    c->health_since_us = clock_now_us();
    agent_task_keep_soon(task);
}

static void record_stop(AgentTask *task, AgentContainer *c)
{
    if (c->at >= AT_STOPPED)
        return;
    c->at = AT_STOPPED;
    c->failures = 0;
    c->retry_ms = 0;
    agent_task_keep(task);
    if (c->essential && !task->execution_stopped_us)
        task->execution_stopped_us = c->finished_us ? c->finished_us : clock_now_us();
}

static void record_running(AgentTask *task, AgentContainer *c, const DockerContainer *seen)
{
    gboolean again = c->again;

    if (c->up_ms == 0)
        c->up_ms = clock_mono_ms();
    if (c->restarts && c->at < AT_STOPPED)
        c->has_exit = FALSE;
    c->again = FALSE;
    if (again)
        agent_task_keep(task);
    if (c->at >= AT_RUNNING && !again)
        return;
    c->at = AT_RUNNING;
    json_decref(c->bindings);
    c->bindings = agent_ports_bindings(c, seen->ports);
    agent_task_keep_soon(task);
}

/* A start that was not seen before; of a container that was started before, it is a restart. */
static void record_start(AgentTask *task, AgentContainer *c, const DockerContainer *seen)
{
    if (seen->started_us == c->started_us)
        return;
    if (c->restarts && c->started_us && seen->started_us > c->started_us && c->at < AT_STOPPED) {
        c->restart_count++;
        agent_task_keep(task);
    }
    c->started_us = seen->started_us;
    agent_task_keep_soon(task);
}

/* Docker misses it of a container that had just begun. The kernel's log is asked of one SIGKILL
 * that nobody here sent, and not of one that was started again: what it says may be of another run.
 */
static gboolean ran_out_of_memory(const AgentTask *task, const AgentContainer *c,
                                  const DockerContainer *seen)
{
    return seen->oom_killed ||
           (seen->exit_code == EXIT_KILLED && task->want == WANT_RUNNING && !c->restart_count &&
            !agent_rules_must_stop(task) && agent_kernel_log_killed(seen->id));
}

static void record_exit(AgentTask *task, AgentContainer *c, const DockerContainer *seen)
{
    if (c->at >= AT_STOPPED)
        return;
    c->has_exit = seen->was_started;
    c->exit_code = seen->exit_code;
    c->finished_us = seen->finished_us;
    if (task->want == WANT_RUNNING && !agent_rules_must_stop(task) && agent_restart_due(c, seen)) {
        if (!c->again)
            log_info(task->id, "%s: exited with %d, is started again", c->name, seen->exit_code);
        if (!c->again)
            agent_task_keep(task);
        c->again = TRUE;
        c->at = AT_RUNNING;
        return;
    }
    c->again = FALSE;
    if (ran_out_of_memory(task, c, seen))
        agent_container_blame(c, "OutOfMemoryError", "container killed due to memory usage");
    record_stop(task, c);
}

/* Docker says of a container that was seen running that it never ran: it, or the machine, died
 * before it had written that down. It does not know of the process any more. */
static void record_forgotten(AgentTask *task, AgentContainer *c, const DockerContainer *seen)
{
    c->again = FALSE;
    c->has_exit = seen->finished_us > 0;
    c->exit_code = seen->exit_code;
    c->finished_us = seen->finished_us;
    agent_container_blame(c, "DockerStateError", "docker has lost track of the container");
    record_stop(task, c);
}

static void record_seen(AgentTask *task, AgentContainer *c, const DockerContainer *seen)
{
    if (g_strcmp0(c->docker_id, seen->id) != 0) {
        g_free(c->docker_id);
        c->docker_id = g_strdup(seen->id);
        agent_task_keep_soon(task);
    }
    if (g_strcmp0(c->about, seen->about) != 0 &&
        (seen->state != DOCKER_EXITED || !c->about)) { /* what has ended has no address any more */
        g_free(c->about);
        c->about = g_strdup(seen->about);
        agent_task_keep_soon(task);
    }
    c->was_started = c->was_started || seen->was_started;
    record_start(task, c, seen);
    if (c->checks_health)
        record_health(task, c, seen->health);
    if (seen->state == DOCKER_RUNNING) {
        record_running(task, c, seen);
    } else if (seen->state == DOCKER_EXITED) {
        record_exit(task, c, seen);
    } else if (c->at == AT_RUNNING) {
        record_forgotten(task, c, seen);
    } else if (c->at < AT_CREATED) {
        c->at = AT_CREATED;
        agent_task_keep_soon(task);
    }
}

/* Docker knows no such container (any more). */
static void record_gone(AgentTask *task, AgentContainer *c)
{
    if (c->at < AT_CREATED || c->at >= AT_STOPPED)
        return;
    if (!c->has_exit)
        agent_container_blame(c, "ContainerVanishedError", "the container was removed by another");
    record_stop(task, c);
}

/* -- acts */

static guint stop_timeout(const AgentEngine *engine, const AgentContainer *c)
{
    return c->stop_timeout_s ? c->stop_timeout_s : MAX(engine->config->stop_timeout_ms / 1000, 1);
}

/* Something a container needs and Docker does not have: without it there is no task. */
static void fail_resource(AgentTask *task, AgentContainer *c, const GError *error)
{
    g_autofree char *reason = g_strdup_printf(
        "ResourceInitializationError: failed to download env files: %s", error->message);

    log_warn(task->id, "%s: %s", c->name, reason);
    agent_task_blame(task, reason);
    agent_container_blame(c, "ResourceInitializationError", error->message);
    record_stop(task, c);
    task->want = MAX(task->want, WANT_STOPPED);
}

/* Whether a container's environment files can be fetched now. If not, it has stopped, or waits for
 * credentials that are to come, which will wake the engine. */
static gboolean have_env_files(AgentEngine *engine, AgentTask *task, AgentContainer *c,
                               AgentS3 **ret_s3)
{
    g_autoptr(GError) cause = NULL;
    AgentEnvState state =
        agent_env_files_ready(engine->config, engine->credentials, task, c, ret_s3, &cause);

    if (state == ENV_NEVER)
        fail_resource(task, c, cause);
    return state == ENV_READY;
}

/* FALSE when the container cannot be described to Docker; then it has stopped. */
static gboolean fill_spec(AgentEngine *engine, AgentTask *task, AgentContainer *c, AgentActJob *job)
{
    g_autoptr(GError) cause = NULL;
    const char *cluster = engine->state->cluster ? engine->state->cluster : "default";

    job->spec = agent_spec_container(task, c, cluster, engine->state->owner, &cause);
    job->volumes = agent_spec_volumes(task, c);
    job->env_files = json_deep_copy(json_object_get(c->spec, "environmentFiles"));
    if (job->spec && agent_ports_choose(c, job->spec, &engine->next_port, &cause))
        return TRUE;
    agent_container_blame(c, "DockerClientConfigError", cause->message);
    record_stop(task, c);
    return FALSE;
}

/* What brings a container that is there further goes before new ones: of many tasks at once the
 * first run while the last are being created. */
static void hand_over(AgentEngine *engine, AgentActJob *job)
{
    Pool *pool = engine->acts;

    if (job->act == ACT_STOP)
        pool = engine->stops;
    if (job->act == ACT_START || job->act == ACT_RESTART || job->act == ACT_LOOK)
        pool_push_first(pool, agent_act_run, on_act_done, job);
    else
        pool_push(pool, agent_act_run, on_act_done, job);
}

/* Takes job. */
static void submit_pull(AgentEngine *engine, AgentTask *task, AgentContainer *c, AgentActJob *job)
{
    gint64 now_ms = clock_mono_ms();

    if (!c->pull_ms)
        c->pull_ms = now_ms;
    job->pull_left_ms = (guint)MAX(c->pull_ms + engine->config->pull_timeout_ms - now_ms, 1);
    c->busy = TRUE;
    c->pulling = TRUE;
    if (agent_pulls_add(engine->image_pulls, task, c, job, on_act_done)) {
        log_debug(task->id, "%s: pull", c->name);
        return;
    }
    agent_act_free(job);
    c->busy = FALSE;
    c->pulling = FALSE;
    c->pull_ms = 0;
    c->retry_ms = now_ms + PULL_LATER_MS;
    agent_engine_wake(engine, c->retry_ms);
}

/* Hands an act to a worker. */
static void submit(AgentEngine *engine, AgentTask *task, AgentContainer *c, AgentAct act)
{
    g_autoptr(AgentActJob) job = g_new0(AgentActJob, 1);

    job->owner = engine;
    job->task_arn = g_strdup(task->arn);
    job->container = g_strdup(c->name);
    job->act = act;
    job->docker = engine->docker;
    job->docker_name = g_strdup(c->docker_name);
    job->docker_id = act == ACT_CREATE ? NULL : g_strdup(c->docker_id);
    job->image = g_strdup(c->image);
    job->internal = c->internal;
    job->pull = engine->config->pull_behavior;
    job->is_new = act == ACT_START && c->is_new;
    job->last_try = c->failures + 1 >= PULL_TRIES;
    job->stop_timeout_s = stop_timeout(engine, c);
    job->started_us = c->started_us;
    job->cgroup_dir = engine->config->cgroup_dir;
    job->task_id = g_strdup(task->id);
    agent_spec_limits(task, &job->limits);
    if (act == ACT_CREATE &&
        (!have_env_files(engine, task, c, &job->s3) || !fill_spec(engine, task, c, job)))
        return;
    if (act == ACT_PULL && !c->internal) {
        submit_pull(engine, task, c, g_steal_pointer(&job));
        return;
    }
    c->busy = TRUE;
    c->is_new = FALSE;
    c->look = FALSE;
    log_debug(task->id, "%s: %s", c->name, agent_act_name(act));
    hand_over(engine, g_steal_pointer(&job));
}

/* Tries the act again later: after first_ms, doubling up to limit_ms. */
static void retry(AgentEngine *engine, AgentTask *task, AgentContainer *c, const AgentActJob *job,
                  gint64 first_ms, gint64 limit_ms)
{
    gint64 delay_ms = MIN(limit_ms, first_ms << MIN(c->failures, 10));

    c->failures++;
    c->retry_ms = clock_mono_ms() + delay_ms;
    agent_engine_wake(engine, c->retry_ms);
    log_warn(task->id, "%s: cannot %s, trying again in %" G_GINT64_FORMAT " ms: %s", c->name,
             agent_act_name(job->act), delay_ms, job->error ? job->error->message : "not done");
}

static gboolean is_passing(const GError *error)
{
    return error_is(error, ERROR_HTTP_CLIENT) || error_is(error, ERROR_UNAVAILABLE);
}

static void fail_container(AgentTask *task, AgentContainer *c, const char *name,
                           const GError *error)
{
    log_warn(task->id, "%s: %s: %s", c->name, name, error->message);
    agent_container_blame(c, name, error->message);
    if (c->internal) { /* is not reported: the task's own reason has to tell */
        g_autofree char *reason = g_strconcat("ResourceInitializationError: ", c->reason, NULL);
        agent_task_blame(task, reason);
    }
    record_stop(task, c);
}

static void after_pull(AgentEngine *engine, AgentTask *task, AgentContainer *c,
                       const AgentActJob *job)
{
    if (job->pulled && (!task->pull_started_us || job->began_us < task->pull_started_us))
        task->pull_started_us = job->began_us;
    if (job->pulled)
        task->pull_stopped_us = MAX(task->pull_stopped_us, job->ended_us);
    if (c->at != AT_NONE)
        return;
    if (job->gave_up) {
        fail_container(task, c, "CannotPullContainerError", job->error);
        return;
    }
    if (job->error) {
        gint64 first_ms = engine->config->pull_retry_ms;
        retry(engine, task, c, job, first_ms, first_ms * PULL_GROWTH);
        return;
    }
    if (job->pull_error)
        agent_container_blame(c, "CannotPullContainerError", job->pull_error->message);
    g_free(c->digest);
    c->digest = g_strdup(job->digest);
    c->at = AT_PULLED;
    c->failures = 0;
    agent_task_keep(task);
}

/* After create and start: seen was recorded already. */
static void after_progress(AgentEngine *engine, AgentTask *task, AgentContainer *c,
                           const AgentActJob *job, AgentAt goal, const char *name)
{
    if (c->at >= goal)
        c->failures = 0;
    else if (!job->error || is_passing(job->error))
        retry(engine, task, c, job, RETRY_FIRST_MS, RETRY_MAX_MS);
    else
        fail_container(task, c, name, job->error);
}

static void after_create(AgentEngine *engine, AgentTask *task, AgentContainer *c,
                         const AgentActJob *job)
{
    c->is_new = job->is_new;
    if (!job->no_resource)
        after_progress(engine, task, c, job, AT_CREATED, "CannotCreateContainerError");
    else if (c->at >= AT_STOPPED)
        return;
    else if (is_passing(job->error) && !job->last_try)
        retry(engine, task, c, job, RETRY_FIRST_MS, 5000);
    else
        fail_resource(task, c, job->error);
}

/* Seen was recorded already: what is not to be started again any more has run, or has stopped. */
static void after_restart(AgentEngine *engine, AgentTask *task, AgentContainer *c,
                          const AgentActJob *job)
{
    if (!c->again || c->at >= AT_STOPPED)
        c->failures = 0;
    else if (!job->error || is_passing(job->error))
        retry(engine, task, c, job, RETRY_FIRST_MS, RETRY_MAX_MS);
    else
        fail_container(task, c, "CannotStartContainerError", job->error);
}

static void after_remove(AgentEngine *engine, AgentTask *task, AgentContainer *c,
                         const AgentActJob *job)
{
    if (job->error) {
        retry(engine, task, c, job, RETRY_FIRST_MS, RETRY_MAX_MS);
        return;
    }
    c->at = AT_REMOVED;
    agent_task_keep_soon(task);
    agent_images_used(engine->images, c->image);
}

static void record_act(AgentEngine *engine, AgentTask *task, AgentContainer *c,
                       const AgentActJob *job)
{
    if (job->seen)
        record_seen(task, c, job->seen);
    else if (job->is_gone)
        record_gone(task, c);
    switch (job->act) {
    case ACT_PULL:
        after_pull(engine, task, c, job);
        break;
    case ACT_CREATE:
        after_create(engine, task, c, job);
        break;
    case ACT_START:
        after_progress(engine, task, c, job, AT_RUNNING, "CannotStartContainerError");
        break;
    case ACT_RESTART:
        after_restart(engine, task, c, job);
        break;
    case ACT_STOP:
        if (c->at < AT_STOPPED)
            retry(engine, task, c, job, RETRY_FIRST_MS, 5000);
        break;
    case ACT_REMOVE:
        after_remove(engine, task, c, job);
        break;
    case ACT_LOOK:
        if (!job->seen && !job->is_gone)
            retry(engine, task, c, job, RETRY_FIRST_MS, RETRY_MAX_MS);
        else
            c->failures = 0;
        break;
    case ACT_NONE:
    case ACT_GIVE_UP:
        break;
    }
}

/* A container that was only created when the agent came up may be about to start by a call that
 * the agent made before it died: give that call time to come through, then look once more. */
static void first_look(AgentEngine *engine, AgentContainer *c, const AgentActJob *job)
{
    if (c->known || (!job->seen && !job->is_gone))
        return;
    c->known = TRUE;
    if (c->at != AT_CREATED)
        return;
    c->settled_ms = clock_mono_ms() + CREATED_WAIT_MS;
    agent_engine_wake(engine, c->settled_ms);
}

static void on_act_done(gpointer user)
{
    g_autoptr(AgentActJob) job = user;
    AgentEngine *engine = job->owner;
    AgentTask *task = agent_engine_find(engine, job->task_arn);
    int index = task ? agent_task_find(task, job->container) : -1;

    if (index < 0)
        return;
    AgentContainer *c = agent_task_container(task, (guint)index);
    c->busy = FALSE;
    c->pulling = FALSE;
    c->retry_ms = 0;
    c->look = c->look || c->noticed_us > job->looked_us;
    c->looked_us = job->looked_us;
    c->noticed_us = 0;
    record_act(engine, task, c, job);
    first_look(engine, c, job);
    agent_engine_step(engine, task);
}

/* -- steps */

/* The dependencies of a container cannot be met any more. */
static void never_start(AgentTask *task, AgentContainer *c)
{
    c->has_exit = TRUE;
    c->exit_code = EXIT_NEVER_RAN;
    record_stop(task, c);
}

static gboolean must_wait(AgentEngine *engine, const AgentContainer *c, gint64 now_ms)
{
    gint64 due_ms = MAX(c->retry_ms, c->settled_ms);

    if (now_ms >= due_ms)
        return FALSE;
    agent_engine_wake(engine, due_ms);
    return TRUE;
}

/* Whether something changed at once, so that other containers may go on. */
static gboolean step_container(AgentEngine *engine, AgentTask *task, guint index, gint64 now_ms)
{
    AgentContainer *c = agent_task_container(task, index);
    AgentGate gate;
    gint64 wait_ms;

    if (c->busy && !(c->pulling && task->want != WANT_RUNNING && c->at == AT_NONE))
        return FALSE;
    AgentAct act = agent_rules_next(task, index, now_ms, &gate, &wait_ms);
    if (c->busy && act != ACT_GIVE_UP)
        return FALSE;
    gboolean look = !c->busy && (c->look || !c->known) && c->at < AT_STOPPED;
    if (!look && (act == ACT_NONE || (gate == GATE_WAIT && !wait_ms)))
        return FALSE;
    if (gate == GATE_NEVER) {
        never_start(task, c);
        return TRUE;
    }
    if (act == ACT_GIVE_UP && c->known) {
        if (c->pulling)
            agent_pulls_leave(engine->image_pulls, task->arn, c->name);
        record_stop(task, c);
        return TRUE;
    }
    if (must_wait(engine, c, now_ms))
        return FALSE;
    if (gate == GATE_WAIT && !look)
        agent_engine_wake(engine, wait_ms);
    else
        submit(engine, task, c, look ? ACT_LOOK : act);
    return c->at == AT_STOPPED && act == ACT_CREATE;
}

gboolean agent_step_containers(AgentEngine *engine, AgentTask *task)
{
    gint64 now_ms = clock_mono_ms();
    gboolean changed = FALSE;

    for (guint i = 0; i < task->containers->len; i++)
        changed = step_container(engine, task, i, now_ms) || changed;
    if (task->want == WANT_RUNNING && agent_rules_must_stop(task)) {
        task->want = WANT_STOPPED;
        agent_task_keep(task);
        changed = TRUE;
    }
    return changed;
}
