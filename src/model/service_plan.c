#include "model/service_plan.h"

#include <string.h>

#define DELAY_MAX_S     900
#define TELL_FAILING_AT 3
#define BREAKER_MIN     3
#define BREAKER_MAX     200

void service_plan_free(Plan *plan)
{
    if (!plan)
        return;
    g_array_unref(plan->start_on);
    g_array_unref(plan->stops);
    g_free(plan);
}

gint64 service_breaker_threshold(gint64 desired)
{
    return CLAMP((desired + 1) / 2, BREAKER_MIN, BREAKER_MAX);
}

gint64 service_start_delay_s(gint64 failed_starts)
{
    if (failed_starts <= 1)
        return 0;
    return failed_starts > 11 ? DELAY_MAX_S : MIN((gint64)1 << (failed_starts - 2), DELAY_MAX_S);
}

/* What the tasks amount to. */
typedef struct {
    gint64 target, lower, upper;
    gint64 live;              /* hold room, stopping ones too */
    gint64 keep;              /* of PRIMARY, wanted to run, not on a draining instance */
    gint64 healthy;           /* wanted to run and healthy, of any deployment */
    gint64 old;               /* wanted to run, but to be replaced */
    gint64 moving;            /* stopping, or not healthy yet */
    GHashTable *per_zone;     /* zone -> tasks wanted to run */
    GHashTable *per_instance; /* instance -> the same */
    gboolean *gone;           /* stopped by this plan */
} Tally;

static void tally_clear(Tally *t)
{
    g_clear_pointer(&t->per_zone, g_hash_table_destroy);
    g_clear_pointer(&t->per_instance, g_hash_table_destroy);
    g_clear_pointer(&t->gone, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tally, tally_clear)

static gboolean is_active(const PlanTask *task)
{
    return !task->stopping && !task->lost;
}

static gboolean is_kept(const PlanFacts *f, const PlanTask *task)
{
    return is_active(task) && !task->draining && strcmp(task->deployment_id, f->primary) == 0;
}

static gint64 count_of(GHashTable *table, gconstpointer key)
{
    return GPOINTER_TO_INT(g_hash_table_lookup(table, key));
}

static void count_add(GHashTable *table, gpointer key, gint by)
{
    g_hash_table_insert(table, key, GINT_TO_POINTER((gint)count_of(table, key) + by));
}

static const char *zone_of(const PlanTask *task)
{
    return task->zone ? task->zone : "";
}

static void tally(const PlanFacts *f, Tally *t)
{
    t->target = f->deleting ? 0 : f->desired;
    t->lower = (t->target * f->minimum_percent + 99) / 100;
    t->upper = t->target * f->maximum_percent / 100;
    t->per_zone = g_hash_table_new(g_str_hash, g_str_equal);
    t->per_instance = g_hash_table_new(NULL, NULL);
    t->gone = g_new0(gboolean, f->task_count + 1);
    for (guint n = 0; n < f->task_count; n++) {
        const PlanTask *task = &f->tasks[n];
        t->live += !task->lost;
        t->moving += !task->lost && (task->stopping || !task->healthy);
        if (!is_active(task))
            continue;
        t->healthy += task->healthy;
        t->keep += is_kept(f, task);
        t->old += !is_kept(f, task);
        count_add(t->per_zone, (gpointer)zone_of(task), 1);
        count_add(t->per_instance, GSIZE_TO_POINTER((gsize)task->instance), 1);
    }
}

static void stop_task(const PlanFacts *f, Tally *t, Plan *plan, guint n)
{
    const PlanTask *task = &f->tasks[n];

    if (t->gone[n])
        return;
    t->gone[n] = TRUE;
    t->healthy -= task->healthy;
    if (is_kept(f, task))
        t->keep--;
    else
        t->old--;
    count_add(t->per_zone, (gpointer)zone_of(task), -1);
    count_add(t->per_instance, GSIZE_TO_POINTER((gsize)task->instance), -1);
    g_array_append_val(plan->stops, n);
}

static int compare(gint64 a, gint64 b)
{
    return a < b ? -1 : a > b;
}

/* Whether a goes before b when one must stop: not healthy, in the fullest zone, on the fullest
 * instance, newest. */
static gboolean goes_first(const Tally *t, const PlanTask *a, const PlanTask *b)
{
    int order = compare(a->healthy, b->healthy);

    if (!order)
        order = compare(a->running, b->running);
    if (!order)
        order = -compare(count_of(t->per_zone, zone_of(a)), count_of(t->per_zone, zone_of(b)));
    if (!order)
        order = -compare(count_of(t->per_instance, GSIZE_TO_POINTER((gsize)a->instance)),
                         count_of(t->per_instance, GSIZE_TO_POINTER((gsize)b->instance)));
    return order ? order < 0 : a->created_us > b->created_us;
}

/* Whether the task must be left alone for now; then the plan looks again when that ends. */
static gboolean is_protected(const PlanFacts *f, const PlanTask *task, Plan *plan)
{
    if (f->deleting || task->protected_us <= f->now_us)
        return FALSE;
    if (!plan->look_us || task->protected_us < plan->look_us)
        plan->look_us = task->protected_us;
    return TRUE;
}

/* The task to stop next among the kept or the old ones; -1 when none is left. */
static gint next_victim(const PlanFacts *f, const Tally *t, Plan *plan, gboolean kept)
{
    gint best = -1;

    for (guint n = 0; n < f->task_count; n++) {
        const PlanTask *task = &f->tasks[n];
        if (t->gone[n] || !is_active(task) || is_kept(f, task) != kept ||
            is_protected(f, task, plan))
            continue;
        if (best < 0 || goes_first(t, task, &f->tasks[best]))
            best = (gint)n;
    }
    return best;
}

/* Stops up to count of the kept or old ones, as long as lower stays healthy. */
static void stop_some(const PlanFacts *f, Tally *t, Plan *plan, gboolean kept, gint64 count)
{
    for (; count > 0 && plan->stops->len < PLAN_BATCH_MAX; count--) {
        gint n = next_victim(f, t, plan, kept);
        if (n < 0 || (f->tasks[n].healthy && t->healthy - 1 < t->lower))
            return;
        stop_task(f, t, plan, (guint)n);
    }
    plan->more |= count > 0;
}

/* Sick tasks are replaced; what PRIMARY has too much goes; then what is old. A failed deployment
 * leaves the old tasks as they are. */
static void plan_stops(const PlanFacts *f, Tally *t, Plan *plan)
{
    for (guint n = 0; n < f->task_count; n++)
        if (f->tasks[n].sick && is_active(&f->tasks[n]))
            stop_task(f, t, plan, n);
    stop_some(f, t, plan, TRUE, t->keep - t->target);
    if (plan->rollout != ROLLOUT_FAILED || t->target == 0)
        stop_some(f, t, plan, FALSE, t->old);
    else if (t->keep + t->old > t->target)
        stop_some(f, t, plan, FALSE, MIN(t->old, t->keep + t->old - t->target));
}

static gboolean may_start(const PlanFacts *f, const Plan *plan)
{
    return plan->rollout != ROLLOUT_FAILED && plan->next_start_us <= f->now_us;
}

static void plan_starts(const PlanFacts *f, const Tally *t, Plan *plan)
{
    gint64 room = MIN(t->target - t->keep, t->upper - t->live);

    if (room <= 0 || !may_start(f, plan))
        return;
    plan->start = (guint)MIN(room, PLAN_BATCH_MAX);
    plan->more |= room > PLAN_BATCH_MAX;
}

static void plan_failures(const PlanFacts *f, Plan *plan)
{
    plan->failed_tasks = f->failed_tasks + f->new_failures;
    plan->failed_starts = f->failed_starts;
    plan->next_start_us = f->next_start_us;
    if (f->new_failures > 0) {
        plan->failed_starts++;
        plan->next_start_us =
            f->now_us + service_start_delay_s(plan->failed_starts) * G_USEC_PER_SEC;
        plan->told_failing = plan->failed_starts == TELL_FAILING_AT;
    }
    if (f->breaker && f->rollout == ROLLOUT_IN_PROGRESS && !f->ever_ran &&
        plan->failed_tasks >= service_breaker_threshold(f->desired))
        plan->rollout = ROLLOUT_FAILED;
}

static void plan_outcome(const PlanFacts *f, const Tally *t, Plan *plan)
{
    gboolean quiet = plan->start == 0 && plan->stops->len == 0 && plan->start_on->len == 0;

    plan->steady = quiet && t->keep == t->target && t->live == t->keep && t->healthy == t->keep;
    plan->stuck = quiet && !f->daemon && !plan->look_us && !plan->steady && t->moving == 0 &&
                  plan->rollout != ROLLOUT_FAILED && plan->next_start_us <= f->now_us;
    if (!plan->steady)
        return;
    plan->failed_starts = 0;
    plan->next_start_us = 0;
    if (plan->rollout == ROLLOUT_IN_PROGRESS)
        plan->rollout = ROLLOUT_COMPLETED;
}

/* -- daemons: one task on each eligible instance */

/* Stops every task on the place but one of PRIMARY; gives whether one is kept and whether any other
 * still holds the place. */
static void plan_place(const PlanFacts *f, Tally *t, Plan *plan, const PlanPlace *place,
                       GArray *here)
{
    gboolean leave = !place->eligible || f->deleting || (place->draining && !place->others);
    gboolean held = FALSE, kept = FALSE;

    for (guint h = 0; here && h < here->len; h++) {
        guint n = g_array_index(here, guint, h);
        const PlanTask *task = &f->tasks[n];
        gboolean primary = strcmp(task->deployment_id, f->primary) == 0;
        held |= !task->lost;
        if (!is_active(task))
            continue;
        if (leave || task->sick || (primary && kept))
            stop_task(f, t, plan, n);
        else if (primary)
            kept = TRUE;
        else if (!place->draining && plan->rollout != ROLLOUT_FAILED &&
                 (!task->healthy || t->healthy - 1 >= t->lower))
            stop_task(f, t, plan, n);
    }
    if (!held && !leave && !place->draining && may_start(f, plan))
        g_array_append_val(plan->start_on, place->instance);
}

static GHashTable *tasks_by_place(const PlanFacts *f)
{
    GHashTable *table = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_array_unref);

    for (guint n = 0; n < f->task_count; n++) {
        gpointer key = GSIZE_TO_POINTER((gsize)f->tasks[n].instance);
        GArray *here = g_hash_table_lookup(table, key);
        if (!here) {
            here = g_array_new(FALSE, FALSE, sizeof(guint));
            g_hash_table_insert(table, key, here);
        }
        g_array_append_val(here, n);
    }
    return table;
}

static void plan_daemon(const PlanFacts *f, Tally *t, Plan *plan)
{
    g_autoptr(GHashTable) by_place = tasks_by_place(f);

    t->target = 0;
    for (guint p = 0; p < f->place_count; p++)
        t->target += f->places[p].eligible && !f->places[p].draining && !f->deleting;
    t->lower = (t->target * f->minimum_percent + 99) / 100;
    t->upper = t->target;
    for (guint p = 0; p < f->place_count; p++)
        plan_place(f, t, plan, &f->places[p],
                   g_hash_table_lookup(by_place, GSIZE_TO_POINTER((gsize)f->places[p].instance)));
}

Plan *service_plan(const PlanFacts *f)
{
    g_auto(Tally) t = { 0 };
    Plan *plan = g_new0(Plan, 1);

    plan->start_on = g_array_new(FALSE, FALSE, sizeof(gint64));
    plan->stops = g_array_new(FALSE, FALSE, sizeof(guint));
    plan->rollout = f->rollout;
    tally(f, &t);
    plan_failures(f, plan);
    if (f->daemon) {
        plan_daemon(f, &t, plan);
    } else {
        plan_stops(f, &t, plan);
        plan_starts(f, &t, plan);
    }
    plan->desired = t.target;
    plan_outcome(f, &t, plan);
    return plan;
}
