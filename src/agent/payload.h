/*
 * agent/payload.h - tasks of a PayloadMessage -> records; checks every member used later; pure
 *
 * A member of the wrong type or out of its limits refuses the task, so that what builds
 * containers may rely on the tree. Members that are not known are ignored; null is absent.
 * Error: INVALID_PARAMETER, in words for the task's report.
 * Source: agent protocol, PayloadMessage (tasks, containers, volumes).
 */
#pragma once

#include "agent/task.h"

/* The arn of a task's tree, when it is one, and its last part; FALSE when not. Borrowed / owned. */
gboolean agent_payload_arn(const json_t *tree, const char **ret_arn, char **ret_id);

/* Fails when the tree cannot be a task. A task that can never start (dependencies that are
 * missing or circular, limits that contradict) has want WANT_STOPPED and a reason. */
AgentTask *agent_payload_task(const json_t *tree, GError **error);

/* Members of role credentials, which are never kept on disk. */
void agent_payload_strip(json_t *task);
