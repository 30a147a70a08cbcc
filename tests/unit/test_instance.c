/* The instance rule: every cell is walked, and every wish is reached from anything seen. */
#include "model/instance.h"

static const InstanceState goal[INSTANCE_ROW__COUNT] = {
    INSTANCE_RUNNING, INSTANCE_STOPPED, INSTANCE_TERMINATED, INSTANCE_TERMINATED
};

static const InstanceSeen after[ACT__COUNT] = {
    [ACT_DEFINE] = SEEN_OFF,      [ACT_START] = SEEN_RUNNING,   [ACT_SHUTDOWN] = SEEN_OFF,
    [ACT_REBOOT] = SEEN_RUNNING,  [ACT_DESTROY] = SEEN_OFF,     [ACT_UNDEFINE] = SEEN_ABSENT,
};

static void test_every_wish_is_reached(void)
{
    for (guint row = 0; row < INSTANCE_ROW__COUNT; row++)
        for (guint start = 0; start < SEEN__COUNT; start++) {
            guint seen = start;
            guint acts = 0;
            while (instance_rules[row][seen].act != ACT_NONE) {
                seen = after[instance_rules[row][seen].act];
                g_assert_cmpuint(++acts, <=, 2);
            }
            g_assert_cmpint(instance_rules[row][seen].state, ==, goal[row]);
        }
}

static void test_cells(void)
{
    static const struct {
        const char *why;
        Instance facts;
        InstanceState state;
        InstanceAct act;
        gboolean holds;
    } cases[] = {
        { "new", { .generation = 1 }, INSTANCE_PENDING, ACT_DEFINE, TRUE },
        { "defined", { .generation = 1, .seen = SEEN_OFF }, INSTANCE_PENDING, ACT_START, TRUE },
        { "up", { .generation = 1, .seen_generation = 1, .seen = SEEN_RUNNING }, INSTANCE_RUNNING,
          ACT_NONE, TRUE },
        { "reboot asked for",
          { .generation = 2, .seen_generation = 1, .reboot_generation = 2, .seen = SEEN_RUNNING },
          INSTANCE_RUNNING, ACT_REBOOT, TRUE },
        { "off on the way through a reboot",
          { .generation = 2, .seen_generation = 1, .reboot_generation = 2, .seen = SEEN_OFF },
          INSTANCE_RUNNING, ACT_START, TRUE },
        { "about to be started by a reboot",
          { .generation = 2, .seen_generation = 1, .reboot_generation = 2,
            .rebooted_generation = 2, .seen = SEEN_OFF },
          INSTANCE_RUNNING, ACT_START, TRUE },
        { "off since its host came up again, after an earlier reboot",
          { .generation = 2, .seen_generation = 2, .reboot_generation = 2,
            .rebooted_generation = 2, .seen = SEEN_OFF },
          INSTANCE_PENDING, ACT_START, TRUE },
        { "stopped while it reboots",
          { .desired = DESIRE_STOPPED, .generation = 3, .seen_generation = 1,
            .reboot_generation = 2, .seen = SEEN_RUNNING },
          INSTANCE_STOPPING, ACT_SHUTDOWN, TRUE },
        { "reboot done",
          { .generation = 2, .reboot_generation = 2, .rebooted_generation = 2,
            .seen = SEEN_RUNNING },
          INSTANCE_RUNNING, ACT_NONE, TRUE },
        { "halted itself", { .generation = 1, .seen_generation = 1, .seen = SEEN_HALTED },
          INSTANCE_STOPPED, ACT_NONE, FALSE },
        { "halted itself and ends so",
          { .generation = 1, .seen_generation = 1, .seen = SEEN_HALTED,
            .shutdown_terminates = TRUE },
          INSTANCE_SHUTTING_DOWN, ACT_UNDEFINE, FALSE },
        { "started again after a halt",
          { .generation = 2, .seen_generation = 1, .seen = SEEN_HALTED }, INSTANCE_PENDING,
          ACT_START, TRUE },
        { "stopping", { .desired = DESIRE_STOPPED, .generation = 2, .seen = SEEN_RUNNING },
          INSTANCE_STOPPING, ACT_SHUTDOWN, TRUE },
        { "stop not yet settled",
          { .desired = DESIRE_STOPPED, .generation = 2, .seen_generation = 1, .seen = SEEN_OFF },
          INSTANCE_STOPPED, ACT_NONE, TRUE },
        { "stopped",
          { .desired = DESIRE_STOPPED, .generation = 2, .seen_generation = 2, .seen = SEEN_OFF },
          INSTANCE_STOPPED, ACT_NONE, FALSE },
        { "ending", { .desired = DESIRE_TERMINATED, .generation = 2, .seen = SEEN_RUNNING },
          INSTANCE_SHUTTING_DOWN, ACT_DESTROY, TRUE },
        { "gone but not yet recorded as ended",
          { .desired = DESIRE_TERMINATED, .generation = 2, .seen = SEEN_ABSENT },
          INSTANCE_SHUTTING_DOWN, ACT_NONE, TRUE },
        { "ended", { .desired = DESIRE_TERMINATED, .generation = 2, .terminated_us = 1 },
          INSTANCE_TERMINATED, ACT_NONE, FALSE },
        { "faulted while up",
          { .generation = 1, .seen = SEEN_RUNNING, .fault = (char *)"Server.InternalError" },
          INSTANCE_TERMINATED, ACT_DESTROY, TRUE },
    };

    for (gsize n = 0; n < G_N_ELEMENTS(cases); n++) {
        g_test_message("%s", cases[n].why);
        g_assert_cmpint(instance_state(&cases[n].facts), ==, cases[n].state);
        g_assert_cmpint(instance_act(&cases[n].facts), ==, cases[n].act);
        g_assert_cmpint(instance_holds(&cases[n].facts), ==, cases[n].holds);
    }
}

static void test_names_round_trip(void)
{
    for (guint d = 0; d < DESIRE__COUNT; d++)
        g_assert_cmpuint(instance_desire_from(instance_desire_name(d)), ==, d);
    for (guint s = 0; s < SEEN__COUNT; s++)
        g_assert_cmpuint(instance_seen_from(instance_seen_name(s)), ==, s);
    g_assert_cmpuint(instance_seen_from("elsewhere"), ==, SEEN__COUNT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/instance/every-wish-is-reached", test_every_wish_is_reached);
    g_test_add_func("/instance/cells", test_cells);
    g_test_add_func("/instance/names-round-trip", test_names_round_trip);
    return g_test_run();
}
