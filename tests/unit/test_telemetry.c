/* What agents publish becomes samples, and nothing of it that makes no sense. */
#include "model/telemetry.h"

#include <math.h>
#include <string.h>

#define NOW_US (G_GINT64_CONSTANT(1795338545) * G_USEC_PER_SEC)
#define MINUTE G_GINT64_CONSTANT(1795338540)

static json_t *samples_of(const char *text)
{
    json_auto_t *message = json_loads(text, 0, NULL);
    json_t *samples = json_array();

    g_assert_nonnull(message);
    telemetry_samples(samples, 7, message, NOW_US);
    return samples;
}

static json_t *samples_of_sets(const char *time, const char *cpu, const char *memory)
{
    g_autofree char *text = g_strdup_printf(
        "{\"metadata\":{\"fin\":true},\"timestamp\":%s,\"taskMetrics\":[{\"taskArn\":"
        "\"arn:aws:ecs:home-1:1:task/default/abc\",\"containerMetrics\":[{\"containerName\":\"app\","
        "\"cpuStatsSet\":%s,\"memoryStatsSet\":%s}]}]}",
        time, cpu, memory);

    return samples_of(text);
}

#define CPU    "{\"max\":0.0657,\"min\":0.0418,\"sampleCount\":11,\"sum\":0.5423}"
#define MEMORY "{\"max\":5,\"min\":3,\"sampleCount\":12,\"sum\":48}"

static double number(const json_t *samples, const char *member)
{
    return json_number_value(json_object_get(json_array_get(samples, 0), member));
}

static void test_a_container(void)
{
    json_auto_t *samples = samples_of_sets("1795338545.204", CPU, MEMORY);
    const json_t *first = json_array_get(samples, 0);

    g_assert_cmpuint(json_array_size(samples), ==, 1);
    g_assert_cmpstr(json_string_value(json_object_get(first, "task")), ==, "abc");
    g_assert_cmpstr(json_string_value(json_object_get(first, "container")), ==, "app");
    g_assert_cmpint(json_integer_value(json_object_get(first, "ci")), ==, 7);
    g_assert_cmpint(json_integer_value(json_object_get(first, "minute")), ==, MINUTE);
    g_assert_cmpfloat(number(samples, "cpu_sum"), ==, 0.5423);
    g_assert_cmpfloat(number(samples, "cpu_count"), ==, 11);
    g_assert_cmpfloat(number(samples, "memory_max"), ==, 5);
}

static void test_times(void)
{
    static const struct {
        const char *time;
        gint64 minute;
    } cases[] = {
        { "1795338545.204", MINUTE }, { "1795338485", MINUTE - 60 },
        { "-6795364578.871", MINUTE }, /* an agent that just starts */
        { "0", MINUTE },              { "1e300", MINUTE },
        { "\"x\"", MINUTE },          { "1795345745", MINUTE }, /* two hours ahead */
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        json_auto_t *samples = samples_of_sets(cases[i].time, CPU, MEMORY);
        g_test_message("%s", cases[i].time);
        g_assert_cmpint((gint64)number(samples, "minute"), ==, cases[i].minute);
    }
}

static void test_overflow(void)
{
    json_auto_t *samples = samples_of_sets(
        "1795338545", CPU,
        "{\"max\":1,\"min\":1,\"sampleCount\":2,\"sum\":5,\"overflowSum\":2,\"overflowMax\":1,"
        "\"overflowMin\":0}");

    g_assert_cmpfloat(number(samples, "memory_sum"), ==, 2 * 4294967296.0 + 5);
    g_assert_cmpfloat(number(samples, "memory_max"), ==, 4294967297.0);
    g_assert_cmpfloat(number(samples, "memory_min"), ==, 1);
}

static void test_nonsense(void)
{
    static const char *const sets[] = {
        "{}", "null", "[]", "{\"sampleCount\":0,\"sum\":1,\"min\":1,\"max\":1}",
        "{\"sampleCount\":-1,\"sum\":1,\"min\":1,\"max\":1}",
        "{\"sampleCount\":1,\"sum\":-1,\"min\":1,\"max\":1}",
        "{\"sampleCount\":1,\"sum\":1e300,\"min\":1,\"max\":1}",
        "{\"sampleCount\":99999999,\"sum\":1,\"min\":1,\"max\":1}",
    };
    static const char *const messages[] = {
        "{}", "{\"taskMetrics\":{}}", "{\"taskMetrics\":[1,null,{}]}",
        "{\"taskMetrics\":[{\"taskArn\":\"noslash\",\"containerMetrics\":[{\"containerName\":\"a\","
        "\"cpuStatsSet\":" CPU ",\"memoryStatsSet\":" MEMORY "}]}]}",
        "{\"metadata\":{\"idle\":false}}",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(sets); i++) {
        json_auto_t *cpu = samples_of_sets("1795338545", sets[i], MEMORY);
        json_auto_t *memory = samples_of_sets("1795338545", CPU, sets[i]);
        g_test_message("%s", sets[i]);
        g_assert_cmpuint(json_array_size(cpu), ==, 0);
        g_assert_cmpuint(json_array_size(memory), ==, 0);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(messages); i++) {
        json_auto_t *samples = samples_of(messages[i]);
        g_test_message("%s", messages[i]);
        g_assert_cmpuint(json_array_size(samples), ==, 0);
    }
}

static void test_idle(void)
{
    json_auto_t *samples = samples_of("{\"metadata\":{\"fin\":true,\"idle\":true}}");

    g_assert_cmpuint(json_array_size(samples), ==, 1);
    g_assert_null(json_object_get(json_array_get(samples, 0), "task"));
    g_assert_cmpfloat(number(samples, "cpu_sum"), ==, 0);
    g_assert_cmpfloat(number(samples, "cpu_count"), ==, 1);
}

static void test_bound(void)
{
    json_auto_t *message = json_loads("{\"taskMetrics\":[{\"taskArn\":\"a/b\"}]}", 0, NULL);
    json_auto_t *container = json_loads("{\"containerName\":\"c\",\"cpuStatsSet\":" CPU
                                        ",\"memoryStatsSet\":" MEMORY "}", 0, NULL);
    json_auto_t *samples = json_array();
    json_t *list = json_array();

    json_object_set_new(json_array_get(json_object_get(message, "taskMetrics"), 0),
                        "containerMetrics", list);
    for (guint i = 0; i < TELEMETRY_SAMPLES_MAX + 10; i++)
        json_array_append(list, container);
    telemetry_samples(samples, 1, message, NOW_US);
    g_assert_cmpuint(json_array_size(samples), ==, TELEMETRY_SAMPLES_MAX);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/telemetry/a container's sets", test_a_container);
    g_test_add_func("/telemetry/times near ours are believed, others not", test_times);
    g_test_add_func("/telemetry/integer sets have an upper part", test_overflow);
    g_test_add_func("/telemetry/what makes no sense is left out", test_nonsense);
    g_test_add_func("/telemetry/an idle instance uses nothing", test_idle);
    g_test_add_func("/telemetry/a message is bounded", test_bound);
    return g_test_run();
}
