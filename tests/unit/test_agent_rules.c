/* agent/rules: from any state the wanted one is reached; dependencies open and close the gate */
#include "agent/kernel_log.h"
#include "agent/report.h"
#include "agent/rules.h"

#include <string.h>

static AgentTask *task_of(guint count)
{
    AgentTask *task = agent_task_new("arn:aws:ecs:r:1:task/c/t", "t");

    for (guint i = 0; i < count; i++) {
        g_autofree char *name = g_strdup_printf("c%u", i);
        agent_task_add(task, name)->essential = TRUE;
    }
    return task;
}

static void depend(AgentTask *task, guint from, guint target, AgentCondition condition)
{
    AgentDepend d = { target, condition };

    g_array_append_val(agent_task_container(task, from)->depends, d);
}

static void test_every_want_is_reached(void)
{
    static const AgentAt after[] = {
        [ACT_PULL] = AT_PULLED,  [ACT_CREATE] = AT_CREATED,  [ACT_START] = AT_RUNNING,
        [ACT_STOP] = AT_STOPPED, [ACT_GIVE_UP] = AT_STOPPED, [ACT_REMOVE] = AT_REMOVED,
    };

    for (guint want = 0; want < WANT__COUNT; want++)
        for (guint start = 0; start < AT__COUNT; start++) {
            guint at = start, acts = 0;
            while (agent_container_rules[want][at] != ACT_NONE) {
                guint next = after[agent_container_rules[want][at]];
                g_assert_cmpuint(next, >, at); /* never back, so never for ever */
                at = next;
                g_assert_cmpuint(++acts, <=, 3);
            }
            if (want == WANT_RUNNING)
                g_assert_cmpuint(at, ==, MAX(start, AT_RUNNING));
            else
                g_assert_cmpuint(at, ==, MAX(start, want == WANT_STOPPED ? AT_STOPPED : AT_REMOVED));
        }
}

typedef struct {
    const char *name;
    AgentCondition condition;
    AgentAt at;
    gboolean was_started;
    int exit_code;
    AgentHealth health;
    AgentGate gate;
} GateCase;

static const GateCase gate_cases[] = {
    { "start waits for the create", DEPEND_START, AT_CREATED, FALSE, 0, 0, GATE_WAIT },
    { "start opens with running", DEPEND_START, AT_RUNNING, TRUE, 0, 0, GATE_OPEN },
    { "start is met by one that ran", DEPEND_START, AT_STOPPED, TRUE, 1, 0, GATE_OPEN },
    { "start is never met by one that never ran", DEPEND_START, AT_STOPPED, FALSE, 0, 0, GATE_NEVER },
    { "complete waits while it runs", DEPEND_COMPLETE, AT_RUNNING, TRUE, 0, 0, GATE_WAIT },
    { "complete takes any exit", DEPEND_COMPLETE, AT_STOPPED, TRUE, 9, 0, GATE_OPEN },
    { "complete needs it to have run", DEPEND_COMPLETE, AT_STOPPED, FALSE, 0, 0, GATE_NEVER },
    { "success takes exit 0", DEPEND_SUCCESS, AT_STOPPED, TRUE, 0, 0, GATE_OPEN },
    { "success takes no other", DEPEND_SUCCESS, AT_STOPPED, TRUE, 1, 0, GATE_NEVER },
    { "success waits", DEPEND_SUCCESS, AT_RUNNING, TRUE, 0, 0, GATE_WAIT },
    { "healthy waits for health", DEPEND_HEALTHY, AT_RUNNING, TRUE, 0, HEALTH_UNKNOWN, GATE_WAIT },
    { "healthy waits out illness", DEPEND_HEALTHY, AT_RUNNING, TRUE, 0, HEALTH_UNHEALTHY, GATE_WAIT },
    { "healthy opens", DEPEND_HEALTHY, AT_RUNNING, TRUE, 0, HEALTH_HEALTHY, GATE_OPEN },
    { "healthy ends with the container", DEPEND_HEALTHY, AT_STOPPED, TRUE, 0, HEALTH_HEALTHY, GATE_NEVER },
    { "create waits", DEPEND_CREATE, AT_PULLED, FALSE, 0, 0, GATE_WAIT },
    { "create opens", DEPEND_CREATE, AT_CREATED, FALSE, 0, 0, GATE_OPEN },
};

static void test_gate(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(gate_cases); i++) {
        const GateCase *k = &gate_cases[i];
        g_autoptr(AgentTask) task = task_of(2);
        AgentContainer *on = agent_task_container(task, 1);
        AgentGate gate;
        gint64 wait_ms;
        g_test_message("%s", k->name);
        depend(task, 0, 1, k->condition);
        on->at = k->at;
        on->was_started = k->was_started;
        on->has_exit = k->at == AT_STOPPED && k->was_started;
        on->exit_code = k->exit_code;
        on->health = k->health;
        on->docker_id = k->at >= AT_CREATED ? g_strdup("id") : NULL;
        for (AgentAt at = AT_NONE; at <= AT_CREATED; at++) {
            agent_task_container(task, 0)->at = at;
            agent_rules_next(task, 0, 1000, &gate, &wait_ms);
            g_assert_cmpint(gate, ==, k->gate);
            g_assert_cmpint(wait_ms, ==, 0);
        }
    }
}

static void test_start_timeout_ends_the_wait(void)
{
    g_autoptr(AgentTask) task = task_of(2);
    AgentContainer *on = agent_task_container(task, 1);
    AgentGate gate;
    gint64 wait_ms;

    depend(task, 0, 1, DEPEND_HEALTHY);
    on->at = AT_RUNNING;
    on->was_started = TRUE;
    on->up_ms = 5000;
    on->start_timeout_s = 3;
    agent_rules_next(task, 0, 7999, &gate, &wait_ms);
    g_assert_cmpint(gate, ==, GATE_WAIT);
    g_assert_cmpint(wait_ms, ==, 8000);
    agent_rules_next(task, 0, 8000, &gate, &wait_ms);
    g_assert_cmpint(gate, ==, GATE_NEVER);
}

static void test_dependants_stop_first(void)
{
    g_autoptr(AgentTask) task = task_of(2);
    AgentGate gate;
    gint64 wait_ms;

    depend(task, 0, 1, DEPEND_START);
    task->want = WANT_STOPPED;
    agent_task_container(task, 0)->at = agent_task_container(task, 1)->at = AT_RUNNING;
    g_assert_cmpint(agent_rules_next(task, 1, 0, &gate, &wait_ms), ==, ACT_STOP);
    g_assert_cmpint(gate, ==, GATE_WAIT);
    agent_rules_next(task, 0, 0, &gate, &wait_ms);
    g_assert_cmpint(gate, ==, GATE_OPEN);
    agent_task_container(task, 0)->at = AT_STOPPED;
    agent_rules_next(task, 1, 0, &gate, &wait_ms);
    g_assert_cmpint(gate, ==, GATE_OPEN);
}

static void test_task_status(void)
{
    g_autoptr(AgentTask) task = task_of(2);
    AgentContainer *a = agent_task_container(task, 0), *b = agent_task_container(task, 1);

    b->essential = FALSE;
    a->at = AT_RUNNING;
    g_assert_cmpint(agent_rules_status(task), ==, TASK_PENDING);
    b->at = AT_STOPPED; /* a short one does not hold the task back */
    g_assert_cmpint(agent_rules_status(task), ==, TASK_RUNNING);
    b->at = AT_RUNNING;
    a->at = AT_STOPPED; /* but after an essential one stopped it does not become RUNNING */
    g_assert_true(agent_rules_must_stop(task));
    g_assert_cmpint(agent_rules_status(task), ==, TASK_PENDING);
    b->at = AT_STOPPED;
    g_assert_cmpint(agent_rules_status(task), ==, TASK_STOPPED);
    a->at = b->at = AT_REMOVED;
    g_assert_cmpint(agent_rules_status(task), ==, TASK_STOPPED);
}

static void test_circles_are_found(void)
{
    g_autoptr(AgentTask) task = task_of(4);

    depend(task, 0, 1, DEPEND_START);
    depend(task, 1, 2, DEPEND_START);
    depend(task, 3, 0, DEPEND_HEALTHY);
    g_assert_false(agent_rules_circular(task));
    depend(task, 2, 0, DEPEND_CREATE);
    g_assert_true(agent_rules_circular(task));
    g_autoptr(AgentTask) self = task_of(1);
    depend(self, 0, 0, DEPEND_START);
    g_assert_true(agent_rules_circular(self));
}

static void test_each_status_is_said_once(void)
{
    g_autoptr(AgentTask) task = task_of(2);
    AgentContainer *a = agent_task_container(task, 0);
    AgentSaid said;

    g_assert_cmpint(agent_report_due(task), ==, REPORT_NONE);
    a->at = AT_RUNNING;
    g_assert_cmpint(agent_report_due(task), ==, REPORT_BATCH);
    json_auto_t *first = agent_report_body(task, "c", &said);
    g_assert_cmpuint(json_array_size(json_object_get(first, "containers")), ==, 1);
    g_assert_cmpstr(json_string_value(json_object_get(first, "status")), ==, "PENDING");
    a->at = AT_STOPPED; /* while that report is on its way */
    agent_report_accepted(task, &said, 7);
    g_assert_cmpint(agent_report_due(task), ==, REPORT_BATCH);
    g_assert_cmpint(task->stopped_us, ==, 0);
    agent_task_container(task, 1)->at = AT_STOPPED;
    task->status = TASK_STOPPED;
    g_assert_cmpint(agent_report_due(task), ==, REPORT_NOW);
    json_auto_t *last = agent_report_body(task, "c", &said);
    g_assert_cmpuint(json_array_size(json_object_get(last, "containers")), ==, 2);
    agent_report_accepted(task, &said, 8);
    g_assert_cmpint(agent_report_due(task), ==, REPORT_NONE);
    g_assert_cmpint(task->stopped_us, ==, 8);
}

static void test_report_fields(void)
{
    g_autoptr(AgentTask) task = task_of(1);
    AgentContainer *c = agent_task_container(task, 0);
    AgentSaid said;

    c->at = AT_STOPPED;
    c->has_exit = TRUE;
    c->exit_code = 137;
    c->docker_id = g_strdup("abc");
    agent_container_blame(c, "OutOfMemoryError", "x");
    agent_container_blame(c, "Second", "y");
    task->status = TASK_STOPPED;
    task->pull_started_us = 1500000;
    json_auto_t *body = agent_report_body(task, "c", &said);
    json_auto_t *want = json_pack(
        "{s:s, s:s, s:s, s:s, s:f, s:[{s:s, s:s, s:[], s:s, s:i, s:s}]}", "cluster", "c", "task",
        "arn:aws:ecs:r:1:task/c/t", "status", "STOPPED", "reason", "", "pullStartedAt", 1.5,
        "containers", "containerName", "c0", "status", "STOPPED", "networkBindings", "runtimeId",
        "abc", "exitCode", 137, "reason", "OutOfMemoryError: x");
    g_assert_true(json_equal(body, want));
}

static void test_reasons_are_cut_at_characters(void)
{
    g_autoptr(AgentTask) task = task_of(1);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < 300; i++)
        g_string_append(text, "ü");
    agent_container_blame(agent_task_container(task, 0), "E", text->str);
    const char *reason = agent_task_container(task, 0)->reason;
    g_assert_cmpuint(strlen(reason), <=, AGENT_CONTAINER_REASON_MAX);
    g_assert_cmpuint(strlen(reason), >=, AGENT_CONTAINER_REASON_MAX - 1);
    g_assert_true(g_utf8_validate(reason, -1, NULL));
}

#define OOM "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"

static void test_kernel_log(void)
{
    static const struct {
        const char *text;
        gboolean tells;
    } cases[] = {
        { "", FALSE },
        { "<6>[ 12.5] " OOM "oom_memcg=/ecs/c0ffee,task_memcg=/ecs/c0ffee,task=dd,pid=1,uid=0", TRUE },
        { OOM "oom_memcg=/ecs/t,task_memcg=/ecs/t/c0ffee/child,task=dd,pid=1,uid=0\nmore\n", TRUE },
        { "oom-kill:constraint=CONSTRAINT_NONE,global_oom,"
          "task_memcg=/system.slice/docker-c0ffee.scope,task=dd,pid=1,uid=0\n",
          TRUE },
        /* the limit was its own, another's process died */
        { OOM "oom_memcg=/ecs/c0ffee,task_memcg=/ecs/decaf,task=dd,pid=1,uid=0\n", FALSE },
        { OOM "oom_memcg=/,task_memcg=/ecs/decaf,task=c0ffee,pid=1,uid=0\n", FALSE },
        { OOM "oom_memcg=/,task_memcg=/ecs/c0ffee", FALSE }, /* cut */
        { "eth0: task_memcg=/ecs/c0ffee,\n", FALSE },
        { "oom-kill:\n,task_memcg=/ecs/c0ffee,\n", FALSE },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].text);
        g_assert_cmpint(agent_kernel_log_tells(cases[i].text, "c0ffee"), ==, cases[i].tells);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/agent/rules/every-want-is-reached", test_every_want_is_reached);
    g_test_add_func("/agent/rules/gate", test_gate);
    g_test_add_func("/agent/rules/start-timeout-ends-the-wait", test_start_timeout_ends_the_wait);
    g_test_add_func("/agent/rules/dependants-stop-first", test_dependants_stop_first);
    g_test_add_func("/agent/rules/task-status", test_task_status);
    g_test_add_func("/agent/rules/circles-are-found", test_circles_are_found);
    g_test_add_func("/agent/report/each-status-is-said-once", test_each_status_is_said_once);
    g_test_add_func("/agent/report/fields", test_report_fields);
    g_test_add_func("/agent/report/reasons-are-cut-at-characters", test_reasons_are_cut_at_characters);
    g_test_add_func("/agent/kernel-log", test_kernel_log);
    return g_test_run();
}
