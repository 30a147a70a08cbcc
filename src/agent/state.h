/*
 * agent/state.h - what survives the agent: registration and tasks, in its data directory
 *
 * DIR/state.json, DIR/images.json, and DIR/tasks/ID.json for each task. A file is written beside
 * its place, synced and renamed over it, so that it is whole at any moment. Errors: CONFIG (the
 * directory cannot be used, a file cannot be read), naming the path.
 */
#pragma once

#include "agent/task.h"

typedef struct {
    char *dir;
    int lock_fd;       /* held while the agent lives: two of them would undo each other's work */
    char *cluster;     /* under which it registered */
    char *instance_id; /* of the machine that registered */
    char *arn;         /* of the container instance; NULL before the first registration */
    char *owner;       /* of containers: this machine's agent with its data in this place */
    gint64 timeline;   /* greatest of the task manifests and payloads seen */
} AgentState;

/* Makes the directory where it is not there, and claims it. State of another instance_id is set
 * aside. */
AgentState *agent_state_open(const char *dir, const char *instance_id, GError **error);
/* Whether an agent works on this directory now. */
gboolean agent_state_is_used(const char *dir);
void agent_state_free(AgentState *state);
gboolean agent_state_save(const AgentState *state, GError **error);

/* Any small tree of another file of the directory: kept, and read back (NULL when there is none, or
 * it cannot be understood). A new reference. */
gboolean agent_state_keep(const char *dir, const char *name, const json_t *tree, GError **error);
json_t *agent_state_kept(const char *dir, const char *name);

/* All saved tasks: AgentTask. A file that cannot be understood is renamed to *.bad and skipped;
 * ret_bad counts those. */
GPtrArray *agent_state_tasks(const AgentState *state, guint *ret_bad, GError **error);
gboolean agent_state_save_task(const AgentState *state, const AgentTask *task, GError **error);
gboolean agent_state_drop_task(const AgentState *state, const AgentTask *task, GError **error);

/* Whether the directory has a file about a task of this id, though none that agent_state_tasks
 * gave: one that could not be read, or that was set aside as another machine's. */
gboolean agent_state_has_file(const AgentState *state, const char *task_id);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentState, agent_state_free)
