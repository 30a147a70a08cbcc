/*
 * agent/rules.h - what to do next with a task: wanted x at -> act; pure
 *
 * A step looks the act up, asks the gate whether its dependencies allow it now, and does that one
 * act. Every act may be repeated. now_ms is clock_mono_ms().
 * Source: reference for task and container states: "Task lifecycle", "Container dependency" of the
 * ECS Developer Guide.
 */
#pragma once

#include "agent/task.h"

typedef enum {
    ACT_NONE,
    ACT_PULL,
    ACT_CREATE,
    ACT_START,
    ACT_STOP,
    ACT_RESTART, /* not in the table: what has exited, by its policy */
    ACT_GIVE_UP, /* it never ran and will not: call it stopped */
    ACT_REMOVE,
    ACT_LOOK /* not in the table: only see what Docker has */
} AgentAct;

extern const AgentAct agent_container_rules[WANT__COUNT][AT__COUNT];

typedef enum {
    GATE_OPEN,
    GATE_WAIT,
    GATE_NEVER /* what it waits for cannot come any more */
} AgentGate;

/* The act for a container, by the table, and whether its dependencies let it happen now.
 * ret_wait_ms: when to look again although nothing happened (a start timeout); 0: never. */
AgentAct agent_rules_next(const AgentTask *task, guint index, gint64 now_ms, AgentGate *ret_gate,
                          gint64 *ret_wait_ms);

/* What the task's state is, from its containers; it never goes back. */
AgentTaskStatus agent_rules_status(const AgentTask *task);
/* Whether an essential container has stopped, so that the task must. */
gboolean agent_rules_must_stop(const AgentTask *task);
/* Whether the containers wait for each other in a circle. */
gboolean agent_rules_circular(const AgentTask *task);

/* "pull", "create", ...; static. */
const char *agent_act_name(AgentAct act);
