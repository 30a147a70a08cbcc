/*
 * agent/report.h - SubmitTaskStateChange: what is due to be said of a task; pure
 *
 * Reports are derived from what was seen and what was accepted; none is queued. A container is
 * said once per status, RUNNING or STOPPED.
 * Source: agent protocol, fields and times of state reports.
 */
#pragma once

#include "agent/task.h"

/* What one report says, to mark it as accepted later. */
typedef struct {
    AgentTaskStatus status;
    AgentAt at[AGENT_CONTAINERS_ALL];
    guint count;
} AgentSaid;

typedef enum {
    REPORT_NONE,
    REPORT_NOW,
    REPORT_BATCH /* some container changed: say it with others, soon */
} AgentReportDue;

AgentReportDue agent_report_due(const AgentTask *task);
/* The request's tree; ret_said is what it says. Caller owns. */
json_t *agent_report_body(const AgentTask *task, const char *cluster, AgentSaid *ret_said);
/* Has all of a task said once more: who asks for it has not heard of its end. */
void agent_report_again(AgentTask *task);
/* Records that what was said needs no more saying. now_us begins the wait for clean-up. */
void agent_report_accepted(AgentTask *task, const AgentSaid *said, gint64 now_us);
