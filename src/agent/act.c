#include "agent/act.h"
#include "agent/env_files.h"
#include "agent/pause.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/fault.h"

#include <string.h>

void agent_act_free(AgentActJob *job)
{
    if (!job)
        return;
    g_free(job->task_arn);
    g_free(job->container);
    g_free(job->task_id);
    g_free(job->docker_name);
    g_free(job->docker_id);
    g_free(job->image);
    json_decref(job->spec);
    json_decref(job->volumes);
    json_decref(job->env_files);
    agent_s3_free(job->s3);
    g_clear_error(&job->error);
    g_clear_error(&job->pull_error);
    docker_container_free(job->seen);
    g_free(job->digest);
    g_free(job);
}

/* Sees the container by its id or, before that is known, by its name. */
static void look(AgentActJob *job)
{
    g_autoptr(GError) cause = NULL;

    g_clear_pointer(&job->seen, docker_container_free);
    job->looked_us = clock_now_us();
    job->seen =
        docker_inspect(job->docker, job->docker_id ? job->docker_id : job->docker_name, &cause);
    job->is_gone = error_is(cause, ERROR_NOT_FOUND);
    if (!job->seen && !job->is_gone && !job->error)
        job->error = g_steal_pointer(&cause);
}

/* The pause image, which the agent brings; others are pulled by image_pull.h. */
static void run_pull(AgentActJob *job)
{
    if (job->internal)
        job->gave_up = !agent_pause_make_image(job->docker, &job->error) && job->last_try;
}

static gboolean make_volumes(AgentActJob *job)
{
    json_t *spec;
    gsize n;

    json_array_foreach(job->volumes, n, spec)
    {
        gboolean must_exist = json_is_true(json_object_get(spec, "Exists"));
        const char *name = json_string_value(json_object_get(spec, "Name"));
        json_object_del(spec, "Exists");
        gboolean good = must_exist ? docker_volume_exists(job->docker, name, &job->error)
                                   : docker_volume_create(job->docker, spec, &job->error);
        if (!good)
            return fail_prefix(&job->error, "volume \"%s\"", name);
        FAULT_POINT("agent.volume_made");
    }
    return TRUE;
}

static gboolean make_group(AgentActJob *job)
{
    g_autofree char *parent = NULL;

    if (!agent_cgroup_make(job->docker, job->cgroup_dir, job->task_id, &job->limits, &parent,
                           &job->error))
        return FALSE;
    if (parent)
        json_object_set_new(json_object_get(job->spec, "HostConfig"), "CgroupParent",
                            json_string(parent));
    return TRUE;
}

static void run_create(AgentActJob *job)
{
    job->no_resource =
        job->s3 && !agent_env_files_fetch(job->s3, job->env_files,
                                          json_object_get(job->spec, "Env"), &job->error);
    if (job->no_resource || !make_volumes(job) || !make_group(job))
        return;
    job->docker_id = docker_create(job->docker, job->docker_name, job->spec, AGENT_LABEL_TASK,
                                   &job->is_new, &job->error);
    FAULT_POINT("agent.created");
    if (job->is_new)
        job->seen = docker_container_new(job->docker_id);
    else if (job->docker_id)
        look(job);
}

/* A container that ran already, before a crash of ours, is not run twice. */
static void run_start(AgentActJob *job)
{
    if (!job->is_new) {
        look(job);
        if (!job->seen || job->seen->was_started || job->seen->state != DOCKER_CREATED)
            return;
    }
    docker_start(job->docker, job->docker_id, &job->error);
    FAULT_POINT("agent.started");
    look(job);
}

/* The container's limits are set anew: after a reboot its task's group is gone. What was started
 * since the exit that is answered is left alone. */
static void run_restart(AgentActJob *job)
{
    g_autofree char *parent = NULL;

    look(job);
    if (!job->seen || job->seen->state != DOCKER_EXITED ||
        job->seen->started_us != job->started_us ||
        !agent_cgroup_make(job->docker, job->cgroup_dir, job->task_id, &job->limits, &parent,
                           &job->error))
        return;
    FAULT_POINT("agent.restarting");
    docker_start(job->docker, job->docker_id, &job->error);
    FAULT_POINT("agent.restarted");
    look(job);
}

static void run_stop(AgentActJob *job)
{
    docker_stop(job->docker, job->docker_id, job->stop_timeout_s, &job->error);
    FAULT_POINT("agent.stopped");
    if (error_is(job->error, ERROR_NOT_FOUND))
        g_clear_error(&job->error);
    look(job);
}

/* Somebody may have started a container again that had stopped. */
static void run_remove(AgentActJob *job)
{
    const char *id = job->docker_id ? job->docker_id : job->docker_name;
    g_autoptr(GError) refused = NULL;

    if (!docker_remove(job->docker, id, &refused) && error_is(refused, ERROR_DOCKER))
        docker_stop(job->docker, id, job->stop_timeout_s, NULL);
    if (refused)
        docker_remove(job->docker, id, &job->error);
    FAULT_POINT("agent.removed");
}

void agent_act_run(gpointer user)
{
    AgentActJob *job = user;

    switch (job->act) {
    case ACT_PULL:
        run_pull(job);
        break;
    case ACT_CREATE:
        run_create(job);
        break;
    case ACT_START:
        run_start(job);
        break;
    case ACT_RESTART:
        run_restart(job);
        break;
    case ACT_STOP:
        run_stop(job);
        break;
    case ACT_REMOVE:
        run_remove(job);
        break;
    case ACT_LOOK:
        look(job);
        break;
    case ACT_NONE:
    case ACT_GIVE_UP:
        break;
    }
}

void agent_volumes_free(AgentVolumesJob *job)
{
    if (!job)
        return;
    g_free(job->task_arn);
    g_free(job->task_id);
    g_ptr_array_unref(job->names);
    g_clear_error(&job->error);
    g_free(job);
}

void agent_volumes_run(gpointer user)
{
    AgentVolumesJob *job = user;

    for (guint i = 0; i < job->names->len && !job->error; i++)
        docker_volume_remove(job->docker, job->names->pdata[i], &job->error);
    agent_cgroup_remove(job->cgroup_dir, job->task_id);
    FAULT_POINT("agent.volumes_removed");
}
