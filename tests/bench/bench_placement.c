/*
 * bench_placement - tasks placed a second, on one core, in clusters of up to 10,000 instances
 *
 * One case a line: instances, tasks, strategy, milliseconds, tasks a second. Reading and writing
 * rows is not in it.
 */
#include "base/clock.h"
#include "model/placement.h"

#include <stdio.h>

static const struct {
    const char *name;
    const char *strategy;
} strategies[] = {
    { "default", "[]" },
    { "binpack memory", "[{\"type\":\"binpack\",\"field\":\"memory\"}]" },
    { "spread zone, binpack cpu",
      "[{\"type\":\"spread\",\"field\":\"attribute:ecs.availability-zone\"},"
      "{\"type\":\"binpack\",\"field\":\"cpu\"}]" },
    { "spread rack of 500", "[{\"type\":\"spread\",\"field\":\"attribute:rack\"}]" },
    { "random", "[{\"type\":\"random\"}]" },
};

static PlacementCluster *cluster_of(guint instances)
{
    PlacementCluster *cluster = placement_cluster_new(1);

    for (guint n = 0; n < instances; n++) {
        g_autofree char *name = g_strdup_printf("%032x", n);
        g_autofree char *attributes =
            g_strdup_printf("[{\"name\":\"ecs.availability-zone\",\"value\":\"home-1%c\"},"
                            "{\"name\":\"rack\",\"value\":\"r%u\"}]",
                            'a' + (int)(n % 3), n % 500);
        PlacementInstance *i = placement_cluster_add(cluster, (gint64)n + 1, name, attributes);
        i->active = i->connected = TRUE;
        i->cpu = i->cpu_total = 16384;
        i->memory_mib = i->memory_total_mib = 32768;
    }
    return cluster;
}

static void run(guint instances, guint tasks, guint strategy)
{
    g_autoptr(PlacementCluster) cluster = cluster_of(instances);
    json_auto_t *list = json_loads(strategies[strategy].strategy, 0, NULL);
    g_autofree gint *placed = g_new(gint, tasks);
    PlacementRequest request = {
        .count = tasks, .cpu = 256, .memory_mib = 512, .group = "service:a", .strategy = list
    };
    gint64 before = clock_now_us();
    gint count = placement_run(cluster, &request, placed, NULL);
    gint64 took = MAX(clock_now_us() - before, 1);

    printf("%6u instances %7d tasks  %-26s %8.1f ms %10.0f tasks/s\n", instances, count,
           strategies[strategy].name, (double)took / 1000, (double)count * 1e6 / (double)took);
}

int main(void)
{
    for (guint strategy = 0; strategy < G_N_ELEMENTS(strategies); strategy++) {
        run(100, 5000, strategy);
        run(10000, 10, strategy);
        run(10000, 50000, strategy);
    }
    return 0;
}
