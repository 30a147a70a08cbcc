/*
 * agent/act.h - one act on one container, done in a worker thread
 *
 * The record holds copies only. After agent_act_run the container was looked at, whatever the act
 * came to, so that the step records what is and not what was asked for. Only what Docker has just
 * made is not asked about: the start that follows ends with a look.
 */
#pragma once

#include "agent/cgroup.h"
#include "agent/config.h"
#include "agent/s3.h"
#include "agent/rules.h"
#include "drivers/docker.h"

typedef struct {
    gpointer owner; /* for the caller */
    char *task_arn;
    char *container; /* its name in the task */
    AgentAct act;
    /* in */
    Docker *docker; /* borrowed */
    char *docker_name;
    char *docker_id; /* NULL before it is created */
    char *image;
    gboolean internal; /* the image is ours to make */
    PullBehavior pull;
    guint pull_left_ms; /* for this try of a pull and those after */
    gboolean last_try;  /* of a pull: take the image that is here, if the behaviour allows */
    guint stop_timeout_s;
    gint64 started_us; /* of a restart: the start that has ended */
    json_t *spec;      /* ContainerCreate */
    json_t *volumes;   /* VolumeCreate bodies, made before */
    AgentS3 *s3;       /* where env_files are, or NULL */
    json_t *env_files;
    const char *cgroup_dir; /* borrowed */
    char *task_id;          /* its group's name */
    AgentCgroupLimits limits;
    /* out */
    GError *error;         /* of the act */
    gboolean is_new;       /* Docker made the container just now; in: and nobody has started it */
    gint64 looked_us;      /* when the look began; 0: none */
    GError *pull_error;    /* of a pull whose image was here all the same */
    DockerContainer *seen; /* NULL when there is none, or Docker could not say */
    gboolean is_gone;      /* Docker says there is no such container */
    gboolean no_resource; /* what failed was not Docker: something the container needs is missing */
    gboolean gave_up;     /* a pull failed for good and the image may not be used without */
    gboolean pulled;      /* a pull was tried */
    gint64 began_us, ended_us;
    char *digest;
} AgentActJob;

void agent_act_free(AgentActJob *job);
/* LoopCall for a pool. ACT_PULL is for it only when internal; others are image_pull.h's. */
void agent_act_run(gpointer job);

/* Removing the volumes and the control group of a task. */
typedef struct {
    gpointer owner;
    char *task_arn;
    Docker *docker; /* borrowed */
    GPtrArray *names;
    const char *cgroup_dir; /* borrowed */
    char *task_id;
    GError *error;
} AgentVolumesJob;

void agent_volumes_free(AgentVolumesJob *job);
void agent_volumes_run(gpointer job);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentActJob, agent_act_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentVolumesJob, agent_volumes_free)
