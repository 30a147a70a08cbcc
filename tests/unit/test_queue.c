/* Which objects are stepped, when, and that no wake is lost. The table's steps are never taken. */
#include "base/clock.h"
#include "reconcile/queue.h"

#define REST_MS 120

static const StepKind kinds[] = {
    { "brisk", NULL, NULL, LANE_ROWS, 0, NULL },
    { "calm", NULL, NULL, LANE_ROWS, REST_MS, NULL },
    { "slow", NULL, NULL, LANE_SLOW, 0, NULL },
    { NULL, NULL, NULL, LANE_ROWS, 0, NULL },
};

/* Takes the next object, which is this one, and gives when. */
static gint64 take(WakeQueue *queue, StepLane lane, const char *kind, const char *id)
{
    g_autofree char *got = NULL;
    const StepKind *taken = wake_take(queue, lane, &got);

    g_assert_cmpstr(taken->kind, ==, kind);
    g_assert_cmpstr(got, ==, id);
    return clock_mono_ms();
}

static void take_and_end(WakeQueue *queue, const char *kind, const char *id)
{
    take(queue, LANE_ROWS, kind, id);
    wake_done(queue, kind[0] == 'b' ? &kinds[0] : &kinds[1], id);
}

static void test_wakes_of_one_object_are_one_step(void)
{
    g_autoptr(WakeQueue) queue = wake_queue_new(kinds);

    wake_push(queue, "brisk", "1");
    wake_push(queue, "brisk", "1");
    wake_push(queue, "nobody's", "1");
    wake_push(queue, "slow", "3");
    wake_push(queue, "brisk", "2");
    take_and_end(queue, "brisk", "1");
    take_and_end(queue, "brisk", "2");
    take(queue, LANE_SLOW, "slow", "3");
}

static void test_a_wake_while_worked_on_is_kept(void)
{
    g_autoptr(WakeQueue) queue = wake_queue_new(kinds);

    wake_push(queue, "brisk", "1");
    take(queue, LANE_ROWS, "brisk", "1");
    wake_push(queue, "brisk", "1");
    wake_push(queue, "brisk", "2");
    take(queue, LANE_ROWS, "brisk", "2");
    wake_done(queue, &kinds[0], "1");
    take(queue, LANE_ROWS, "brisk", "1");
}

static void test_the_sooner_wake_counts(void)
{
    g_autoptr(WakeQueue) queue = wake_queue_new(kinds);
    gint64 began_ms = clock_mono_ms();

    wake_push_after(queue, "brisk", "1", 60000);
    wake_push_after(queue, "brisk", "1", 30);
    wake_push_after(queue, "brisk", "1", 60000);
    g_assert_cmpint(take(queue, LANE_ROWS, "brisk", "1"), >=, began_ms + 30);
}

static void test_a_burst_is_one_step_after_the_rest(void)
{
    g_autoptr(WakeQueue) queue = wake_queue_new(kinds);

    wake_push(queue, "calm", "1");
    gint64 began_ms = take(queue, LANE_ROWS, "calm", "1");
    wake_push(queue, "calm", "1"); /* while worked on */
    wake_done(queue, &kinds[1], "1");
    wake_push(queue, "calm", "1");
    gint64 second_ms = take(queue, LANE_ROWS, "calm", "1");
    g_assert_cmpint(second_ms, >=, began_ms + REST_MS - 1);
    wake_done(queue, &kinds[1], "1");
    for (int n = 0; n < 5; n++)
        wake_push(queue, "calm", "1"); /* at rest */
    wake_push(queue, "calm", "2");     /* another's rest is its own */
    g_assert_cmpint(take(queue, LANE_ROWS, "calm", "2"), <, second_ms + REST_MS);
    g_assert_cmpint(take(queue, LANE_ROWS, "calm", "1"), >=, second_ms + REST_MS - 1);
}

static void test_who_rested_is_stepped_at_once(void)
{
    g_autoptr(WakeQueue) queue = wake_queue_new(kinds);

    wake_push(queue, "calm", "1");
    take_and_end(queue, "calm", "1");
    wake_push_after(queue, "brisk", "2", REST_MS + 20);
    take_and_end(queue, "brisk", "2");
    wake_push(queue, "calm", "1");
    wake_push_after(queue, "brisk", "2", REST_MS / 2);
    take_and_end(queue, "calm", "1");
    take_and_end(queue, "brisk", "2");
}

static void test_a_closed_queue_gives_nothing(void)
{
    g_autoptr(WakeQueue) queue = wake_queue_new(kinds);
    char *id = NULL;

    wake_push(queue, "brisk", "1");
    wake_queue_close(queue);
    g_assert_null(wake_take(queue, LANE_ROWS, &id));
    g_assert_null(id);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/queue/wakes of one object are one step", test_wakes_of_one_object_are_one_step);
    g_test_add_func("/queue/a wake while worked on is kept", test_a_wake_while_worked_on_is_kept);
    g_test_add_func("/queue/the sooner wake counts", test_the_sooner_wake_counts);
    g_test_add_func("/queue/a burst is one step after the rest",
                    test_a_burst_is_one_step_after_the_rest);
    g_test_add_func("/queue/who rested is stepped at once", test_who_rested_is_stepped_at_once);
    g_test_add_func("/queue/a closed queue gives nothing", test_a_closed_queue_gives_nothing);
    return g_test_run();
}
