#include "agent/rules.h"

const AgentAct agent_container_rules[WANT__COUNT][AT__COUNT] = {
    [WANT_RUNNING][AT_NONE] = ACT_PULL,       [WANT_RUNNING][AT_PULLED] = ACT_CREATE,
    [WANT_RUNNING][AT_CREATED] = ACT_START,   [WANT_RUNNING][AT_RUNNING] = ACT_NONE,
    [WANT_RUNNING][AT_STOPPED] = ACT_NONE,    [WANT_RUNNING][AT_REMOVED] = ACT_NONE,
    [WANT_STOPPED][AT_NONE] = ACT_GIVE_UP,    [WANT_STOPPED][AT_PULLED] = ACT_GIVE_UP,
    [WANT_STOPPED][AT_CREATED] = ACT_GIVE_UP, [WANT_STOPPED][AT_RUNNING] = ACT_STOP,
    [WANT_STOPPED][AT_STOPPED] = ACT_NONE,    [WANT_STOPPED][AT_REMOVED] = ACT_NONE,
    [WANT_REMOVED][AT_NONE] = ACT_GIVE_UP,    [WANT_REMOVED][AT_PULLED] = ACT_GIVE_UP,
    [WANT_REMOVED][AT_CREATED] = ACT_GIVE_UP, [WANT_REMOVED][AT_RUNNING] = ACT_STOP,
    [WANT_REMOVED][AT_STOPPED] = ACT_REMOVE,  [WANT_REMOVED][AT_REMOVED] = ACT_NONE,
};

/* Whether one dependency is met. */
static AgentGate depend_gate(const AgentContainer *on, AgentCondition condition)
{
    gboolean over = on->at >= AT_STOPPED;
    gboolean never_ran = over && !on->was_started && !on->internal; /* then the task ends */

    switch (condition) {
    case DEPEND_CREATE:
        return on->at < AT_CREATED ? GATE_WAIT : on->docker_id ? GATE_OPEN : GATE_NEVER;
    case DEPEND_START:
        return never_ran ? GATE_NEVER : on->at >= AT_RUNNING ? GATE_OPEN : GATE_WAIT;
    case DEPEND_COMPLETE:
        return never_ran ? GATE_NEVER : over ? GATE_OPEN : GATE_WAIT;
    case DEPEND_SUCCESS:
        if (!over)
            return GATE_WAIT;
        return on->was_started && on->has_exit && on->exit_code == 0 ? GATE_OPEN : GATE_NEVER;
    case DEPEND_HEALTHY:
        if (over)
            return GATE_NEVER;
        return on->at == AT_RUNNING && on->health == HEALTH_HEALTHY ? GATE_OPEN : GATE_WAIT;
    }
    return GATE_NEVER;
}

/* When the wait for a container ends; 0: never. The clock runs from its start. */
static gint64 depend_limit_ms(const AgentContainer *on, AgentCondition condition)
{
    if (condition < DEPEND_COMPLETE || on->start_timeout_s == 0 || on->up_ms == 0)
        return 0;
    return on->up_ms + (gint64)on->start_timeout_s * 1000;
}

/* Pulls wait for other containers, as the protocol has it, but not for the agent's own. */
static AgentGate start_gate(const AgentTask *task, const AgentContainer *c, AgentAct act,
                            gint64 now_ms, gint64 *ret_wait_ms)
{
    AgentGate gate = GATE_OPEN;

    for (guint i = 0; i < c->depends->len; i++) {
        const AgentDepend *d = &g_array_index(c->depends, AgentDepend, i);
        const AgentContainer *on = agent_task_container(task, d->target);
        if (on->internal && act == ACT_PULL)
            continue;
        AgentGate one = depend_gate(on, d->condition);
        gint64 limit_ms = depend_limit_ms(on, d->condition);
        if (one == GATE_NEVER || (one == GATE_WAIT && limit_ms && now_ms >= limit_ms))
            return GATE_NEVER;
        if (one == GATE_OPEN)
            continue;
        gate = GATE_WAIT;
        if (limit_ms && (*ret_wait_ms == 0 || limit_ms < *ret_wait_ms))
            *ret_wait_ms = limit_ms;
    }
    return gate;
}

/* A container is stopped after all that need it running. */
static AgentGate stop_gate(const AgentTask *task, guint index)
{
    for (guint i = 0; i < task->containers->len; i++) {
        const AgentContainer *other = agent_task_container(task, i);
        for (guint n = 0; n < other->depends->len && other->at < AT_STOPPED; n++) {
            const AgentDepend *d = &g_array_index(other->depends, AgentDepend, n);
            if (d->target == index && d->condition != DEPEND_CREATE)
                return GATE_WAIT;
        }
    }
    return GATE_OPEN;
}

AgentAct agent_rules_next(const AgentTask *task, guint index, gint64 now_ms, AgentGate *ret_gate,
                          gint64 *ret_wait_ms)
{
    const AgentContainer *c = agent_task_container(task, index);
    AgentAct act = agent_container_rules[task->want][c->at];

    *ret_gate = GATE_OPEN;
    *ret_wait_ms = 0;
    if (c->again && task->want == WANT_RUNNING && c->at == AT_RUNNING)
        return ACT_RESTART;
    if (act == ACT_PULL || act == ACT_CREATE || act == ACT_START)
        *ret_gate = start_gate(task, c, act, now_ms, ret_wait_ms);
    else if (act == ACT_STOP)
        *ret_gate = stop_gate(task, index);
    return act;
}

gboolean agent_rules_must_stop(const AgentTask *task)
{
    for (guint i = 0; i < task->containers->len; i++) {
        const AgentContainer *c = agent_task_container(task, i);
        if (c->essential && c->at >= AT_STOPPED)
            return TRUE;
    }
    return FALSE;
}

AgentTaskStatus agent_rules_status(const AgentTask *task)
{
    gboolean all_stopped = TRUE;
    gboolean all_running = TRUE;

    for (guint i = 0; i < task->containers->len; i++) {
        AgentAt at = agent_task_container(task, i)->at;
        all_stopped = all_stopped && at >= AT_STOPPED;
        all_running = all_running && at >= AT_RUNNING;
    }
    if (all_stopped)
        return TASK_STOPPED;
    if (all_running && !agent_rules_must_stop(task))
        return MAX(task->status, TASK_RUNNING);
    return task->status;
}

gboolean agent_rules_circular(const AgentTask *task)
{
    guint count = task->containers->len;
    g_autofree gboolean *free_of = g_new0(gboolean, count + 1);

    /* Takes away, round by round, containers that wait for none that is left. */
    for (guint round = 0; round < count; round++)
        for (guint i = 0; i < count; i++) {
            const GArray *depends = agent_task_container(task, i)->depends;
            gboolean waits = FALSE;
            for (guint n = 0; n < depends->len; n++)
                waits = waits || !free_of[g_array_index(depends, AgentDepend, n).target];
            free_of[i] = !waits;
        }
    for (guint i = 0; i < count; i++)
        if (!free_of[i])
            return TRUE;
    return FALSE;
}

const char *agent_act_name(AgentAct act)
{
    static const char *const names[] = {
        [ACT_NONE] = "none",     [ACT_PULL] = "pull", [ACT_CREATE] = "create",
        [ACT_START] = "start",   [ACT_STOP] = "stop", [ACT_GIVE_UP] = "give up",
        [ACT_REMOVE] = "remove", [ACT_LOOK] = "look", [ACT_RESTART] = "restart",
    };

    return names[act];
}
