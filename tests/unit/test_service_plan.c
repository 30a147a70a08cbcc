/* The service scheduler: the table of percentages, and convergence from random beginnings. */
#include "model/service_plan.h"

#include <string.h>

#define TASKS_MAX 64
#define ROUNDS    200

/* A service and its tasks, played forward: every step of a task takes one round. */
typedef struct {
    PlanTask tasks[TASKS_MAX];
    guint count;
    guint most, fewest_healthy;
} World;

static void add(World *w, const char *deployment, gboolean healthy)
{
    static const char *const zones[] = { "a", "b" };
    guint n = w->count++;

    g_assert_cmpuint(n, <, TASKS_MAX);
    w->tasks[n] = (PlanTask){ .deployment_id = deployment, .zone = zones[n % 2],
                              .instance = n % 3 + 1, .running = healthy, .healthy = healthy,
                              .created_us = n };
}

static PlanFacts facts_of(const World *w, gint64 desired, gint64 min, gint64 max)
{
    return (PlanFacts){ .desired = desired, .minimum_percent = min, .maximum_percent = max,
                        .primary = "new", .now_us = 1, .tasks = w->tasks,
                        .task_count = w->count };
}

static guint healthy_of(const World *w, const char *deployment)
{
    guint sum = 0;

    for (guint n = 0; n < w->count; n++)
        sum += w->tasks[n].healthy && !w->tasks[n].stopping &&
               (!deployment || strcmp(w->tasks[n].deployment_id, deployment) == 0);
    return sum;
}

static void apply(World *w, const Plan *plan)
{
    World next = { .most = w->most, .fewest_healthy = w->fewest_healthy };

    for (guint s = 0; s < plan->stops->len; s++)
        w->tasks[g_array_index(plan->stops, guint, s)].stopping = TRUE;
    w->fewest_healthy = MIN(w->fewest_healthy, healthy_of(w, NULL));
    next.fewest_healthy = w->fewest_healthy;
    for (guint n = 0; n < w->count; n++) {
        if (w->tasks[n].stopping && !w->tasks[n].running)
            continue;
        next.tasks[next.count] = w->tasks[n];
        next.tasks[next.count].running = !w->tasks[n].stopping;
        next.tasks[next.count].healthy = !w->tasks[n].stopping;
        next.count++;
    }
    *w = next;
    for (guint s = 0; s < plan->start; s++)
        add(w, "new", FALSE);
    w->most = MAX(w->most, w->count);
}

/* Plays until steady or stuck; gives the last plan's word. */
static const char *play(World *w, gint64 desired, gint64 min, gint64 max)
{
    for (guint round = 0; round < ROUNDS; round++) {
        PlanFacts facts = facts_of(w, desired, min, max);
        g_autoptr(Plan) plan = service_plan(&facts);
        if (plan->steady || plan->stuck)
            return plan->steady ? "steady" : "stuck";
        apply(w, plan);
    }
    return "never ends";
}

static void test_the_table_of_percentages(void)
{
    static const struct {
        gint64 desired, min, max;
        const char *end;
    } cases[] = {
        { 4, 50, 200, "steady" }, { 4, 100, 200, "steady" }, { 4, 50, 100, "steady" },
        { 2, 75, 100, "stuck" },  { 3, 100, 125, "stuck" },  { 1, 0, 100, "steady" },
        { 1, 100, 200, "steady" }, { 0, 100, 200, "steady" }, { 10, 90, 110, "steady" },
    };

    for (guint n = 0; n < G_N_ELEMENTS(cases); n++) {
        World w = { .fewest_healthy = TASKS_MAX };
        for (gint64 i = 0; i < cases[n].desired; i++)
            add(&w, "old", TRUE);
        g_assert_cmpstr(play(&w, cases[n].desired, cases[n].min, cases[n].max), ==, cases[n].end);
    }
}

/* Every (desired, min, max) ends steady, or is stuck because lower = upper = desired; on the way the
 * number of tasks keeps to upper and the healthy ones to lower. */
static void test_every_rollout_ends_within_its_bounds(void)
{
    for (gint64 desired = 0; desired <= 12; desired++)
        for (gint64 min = 0; min <= 200; min += 25)
            for (gint64 max = MAX(min, 100); max <= 300; max += 25) {
                World w = { .fewest_healthy = TASKS_MAX };
                gint64 lower = (desired * min + 99) / 100, upper = desired * max / 100;
                for (gint64 i = 0; i < desired; i++)
                    add(&w, "old", TRUE);
                const char *end = play(&w, desired, min, max);
                gboolean blocked = desired > 0 && lower >= desired && upper <= desired;
                g_assert_cmpstr(end, ==, blocked || lower > desired ? "stuck" : "steady");
                g_assert_cmpuint(w.most, <=, (guint)MAX(upper, desired));
                g_assert_cmpuint(w.fewest_healthy, >=, (guint)MIN(lower, desired));
                if (strcmp(end, "steady") == 0)
                    g_assert_cmpuint(healthy_of(&w, "new"), ==, (guint)desired);
            }
}

static void test_scaling_follows_the_count(void)
{
    for (gint64 from = 0; from <= 10; from++)
        for (gint64 to = 0; to <= 10; to++) {
            World w = { .fewest_healthy = TASKS_MAX };
            for (gint64 i = 0; i < from; i++)
                add(&w, "new", TRUE);
            g_assert_cmpstr(play(&w, to, 100, 200), ==, "steady");
            g_assert_cmpuint(w.count, ==, (guint)to);
        }
}

static void test_scale_in_takes_from_the_fullest_zone(void)
{
    World w = { .fewest_healthy = TASKS_MAX };

    for (guint i = 0; i < 4; i++)
        add(&w, "new", TRUE);
    for (guint i = 0; i < 3; i++)
        w.tasks[i].zone = "a";
    w.tasks[3].zone = "b";
    PlanFacts facts = facts_of(&w, 2, 100, 200);
    g_autoptr(Plan) plan = service_plan(&facts);
    g_assert_cmpuint(plan->stops->len, ==, 2);
    for (guint s = 0; s < 2; s++)
        g_assert_cmpstr(w.tasks[g_array_index(plan->stops, guint, s)].zone, ==, "a");
}

static void test_lost_tasks_are_replaced_and_never_waited_for(void)
{
    World w = { .fewest_healthy = TASKS_MAX };

    add(&w, "new", TRUE);
    add(&w, "new", TRUE);
    w.tasks[1].lost = TRUE;
    PlanFacts facts = facts_of(&w, 2, 100, 100);
    g_autoptr(Plan) plan = service_plan(&facts);
    g_assert_cmpuint(plan->start, ==, 1);
    g_assert_cmpuint(plan->stops->len, ==, 0);
}

static void test_draining_moves_within_the_bounds(void)
{
    static const struct {
        gint64 min, max;
        guint start, stop;
        gboolean stuck;
    } cases[] = {
        { 100, 200, 1, 0, FALSE }, { 50, 100, 0, 1, FALSE }, { 100, 100, 0, 0, TRUE },
    };

    for (guint n = 0; n < G_N_ELEMENTS(cases); n++) {
        World w = { .fewest_healthy = TASKS_MAX };
        add(&w, "new", TRUE);
        add(&w, "new", TRUE);
        w.tasks[0].draining = TRUE;
        PlanFacts facts = facts_of(&w, 2, cases[n].min, cases[n].max);
        g_autoptr(Plan) plan = service_plan(&facts);
        g_assert_cmpuint(plan->start, ==, cases[n].start);
        g_assert_cmpuint(plan->stops->len, ==, cases[n].stop);
        g_assert_cmpint(plan->stuck, ==, cases[n].stuck);
    }
}

static void test_only_repeated_failing_starts_are_delayed_ever_longer(void)
{
    World w = { .fewest_healthy = TASKS_MAX };
    gint64 last = 0;

    for (gint64 failed = 0; failed < 20; failed++) {
        PlanFacts facts = facts_of(&w, 1, 100, 200);
        facts.failed_starts = failed;
        facts.new_failures = 1;
        g_autoptr(Plan) plan = service_plan(&facts);
        g_assert_cmpuint(plan->start, ==, failed == 0 ? 1 : 0);
        g_assert_cmpint(plan->next_start_us - facts.now_us, >=, last);
        g_assert_cmpint(plan->next_start_us > facts.now_us, ==, failed > 0);
        last = plan->next_start_us - facts.now_us;
        g_assert_cmpint(last, <=, 900 * (gint64)G_USEC_PER_SEC);
        g_assert_cmpint(plan->told_failing, ==, failed == 2);
    }
    g_assert_cmpint(last, ==, 900 * (gint64)G_USEC_PER_SEC);
}

static void test_the_breaker_opens_and_keeps_old_tasks(void)
{
    World w = { .fewest_healthy = TASKS_MAX };

    add(&w, "old", TRUE);
    add(&w, "old", TRUE);
    PlanFacts facts = facts_of(&w, 2, 50, 200);
    facts.breaker = TRUE;
    facts.failed_tasks = 2;
    facts.new_failures = 1;
    g_autoptr(Plan) plan = service_plan(&facts);
    g_assert_cmpint(plan->rollout, ==, ROLLOUT_FAILED);
    g_assert_cmpuint(plan->start, ==, 0);
    g_assert_cmpuint(plan->stops->len, ==, 0);
    facts.ever_ran = TRUE;
    g_autoptr(Plan) ran = service_plan(&facts);
    g_assert_cmpint(ran->rollout, ==, ROLLOUT_IN_PROGRESS);
}

static void test_a_sick_task_is_stopped_at_any_percentage(void)
{
    World w = { .fewest_healthy = TASKS_MAX };

    add(&w, "new", TRUE);
    w.tasks[0].healthy = FALSE;
    w.tasks[0].sick = TRUE;
    PlanFacts facts = facts_of(&w, 1, 100, 200);
    g_autoptr(Plan) plan = service_plan(&facts);
    g_assert_cmpuint(plan->stops->len, ==, 1);
    g_assert_cmpuint(plan->start, ==, 1);
}

static void test_protected_tasks_are_left_alone(void)
{
    static const struct {
        const char *deployment;
        gint64 desired;
        gint64 until_us;
        guint stops;
        gint64 look_us;
    } cases[] = {
        { "new", 1, 0, 2, 0 }, { "new", 1, 1, 2, 0 },     { "new", 1, 500, 2, 500 },
        { "new", 0, 500, 2, 500 }, { "old", 2, 500, 1, 500 }, { "old", 2, 0, 2, 0 },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        World w = { .fewest_healthy = TASKS_MAX };
        for (guint n = 0; n < 2; n++)
            add(&w, cases[i].deployment, TRUE);
        add(&w, "new", TRUE);
        if (strcmp(cases[i].deployment, "old") == 0)
            add(&w, "new", TRUE);
        w.tasks[0].protected_us = cases[i].until_us;
        PlanFacts facts = facts_of(&w, cases[i].desired, 0, 200);
        g_autoptr(Plan) plan = service_plan(&facts);
        g_test_message("case %u", i);
        g_assert_cmpuint(plan->stops->len, ==, cases[i].stops);
        for (guint s = 0; s < plan->stops->len && cases[i].look_us; s++)
            g_assert_cmpuint(g_array_index(plan->stops, guint, s), !=, 0);
        g_assert_cmpint(plan->look_us, ==, cases[i].look_us);
        facts.deleting = TRUE;
        g_autoptr(Plan) last = service_plan(&facts);
        g_assert_cmpuint(last->stops->len, ==, w.count);
    }
}

static void test_daemons_run_once_on_each_instance(void)
{
    PlanTask tasks[] = {
        { .deployment_id = "new", .instance = 1, .running = TRUE, .healthy = TRUE },
        { .deployment_id = "old", .instance = 2, .running = TRUE, .healthy = TRUE },
        { .deployment_id = "new", .instance = 4, .running = TRUE, .healthy = TRUE },
        { .deployment_id = "new", .instance = 5, .running = TRUE, .healthy = TRUE },
    };
    PlanPlace places[] = {
        { .instance = 1, .eligible = TRUE }, { .instance = 2, .eligible = TRUE },
        { .instance = 3, .eligible = TRUE }, { .instance = 4, .eligible = FALSE },
        { .instance = 5, .eligible = TRUE, .draining = TRUE, .others = TRUE },
    };
    PlanFacts facts = { .daemon = TRUE, .minimum_percent = 0, .maximum_percent = 100,
                        .primary = "new", .now_us = 1, .tasks = tasks,
                        .task_count = G_N_ELEMENTS(tasks), .places = places,
                        .place_count = G_N_ELEMENTS(places) };
    g_autoptr(Plan) plan = service_plan(&facts);

    g_assert_cmpint(plan->desired, ==, 3);
    g_assert_cmpuint(plan->start_on->len, ==, 1);
    g_assert_cmpint(g_array_index(plan->start_on, gint64, 0), ==, 3);
    g_assert_cmpuint(plan->stops->len, ==, 2);
    g_assert_cmpuint(g_array_index(plan->stops, guint, 0), ==, 1);
    g_assert_cmpuint(g_array_index(plan->stops, guint, 1), ==, 2);
    places[4].others = FALSE;
    g_autoptr(Plan) last = service_plan(&facts);
    g_assert_cmpuint(last->stops->len, ==, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/service/the table of percentages", test_the_table_of_percentages);
    g_test_add_func("/service/every rollout ends within its bounds",
                    test_every_rollout_ends_within_its_bounds);
    g_test_add_func("/service/scaling follows the count", test_scaling_follows_the_count);
    g_test_add_func("/service/scale-in takes from the fullest zone",
                    test_scale_in_takes_from_the_fullest_zone);
    g_test_add_func("/service/lost tasks are replaced and never waited for",
                    test_lost_tasks_are_replaced_and_never_waited_for);
    g_test_add_func("/service/draining moves within the bounds",
                    test_draining_moves_within_the_bounds);
    g_test_add_func("/service/only repeated failing starts are delayed, ever longer",
                    test_only_repeated_failing_starts_are_delayed_ever_longer);
    g_test_add_func("/service/the breaker opens and keeps old tasks",
                    test_the_breaker_opens_and_keeps_old_tasks);
    g_test_add_func("/service/a sick task is stopped at any percentage",
                    test_a_sick_task_is_stopped_at_any_percentage);
    g_test_add_func("/service/protected tasks are left alone",
                    test_protected_tasks_are_left_alone);
    g_test_add_func("/service/daemons run once on each instance",
                    test_daemons_run_once_on_each_instance);
    return g_test_run();
}
