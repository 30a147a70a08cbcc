#include "agent/report.h"
#include "base/clock.h"

#include <string.h>

static const char *const task_status[] = {
    [TASK_PENDING] = "PENDING", [TASK_RUNNING] = "RUNNING", [TASK_STOPPED] = "STOPPED"
};

/* What of a container's state is reported: RUNNING, STOPPED, or nothing (AT_NONE). */
static AgentAt reportable(const AgentContainer *c)
{
    return c->at >= AT_STOPPED ? AT_STOPPED : c->at == AT_RUNNING ? AT_RUNNING : AT_NONE;
}

AgentReportDue agent_report_due(const AgentTask *task)
{
    if (task->status > task->reported)
        return REPORT_NOW;
    for (guint i = 0; i < task->containers->len && task->status != TASK_STOPPED; i++) {
        const AgentContainer *c = agent_task_container(task, i);
        if (!c->internal && reportable(c) > c->reported)
            return REPORT_BATCH;
    }
    return REPORT_NONE;
}

/* Seconds since 1970 with three decimals. */
static json_t *seconds(gint64 us)
{
    return json_real((double)(us / 1000) / 1000.0);
}

static void add_time(json_t *tree, const char *key, gint64 us)
{
    if (us)
        json_object_set_new(tree, key, seconds(us));
}

static json_t *container_body(const AgentContainer *c, AgentAt at)
{
    json_t *body = json_pack("{s:s, s:s, s:o}", "containerName", c->name, "status",
                             at == AT_STOPPED ? "STOPPED" : "RUNNING", "networkBindings",
                             json_deep_copy(c->bindings));

    if (c->docker_id)
        json_object_set_new(body, "runtimeId", json_string(c->docker_id));
    if (at == AT_STOPPED && c->has_exit)
        json_object_set_new(body, "exitCode", json_integer(c->exit_code));
    if (c->reason)
        json_object_set_new(body, "reason", json_string(c->reason));
    if (c->digest)
        json_object_set_new(body, "imageDigest", json_string(c->digest));
    return body;
}

json_t *agent_report_body(const AgentTask *task, const char *cluster, AgentSaid *ret_said)
{
    json_t *containers = json_array();

    *ret_said = (AgentSaid){ .status = task->status, .count = task->containers->len };
    for (guint i = 0; i < task->containers->len; i++) {
        const AgentContainer *c = agent_task_container(task, i);
        ret_said->at[i] = reportable(c);
        if (!c->internal && reportable(c) > c->reported)
            json_array_append_new(containers, container_body(c, reportable(c)));
    }
    json_t *body =
        json_pack("{s:s, s:s, s:s, s:s, s:o}", "cluster", cluster, "task", task->arn, "status",
                  task_status[task->status], "reason", task->reason, "containers", containers);
    add_time(body, "pullStartedAt", task->pull_started_us);
    add_time(body, "pullStoppedAt", task->pull_stopped_us);
    add_time(body, "executionStoppedAt", task->execution_stopped_us);
    return body;
}

void agent_report_again(AgentTask *task)
{
    task->reported = TASK_PENDING;
    for (guint i = 0; i < task->containers->len; i++)
        agent_task_container(task, i)->reported = AT_NONE;
    agent_task_keep(task);
}

void agent_report_accepted(AgentTask *task, const AgentSaid *said, gint64 now_us)
{
    task->reported = MAX(task->reported, said->status);
    for (guint i = 0; i < said->count && i < task->containers->len; i++) {
        AgentContainer *c = agent_task_container(task, i);
        c->reported = MAX(c->reported, said->at[i]);
    }
    if (task->reported == TASK_STOPPED && !task->stopped_us)
        task->stopped_us = now_us;
}
