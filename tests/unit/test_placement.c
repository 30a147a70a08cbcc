/* Placement: tables of cases, and invariants over random clusters. */
#include "base/errors.h"
#include "model/placement.h"
#include "model/placement_internal.h"

#include <string.h>

static const char *const zones[] = { "home-1a", "home-1b", "home-1c" };

static void add(PlacementCluster *cluster, gint64 id, const char *zone, gint64 cpu, gint64 memory)
{
    g_autofree char *name = g_strdup_printf("%032" G_GINT64_MODIFIER "x", id);
    g_autofree char *attributes = g_strdup_printf(
        "[{\"name\":\"ecs.availability-zone\",\"value\":\"%s\"},{\"name\":\"rack\",\"value\":\"%d\"},"
        "{\"name\":\"docker\"}]", zone, (int)(id % 4));
    PlacementInstance *instance = placement_cluster_add(cluster, id, name, attributes);

    instance->active = instance->connected = TRUE;
    instance->cpu = instance->cpu_total = cpu;
    instance->memory_mib = instance->memory_total_mib = memory;
}

static PlacementCluster *cluster_of(guint count, gint64 cpu, gint64 memory)
{
    PlacementCluster *cluster = placement_cluster_new(7);

    for (guint i = 0; i < count; i++)
        add(cluster, i + 1, zones[i % 2], cpu, memory);
    return cluster;
}

static guint on(const gint *placed, gint count, guint index)
{
    guint sum = 0;

    for (gint n = 0; n < count; n++)
        sum += placed[n] == (gint)index;
    return sum;
}

static void test_default_spreads_over_zones_then_instances(void)
{
    g_autoptr(PlacementCluster) cluster = placement_cluster_new(1);
    PlacementRequest request = { .count = 6, .cpu = 10, .memory_mib = 10, .group = "service:a" };
    gint placed[6];

    add(cluster, 1, "home-1a", 1000, 1000);
    add(cluster, 2, "home-1a", 1000, 1000);
    add(cluster, 3, "home-1b", 1000, 1000);
    g_assert_cmpint(placement_run(cluster, &request, placed, NULL), ==, 6);
    g_assert_cmpuint(on(placed, 6, 2), ==, 3);
    g_assert_cmpuint(on(placed, 6, 0) + on(placed, 6, 1), ==, 3);
    g_assert_cmpuint(on(placed, 6, 0), >=, 1);
    g_assert_cmpuint(on(placed, 6, 1), >=, 1);
}

static void test_spread_counts_what_runs_already(void)
{
    g_autoptr(PlacementCluster) cluster = cluster_of(2, 1000, 1000);
    PlacementRequest request = { .count = 2, .cpu = 10, .memory_mib = 10, .group = "service:a" };
    gint placed[2];

    placement_add_group(cluster, "service:a", 1, 2);
    placement_add_group(cluster, "service:b", 2, 9);
    g_assert_cmpint(placement_run(cluster, &request, placed, NULL), ==, 2);
    g_assert_cmpuint(on(placed, 2, 1), ==, 2);
}

static void test_binpack_fills_one_before_the_next(void)
{
    g_autoptr(PlacementCluster) cluster = cluster_of(4, 100, 1000);
    json_auto_t *strategy = json_loads("[{\"type\":\"binpack\",\"field\":\"memory\"}]", 0, NULL);
    PlacementRequest request = { .count = 8, .cpu = 10, .memory_mib = 200, .group = "g",
                                 .strategy = strategy };
    gint placed[8];

    g_assert_cmpint(placement_run(cluster, &request, placed, NULL), ==, 8);
    for (guint n = 1; n < 5; n++)
        g_assert_cmpint(placed[n], ==, placed[0]);
    for (guint n = 6; n < 8; n++)
        g_assert_cmpint(placed[n], ==, placed[5]);
    g_assert_cmpint(placed[5], !=, placed[0]);
}

static void test_ports_and_distance_allow_one_an_instance(void)
{
    g_autoptr(PlacementCluster) cluster = cluster_of(3, 1000, 1000);
    json_auto_t *apart = json_loads("[{\"type\":\"distinctInstance\"}]", 0, NULL);
    g_autoptr(GArray) ports = g_array_new(FALSE, FALSE, sizeof(gint64));
    gint64 port = 80;
    g_array_append_val(ports, port);
    PlacementRequest web = { .count = 5, .cpu = 1, .memory_mib = 1, .group = "web",
                             .ports_tcp = ports };
    PlacementRequest db = { .count = 5, .cpu = 1, .memory_mib = 1, .group = "db",
                            .constraints = { NULL, apart } };
    gint placed[5];
    PlacementReason why;

    g_assert_cmpint(placement_run(cluster, &web, placed, NULL), ==, 3);
    g_assert_true(placement_explain(cluster, &web, &why, NULL));
    g_assert_cmpuint(why.failing[RULE_PORTS], ==, 3);
    g_assert_cmpint(placement_run(cluster, &db, placed, NULL), ==, 3);
    g_assert_true(placement_explain(cluster, &db, &why, NULL));
    g_assert_cmpuint(why.failing[RULE_DISTINCT], ==, 3);
    g_assert_cmpint(why.rule, ==, RULE_DISTINCT);
}

static void test_constraints_and_attributes_select(void)
{
    g_autoptr(PlacementCluster) cluster = cluster_of(8, 1000, 1000);
    json_auto_t *zone_b = json_loads("[{\"type\":\"memberOf\",\"expression\":"
                                     "\"attribute:ecs.availability-zone == home-1b and"
                                     " attribute:rack in [1, 2]\"}]", 0, NULL);
    json_auto_t *gpu = json_loads("[{\"name\":\"gpu\"}]", 0, NULL);
    PlacementRequest request = { .count = 4, .cpu = 1, .memory_mib = 1, .group = "g",
                                 .constraints = { zone_b, NULL } };
    gint placed[4];
    PlacementReason why;

    g_assert_cmpint(placement_run(cluster, &request, placed, NULL), ==, 4);
    for (guint n = 0; n < 4; n++)
        g_assert_cmpint((placement_instance(cluster, (guint)placed[n])->id) % 4, ==, 2);
    request.required = gpu;
    g_assert_cmpint(placement_run(cluster, &request, placed, NULL), ==, 0);
    g_assert_true(placement_explain(cluster, &request, &why, NULL));
    g_assert_cmpuint(why.failing[RULE_ATTRIBUTE], ==, 8);
    g_autofree char *change = placement_smallest_change(cluster, &request, &why);
    g_assert_nonnull(strstr(change, "attribute gpu"));
}

/* {what is wrong with the only instance} -> {reason of RunTask, part of the smallest change} */
static void test_reasons_name_the_rule_and_the_change(void)
{
    static const struct {
        gboolean active, connected;
        gint64 cpu, memory;
        const char *reason, *change;
    } cases[] = {
        { TRUE, FALSE, 1000, 1000, "AGENT", "its agent must connect" },
        { FALSE, TRUE, 1000, 1000, "INACTIVE", "set ACTIVE" },
        { TRUE, TRUE, 90, 1000, "RESOURCE:CPU", "10 more CPU units" },
        { TRUE, TRUE, 1000, 60, "RESOURCE:MEMORY", "40 MiB more memory" },
        { TRUE, TRUE, 50, 60, "RESOURCE:CPU", "50 more CPU units must come free and 40 MiB" },
    };

    for (guint n = 0; n < G_N_ELEMENTS(cases); n++) {
        g_autoptr(PlacementCluster) cluster = cluster_of(1, 1000, 1000);
        PlacementInstance *i = placement_instance(cluster, 0);
        PlacementRequest request = { .count = 1, .cpu = 100, .memory_mib = 100, .group = "g" };
        PlacementReason why;
        gint placed;
        i->active = cases[n].active;
        i->connected = cases[n].connected;
        i->cpu = cases[n].cpu;
        i->memory_mib = cases[n].memory;
        g_assert_cmpint(placement_run(cluster, &request, &placed, NULL), ==, 0);
        g_assert_true(placement_explain(cluster, &request, &why, NULL));
        g_autofree char *change = placement_smallest_change(cluster, &request, &why);
        g_assert_cmpstr(placement_rule_reason(why.rule), ==, cases[n].reason);
        g_assert_nonnull(strstr(change, cases[n].change));
    }
}

static void test_an_empty_cluster_says_so(void)
{
    g_autoptr(PlacementCluster) cluster = placement_cluster_new(1);
    PlacementRequest request = { .count = 1, .cpu = 100, .memory_mib = 64, .group = "g" };
    PlacementReason why;
    gint placed;

    g_assert_cmpint(placement_run(cluster, &request, &placed, NULL), ==, 0);
    g_assert_true(placement_explain(cluster, &request, &why, NULL));
    g_assert_cmpint(why.closest, ==, -1);
    g_autofree char *change = placement_smallest_change(cluster, &request, &why);
    g_assert_nonnull(strstr(change, "100 CPU units and 64 MiB"));
}

static const char *const strategies[] = {
    "[]",
    "[{\"type\":\"spread\",\"field\":\"instanceId\"}]",
    "[{\"type\":\"spread\",\"field\":\"attribute:ecs.availability-zone\"},"
    "{\"type\":\"binpack\",\"field\":\"memory\"}]",
    "[{\"type\":\"spread\",\"field\":\"attribute:ecs.availability-zone\"},"
    "{\"type\":\"spread\",\"field\":\"attribute:rack\"}]",
    "[{\"type\":\"spread\",\"field\":\"attribute:nobody-has-it\"}]",
    "[{\"type\":\"binpack\",\"field\":\"cpu\"},{\"type\":\"spread\",\"field\":\"attribute:rack\"}]",
    "[{\"type\":\"random\"}]",
    "[{\"type\":\"spread\",\"field\":\"attribute:ecs.availability-zone\"},{\"type\":\"random\"}]",
};

static PlacementCluster *random_cluster(guint seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    PlacementCluster *cluster = placement_cluster_new(seed);
    gint count = g_rand_int_range(rand, 1, 40);

    for (gint i = 0; i < count; i++) {
        add(cluster, i + 1, zones[g_rand_int_range(rand, 0, 3)], g_rand_int_range(rand, 0, 4096),
            g_rand_int_range(rand, 0, 8192));
        placement_instance(cluster, (guint)i)->connected = g_rand_int_range(rand, 0, 10) > 0;
        placement_add_group(cluster, "g", i + 1, (guint)g_rand_int_range(rand, 0, 3));
    }
    return cluster;
}

/* Never over capacity, never on an instance that may not, and nothing left out that would fit. */
static void test_random_clusters_are_filled_and_never_overfilled(void)
{
    for (guint seed = 1; seed <= 400; seed++) {
        json_auto_t *strategy = json_loads(strategies[seed % G_N_ELEMENTS(strategies)], 0, NULL);
        g_autoptr(PlacementCluster) cluster = random_cluster(seed);
        PlacementRequest request = { .count = 100, .cpu = 64 + seed % 300, .memory_mib = 128,
                                     .group = "g", .strategy = strategy };
        gint placed[100];
        gint count = placement_run(cluster, &request, placed, NULL);
        g_assert_cmpint(count, >=, 0);
        for (guint i = 0; i < placement_cluster_size(cluster); i++) {
            const PlacementInstance *instance = placement_instance(cluster, i);
            g_assert_cmpint(instance->cpu, >=, 0);
            g_assert_cmpint(instance->memory_mib, >=, 0);
            g_assert_true(instance->connected || on(placed, count, i) == 0);
            if (count < 100 && instance->connected)
                g_assert_true(instance->cpu < request.cpu || instance->memory_mib < 128);
        }
    }
}

static void test_the_same_seed_gives_the_same_answer(void)
{
    for (guint seed = 1; seed <= 50; seed++) {
        json_auto_t *strategy = json_loads(strategies[seed % G_N_ELEMENTS(strategies)], 0, NULL);
        PlacementRequest request = { .count = 60, .cpu = 100, .memory_mib = 100, .group = "g",
                                     .strategy = strategy };
        g_autoptr(PlacementCluster) a = random_cluster(seed);
        g_autoptr(PlacementCluster) b = random_cluster(seed);
        gint first[60], second[60];
        gint count = placement_run(a, &request, first, NULL);
        g_assert_cmpint(placement_run(b, &request, second, NULL), ==, count);
        g_assert_cmpmem(first, (gsize)count * sizeof *first, second, (gsize)count * sizeof *second);
    }
}

static guint tasks_in(const PlacementCluster *cluster, const char *attribute, guint like)
{
    const char *value =
        g_hash_table_lookup(placement_instance(cluster, like)->attributes, attribute);
    guint sum = 0;

    for (guint i = 0; i < placement_cluster_size(cluster); i++)
        if (g_strcmp0(g_hash_table_lookup(placement_instance(cluster, i)->attributes, attribute),
                      value) == 0)
            sum += placement_group_count(cluster, "g", i);
    return sum;
}

/* One at a time by the heaps, against looking at every instance with the strategy's own words. */
static void test_each_choice_is_the_best_of_all_instances(void)
{
    json_auto_t *strategy = json_loads(strategies[2], 0, NULL);

    for (guint seed = 1; seed <= 60; seed++) {
        g_autoptr(PlacementCluster) cluster = random_cluster(seed);
        PlacementRequest request = { .count = 1, .cpu = 200, .memory_mib = 200, .group = "g",
                                     .strategy = strategy };
        g_auto(PlacementCheck) check = { 0 };
        g_assert_true(placement_check_init(&check, cluster, &request, NULL));
        g_autoptr(PlacementPicker) picker = placement_picker_new(cluster, &check);
        gint best;
        while ((best = placement_picker_best(picker)) >= 0) {
            const PlacementInstance *taken = placement_instance(cluster, (guint)best);
            guint least = tasks_in(cluster, "ecs.availability-zone", (guint)best);
            for (guint i = 0; i < placement_cluster_size(cluster); i++) {
                const PlacementInstance *other = placement_instance(cluster, i);
                guint theirs = tasks_in(cluster, "ecs.availability-zone", i);
                if (placement_check_room(&check, i) || placement_check_fixed(&check, i))
                    continue;
                g_assert_true(least < theirs ||
                              (least == theirs && taken->memory_mib <= other->memory_mib));
            }
            placement_instance(cluster, (guint)best)->cpu -= request.cpu;
            placement_instance(cluster, (guint)best)->memory_mib -= request.memory_mib;
            placement_add_group(cluster, "g", taken->id, 1);
            placement_picker_taken(picker, (guint)best);
        }
    }
}

static void test_a_pinned_task_goes_there_or_nowhere(void)
{
    g_autoptr(PlacementCluster) cluster = cluster_of(3, 100, 100);
    PlacementRequest request = { .count = 3, .cpu = 50, .memory_mib = 10, .group = "d",
                                 .pinned = 2 };
    gint placed[3];

    g_assert_cmpint(placement_run(cluster, &request, placed, NULL), ==, 2);
    g_assert_cmpint(placed[0], ==, 1);
    g_assert_cmpint(placed[1], ==, 1);
}

static void test_placement_waits_for_agents_that_return(void)
{
    static const struct {
        gint64 absent_us, grace_us, now_us, wait_us;
    } cases[] = {
        { 0, 10, 1000, 0 },      /* nobody is missing */
        { 1000, 10, 1000, 10 },  /* lost just now */
        { 1000, 10, 1004, 6 },
        { 1000, 10, 1010, 0 },   /* waited long enough */
        { 1000, 10, 5000, 0 },   /* lost long ago */
        { 1000, 10, 1, 10 },     /* never longer than the grace, whatever clocks say */
        { 1000, 0, 1000, 0 },    /* switched off */
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpint(placement_wait_us(cases[i].absent_us, cases[i].grace_us, cases[i].now_us), ==,
                        cases[i].wait_us);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/placement/default spreads over zones, then instances",
                    test_default_spreads_over_zones_then_instances);
    g_test_add_func("/placement/spread counts what runs already",
                    test_spread_counts_what_runs_already);
    g_test_add_func("/placement/binpack fills one before the next",
                    test_binpack_fills_one_before_the_next);
    g_test_add_func("/placement/ports and distance allow one an instance",
                    test_ports_and_distance_allow_one_an_instance);
    g_test_add_func("/placement/constraints and attributes select",
                    test_constraints_and_attributes_select);
    g_test_add_func("/placement/reasons name the rule and the change",
                    test_reasons_name_the_rule_and_the_change);
    g_test_add_func("/placement/an empty cluster says so", test_an_empty_cluster_says_so);
    g_test_add_func("/placement/random clusters are filled and never overfilled",
                    test_random_clusters_are_filled_and_never_overfilled);
    g_test_add_func("/placement/the same seed gives the same answer",
                    test_the_same_seed_gives_the_same_answer);
    g_test_add_func("/placement/each choice is the best of all instances",
                    test_each_choice_is_the_best_of_all_instances);
    g_test_add_func("/placement/a pinned task goes there or nowhere",
                    test_a_pinned_task_goes_there_or_nowhere);
    g_test_add_func("/placement/waits-for-agents", test_placement_waits_for_agents_that_return);
    return g_test_run();
}
