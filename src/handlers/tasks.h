/*
 * handlers/tasks.h - tasks as trees, for the actions that answer them
 *
 * Results are new references. Errors are those of the store.
 */
#pragma once

#include "handlers/ecs_common.h"
#include "store/tasks.h"

/* One task; takes tags. */
json_t *task_json(const Request *rq, const char *cluster_name, const Task *task, json_t *tags);
/* Many (a GPtrArray of Task), with their tags or with none. */
json_t *tasks_answer(Request *rq, const Cluster *cluster, GPtrArray *tasks, gboolean with_tags,
                     GError **error);
