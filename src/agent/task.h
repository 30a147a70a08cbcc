/*
 * agent/task.h - a task and its containers as the agent knows them
 *
 * What was sent for the task (its payload, without credentials) and what was seen of it are one
 * record, kept on disk as one JSON file. The loop's thread owns all tasks. Times are UTC
 * microseconds, 0 for never; timers (*_ms) are clock_mono_ms() and not kept.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#define AGENT_CONTAINERS_MAX       10 /* of a payload */
#define AGENT_CONTAINERS_ALL       (AGENT_CONTAINERS_MAX + 1)
#define AGENT_TASK_REASON_MAX      1024
#define AGENT_CONTAINER_REASON_MAX 255

#define AGENT_LABEL_TASK           "com.amazonaws.ecs.task-arn"
#define AGENT_LABEL_CONTAINER      "com.amazonaws.ecs.container-name"
#define AGENT_LABEL_CLUSTER        "com.amazonaws.ecs.cluster"
#define AGENT_LABEL_FAMILY         "com.amazonaws.ecs.task-definition-family"
#define AGENT_LABEL_VERSION        "com.amazonaws.ecs.task-definition-version"
#define AGENT_LABEL_OWNER          "org.berth.agent" /* AgentState.owner of who made it */

/* What a task and all its containers are to become. */
typedef enum { WANT_RUNNING, WANT_STOPPED, WANT_REMOVED, WANT__COUNT } AgentWant;

/* How far a container is; it only moves forward. */
typedef enum {
    AT_NONE,
    AT_PULLED,
    AT_CREATED,
    AT_RUNNING,
    AT_STOPPED,
    AT_REMOVED,
    AT__COUNT
} AgentAt;

/* How far a task is, as its reports say. */
typedef enum { TASK_PENDING, TASK_RUNNING, TASK_STOPPED } AgentTaskStatus;

typedef enum {
    DEPEND_CREATE,
    DEPEND_START,
    DEPEND_COMPLETE,
    DEPEND_SUCCESS,
    DEPEND_HEALTHY
} AgentCondition;

typedef enum { HEALTH_UNKNOWN, HEALTH_HEALTHY, HEALTH_UNHEALTHY } AgentHealth;

typedef struct {
    guint target; /* index of the container waited for */
    AgentCondition condition;
} AgentDepend;

typedef struct {
    /* from the payload */
    char *name;
    char *image;
    char *docker_name;
    char *endpoint_id; /* a random UUID: under which the container asks the agent about itself */
    json_t *spec;      /* its tree in the task's payload; borrowed */
    gboolean essential;
    gboolean internal; /* the agent's own (agent/pause.h): never reported, measured or counted */
    gboolean checks_health;
    guint start_timeout_s; /* 0: dependants wait for ever */
    guint stop_timeout_s;  /* 0: the agent's */
    gboolean restarts;     /* by its policy, when it exits; agent/restart.h */
    guint restart_period_s;
    GArray *depends; /* AgentDepend */
    /* seen */
    AgentAt at;
    char *docker_id;
    char *digest;
    char *about;  /* Docker's description (drivers/docker.h), NULL before it was created */
    char *reason; /* the first error there was, "Name: text" */
    gboolean was_started;
    gboolean has_exit;
    int exit_code;
    AgentHealth health;
    gint64 health_since_us;
    gint64 started_us;
    gint64 finished_us;
    json_t *bindings; /* as reports list them */
    gboolean again;   /* it has exited and is to be started once more; at stays AT_RUNNING */
    guint restart_count;
    /* reported and accepted */
    AgentAt reported; /* AT_NONE, AT_RUNNING or AT_STOPPED */
    /* for this run of the agent only */
    gboolean busy;    /* an act is in a worker's hands */
    gboolean pulling; /* and that act is a pull, which need not be waited for */
    gboolean known;   /* Docker was asked about it since the agent started */
    gboolean look;    /* something happened to it: ask Docker again */
    gboolean
        is_new; /* made by this run of the agent and not started since: need not be looked at */
    gint64 noticed_us; /* the same while busy; a look that began later has seen it */
    gint64 looked_us;  /* when the look of the last act began; 0: it had none */
    guint failures;    /* of the current act, in a row */
    gint64 retry_ms;
    gint64 pull_ms;    /* the first try to pull began */
    gint64 settled_ms; /* an act may not come before */
    gint64 up_ms;      /* seen running first, for start_timeout_s */
} AgentContainer;

typedef struct {
    char *arn;
    char *id; /* last part of arn: the name of its file */
    char *family;
    char *version;
    json_t *payload;       /* {} for a task that is only known to be stopped */
    json_t *pause_spec;    /* tree of the pause container, or NULL */
    GPtrArray *containers; /* AgentContainer */
    AgentWant want;
    AgentTaskStatus status;
    AgentTaskStatus reported;
    char *reason; /* "" for none */
    gint64 pull_started_us;
    gint64 pull_stopped_us;
    gint64 execution_stopped_us;
    gint64 stopped_us; /* STOPPED was accepted: clean-up counts from here */
    /* for this run of the agent only */
    gboolean is_orphan; /* agent/orphans.h: it has no file, and gets none */
    gint64 keep_ms;     /* what is new has to be on disk by then; 0: nothing is new */
    gboolean sending;   /* a report is on its way */
    gboolean cleaning;  /* its volumes are being removed */
    guint send_failures;
    gint64 send_retry_ms;
    gint64 batch_ms; /* changes of containers are reported then; 0: none wait */
} AgentTask;

AgentTask *agent_task_new(const char *arn, const char *id);
void agent_task_free(AgentTask *task);

/* Adds a container; the task owns it. */
AgentContainer *agent_task_add(AgentTask *task, const char *name);
AgentContainer *agent_task_container(const AgentTask *task, guint index);
/* Index of the container with this name, or -1. */
int agent_task_find(const AgentTask *task, const char *name);

/* Keep the first reason ever given, cut to what a report takes. */
void agent_task_blame(AgentTask *task, const char *text);
void agent_container_blame(AgentContainer *container, const char *name, const char *text);

/* Something is new that nobody else could tell after a crash: to be on disk before the loop waits.
 * Or: that Docker or the control plane would tell again, so that a burst of it is written once. */
void agent_task_keep(AgentTask *task);
void agent_task_keep_soon(AgentTask *task);

/* What was seen and reported, for the task's file; and back onto a task decoded from its payload.
 * Error: CONFIG (not such a file). */
json_t *agent_task_save(const AgentTask *task);
gboolean agent_task_restore(AgentTask *task, const json_t *tree, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentTask, agent_task_free)
