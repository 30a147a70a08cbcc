#include "model/telemetry.h"

#include <math.h>
#include <string.h>

#define MINUTE_S  60
#define SKEW_S    600.0        /* clocks of agents that are believed */
#define COUNT_MAX 1000000      /* samples in one set */
#define OVERFLOW  4294967296.0 /* the upper part of an integer sum comes apart */
#define VALUE_MAX 1e15

typedef struct {
    gint64 count;
    double sum, min, max;
} Stats;

/* A message's time is seconds with a fraction; an agent that just starts has sent negative ones. */
static gint64 minute_of(const json_t *message, gint64 now_us)
{
    double now = (double)now_us / G_USEC_PER_SEC;
    double said = json_number_value(json_object_get(message, "timestamp"));

    if (!isfinite(said) || fabs(said - now) > SKEW_S)
        said = now;
    return (gint64)floor(said / MINUTE_S) * MINUTE_S;
}

static double value_of(const json_t *set, const char *low, const char *high)
{
    return json_number_value(json_object_get(set, low)) +
           json_number_value(json_object_get(set, high)) * OVERFLOW;
}

static gboolean is_sound(double value)
{
    return isfinite(value) && value >= 0 && value <= VALUE_MAX;
}

static gboolean stats_read(const json_t *set, Stats *ret_stats)
{
    *ret_stats = (Stats){
        .count = (gint64)json_integer_value(json_object_get(set, "sampleCount")),
        .sum = value_of(set, "sum", "overflowSum"),
        .min = value_of(set, "min", "overflowMin"),
        .max = value_of(set, "max", "overflowMax"),
    };
    return ret_stats->count > 0 && ret_stats->count <= COUNT_MAX && is_sound(ret_stats->sum) &&
           is_sound(ret_stats->min) && is_sound(ret_stats->max);
}

static void append(json_t *samples, json_t *sample, const Stats *cpu, const Stats *memory)
{
    json_auto_t *numbers =
        json_pack("{s:I, s:f, s:f, s:f, s:I, s:f, s:f, s:f}", "cpu_count", (json_int_t)cpu->count,
                  "cpu_sum", cpu->sum, "cpu_min", cpu->min, "cpu_max", cpu->max, "memory_count",
                  (json_int_t)memory->count, "memory_sum", memory->sum, "memory_min", memory->min,
                  "memory_max", memory->max);

    json_object_update(sample, numbers);
    json_array_append_new(samples, sample);
}

static void task_samples(json_t *samples, gint64 ci_id, gint64 minute, const json_t *task,
                         gsize limit)
{
    const char *arn = json_string_value(json_object_get(task, "taskArn"));
    const char *slash = arn ? strrchr(arn, '/') : NULL;
    const json_t *container;
    size_t n;

    json_array_foreach(json_object_get(task, "containerMetrics"), n, container)
    {
        const char *name = json_string_value(json_object_get(container, "containerName"));
        Stats cpu, memory;
        if (!slash || !name || json_array_size(samples) >= limit ||
            !stats_read(json_object_get(container, "cpuStatsSet"), &cpu) ||
            !stats_read(json_object_get(container, "memoryStatsSet"), &memory))
            continue;
        append(samples,
               json_pack("{s:I, s:s, s:s, s:I}", "ci", (json_int_t)ci_id, "task", slash + 1,
                         "container", name, "minute", (json_int_t)minute),
               &cpu, &memory);
    }
}

void telemetry_samples(json_t *samples, gint64 ci_id, const json_t *message, gint64 now_us)
{
    const gint64 minute = minute_of(message, now_us);
    const gsize limit = json_array_size(samples) + TELEMETRY_SAMPLES_MAX;
    const json_t *task;
    size_t n;

    if (json_is_true(json_object_get(json_object_get(message, "metadata"), "idle")))
        append(samples,
               json_pack("{s:I, s:s, s:I}", "ci", (json_int_t)ci_id, "container", "", "minute",
                         (json_int_t)minute),
               &(Stats){ .count = 1 }, &(Stats){ .count = 1 });
    json_array_foreach(json_object_get(message, "taskMetrics"), n, task)
        task_samples(samples, ci_id, minute, task, limit);
}
