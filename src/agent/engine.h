/*
 * agent/engine.h - all tasks of this machine: takes them on, steps them, reports them
 *
 * A step of a task looks up what its containers need (rules.h) and hands at most one act for each
 * to a worker; what the act found is recorded, and the task is stepped again. Docker's events and
 * a slow periodic look only ask for another look. The loop's thread owns everything here.
 */
#pragma once

#include "agent/api.h"
#include "agent/config.h"
#include "agent/credentials.h"
#include "agent/pool.h"
#include "agent/state.h"
#include "drivers/docker.h"

typedef struct AgentImages AgentImages;
typedef struct AgentPulls AgentPulls;

typedef struct {
    Loop *loop;
    const AgentConfig *config;
    AgentState *state;
    Docker *docker;
    AgentApi *api;
    Pool *pulls; /* slow: apart, so that they never keep a stop waiting */
    Pool *stops; /* slow as well, when what is stopped takes its time */
    Pool *acts;
    AgentCredentialsTable *credentials;
    AgentPulls *image_pulls;
    AgentImages *images;
    GPtrArray *tasks;         /* AgentTask, in the order they came */
    LoopTimer timer;          /* when some task wants a step though nothing happens */
    LoopTimer checker;        /* config->check_ms */
    LoopTimer keeper;         /* writes what is kept soon */
    guint next_port;          /* where the search for free ports begins */
    gboolean docker_up;       /* its events come */
    gint64 docker_changed_us; /* when that changed */
    gboolean reporting;       /* the agent is registered */
} AgentEngine;

/* Takes up the saved tasks. Errors: CONFIG. All arguments must outlive it. */
AgentEngine *agent_engine_new(Loop *loop, const AgentConfig *config, AgentState *state,
                              Docker *docker, AgentApi *api, GError **error);

/* Registered: what is unsent may go. */
void agent_engine_report(AgentEngine *engine);
AgentTask *agent_engine_find(const AgentEngine *engine, const char *arn);

/* Takes on the tasks of a payload and has them on disk when it returns. FALSE when one of them
 * could not be read or saved: then the payload is not acknowledged. */
gboolean agent_engine_accept(AgentEngine *engine, const json_t *tasks);
/* The control plane has this task as one that is to run here. When that is over, its end is told
 * once more. When the agent has acknowledged it and knows nothing of it, not even a record that
 * cannot be read, it was forgotten after its end: its end is all there is to tell. */
void agent_engine_expected(AgentEngine *engine, const char *arn, gboolean acknowledged);
/* Stops a task that is known; FALSE when it is not. */
gboolean agent_engine_stop(AgentEngine *engine, const char *arn);
/* Has every task end, for this reason. FALSE when that could not be saved. */
gboolean agent_engine_end_all(AgentEngine *engine, const char *reason);

/* Keeps what a payload's task or a message brings for a task that is not over. FALSE when the task
 * or the credentials' id is not there. */
gboolean agent_engine_keep_credentials(AgentEngine *engine, const char *arn,
                                       AgentCredentialsKind kind, const json_t *tree);

/* Something happened to the container of this name. exit_code is NULL unless it died. at_us, unless
 * 0, is when: a look that began later makes another one needless. */
void agent_engine_notice(AgentEngine *engine, const char *docker_name, gint64 at_us,
                         const int *exit_code);
/* Docker is to be asked about every container that is not known to have stopped. */
void agent_engine_look_all(AgentEngine *engine);
/* The same, and what failed is tried again now: Docker is there again. */
void agent_engine_retry_all(AgentEngine *engine);

/* -- between engine.c and step.c */
void agent_engine_step(AgentEngine *engine, AgentTask *task);
/* One round over the containers of a task; whether some state changed. */
gboolean agent_step_containers(AgentEngine *engine, AgentTask *task);
/* Has the engine step its tasks at due_ms. */
void agent_engine_wake(AgentEngine *engine, gint64 due_ms);
