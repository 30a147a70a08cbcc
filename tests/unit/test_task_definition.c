/* Task definitions: what is refused, what is filled in, what a task holds. */
#include "base/errors.h"
#include "model/task_definition.h"

#include <string.h>

static json_t *parse(const char *text)
{
    json_error_t where;
    json_t *tree = json_loads(text, 0, &where);

    if (!tree)
        g_error("%s in %s", where.text, text);
    return tree;
}

static json_t *normalise(const char *members, const char *containers, GError **error)
{
    g_autofree char *text = g_strdup_printf("{\"family\":\"f\"%s,\"containerDefinitions\":[%s]}",
                                            members, containers);
    json_auto_t *request = parse(text);

    return task_definition_normalise(request, error);
}

#define TEN "0,1,2,3,4,5,6,7,8,9,"
#define A "\"name\":\"a\",\"image\":\"i\",\"memory\":64"

/* {members of the definition, containers, part of the message} */
static void test_wrong_definitions_are_refused(void)
{
    static const struct {
        const char *members, *containers, *words;
    } cases[] = {
        { "", "", "Container definitions" },
        { "", "{\"image\":\"i\"}", "Container.name should not be null or empty." },
        { "", "{\"name\":\"a\"}", "Container.image should not be null or empty." },
        { "", "{\"name\":\"a b\",\"image\":\"i\"}", "Invalid container name" },
        { "", "{\"name\":\"a\",\"image\":\"i\"}", "At least one of 'memory' or" },
        { "", "{\"name\":\"a\",\"image\":\"i\",\"memory\":3}", "not between 6" },
        { "", "{" A ",\"memoryReservation\":64}", "'memory' must be greater" },
        { "", "{" A ",\"essential\":false}", "At least one essential" },
        { "", "{" A "},{" A "}", "used more than once" },
        { "", "{" A ",\"cpu\":-1}", "'cpu'" },
        { ",\"cpu\":\"1 vCPU\"", "{" A ",\"cpu\":2000}", "total cpu" },
        { ",\"memory\":\"32\"", "{" A "}", "total memory" },
        { ",\"cpu\":\"lots\"", "{" A "}", "Invalid 'cpu' setting for task." },
        { ",\"memory\":\"-1\"", "{" A "}", "Invalid 'memory' setting for task." },
        { ",\"networkMode\":\"awsvpc\"", "{" A ",\"links\":[\"b\"]}", "Links are not supported" },
        { ",\"networkMode\":\"host\"",
          "{" A ",\"portMappings\":[{\"containerPort\":80,\"hostPort\":81}]}", "must match" },
        { ",\"networkMode\":\"none\"", "{" A ",\"portMappings\":[{\"containerPort\":80}]}",
          "portMappings is not supported" },
        { "", "{" A ",\"portMappings\":[{\"containerPort\":70000}]}", "1 to 65535" },
        { "", "{" A ",\"portMappings\":[{\"containerPort\":80,\"hostPort\":80},"
              "{\"containerPort\":81,\"hostPort\":80}]}", "more than once" },
        { "", "{" A ",\"healthCheck\":{\"command\":[\"curl\"]}}", "healthCheck.command" },
        { "", "{" A ",\"healthCheck\":{\"command\":[\"CMD\",\"a\"],\"interval\":1}}", "interval" },
        { "", "{" A ",\"logConfiguration\":{\"logDriver\":\"paper\"}}", "Invalid log driver" },
        { "", "{" A ",\"environment\":[{\"name\":\"a=b\",\"value\":\"\"}]}", "environment variable" },
        { "", "{" A ",\"mountPoints\":[{\"sourceVolume\":\"v\",\"containerPath\":\"/v\"}]}",
          "Unknown volume 'v'." },
        { "", "{" A ",\"volumesFrom\":[{\"sourceContainer\":\"b\"}]}", "Unknown container 'b'" },
        { "", "{" A ",\"links\":[\"b\"]}", "Invalid link" },
        { "", "{" A ",\"dependsOn\":[{\"containerName\":\"b\",\"condition\":\"START\"}]}",
          "unknown container" },
        { "", "{" A "},{\"name\":\"b\",\"image\":\"i\",\"memory\":64,\"dependsOn\":"
              "[{\"containerName\":\"a\",\"condition\":\"COMPLETE\"}]}", "essential container 'a'" },
        { "", "{" A "},{\"name\":\"b\",\"image\":\"i\",\"memory\":64,\"dependsOn\":"
              "[{\"containerName\":\"a\",\"condition\":\"HEALTHY\"}]}", "no health check" },
        { ",\"volumes\":[{\"name\":\"v\"},{\"name\":\"v\"}]", "{" A "}", "used more than once" },
        { ",\"placementConstraints\":[{\"type\":\"distinctInstance\"}]", "{" A "}",
          "not supported here" },
        { ",\"placementConstraints\":[{\"type\":\"memberOf\",\"expression\":\"a ==\"}]",
          "{" A "}", "Invalid placement constraint expression" },
        { "", "{" A ",\"restartPolicy\":{\"enabled\":true,\"restartAttemptPeriod\":59}}",
          "'restartPolicy.restartAttemptPeriod' setting for container 'a': 59 is not between 60" },
        { "", "{" A ",\"restartPolicy\":{\"enabled\":true,\"restartAttemptPeriod\":1801}}",
          "1801 is not between 60 and 1800" },
        { "", "{" A ",\"restartPolicy\":{\"enabled\":true,\"ignoredExitCodes\":[" TEN TEN TEN TEN
              TEN "1]}}", "more than 50 exit codes" },
        { "", "{" A ",\"environmentFiles\":[{\"type\":\"s3\",\"value\":\"arn:aws:s3:::b/k\"}]}",
          "Invalid environment file 'arn:aws:s3:::b/k'" },
        { "", "{" A ",\"environmentFiles\":[{\"type\":\"s3\",\"value\":\"s3://b/k.env\"}]}",
          "Invalid environment file 's3://b/k.env'" },
        { ",\"requiresCompatibilities\":[\"FARGATE\"],\"networkMode\":\"bridge\"", "{" A "}",
          "Fargate only supports network mode" },
        { ",\"requiresCompatibilities\":[\"FARGATE\"],\"cpu\":\"256\",\"memory\":\"3072\"",
          "{" A "}", "No Fargate configuration exists for given values." },
    };

    for (guint n = 0; n < G_N_ELEMENTS(cases); n++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(normalise(cases[n].members, cases[n].containers, &error));
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, cases[n].words));
    }
}

static gboolean requires(const json_t *definition, const char *name)
{
    const json_t *entry;
    size_t n;

    json_array_foreach(json_object_get(definition, "requiresAttributes"), n, entry)
        if (strcmp(tree_text(entry, "name"), name) == 0)
            return TRUE;
    return FALSE;
}

static void test_attributes_follow_from_what_is_used(void)
{
    static const struct {
        const char *members, *containers, *attribute;
    } cases[] = {
        { "", "{" A ",\"logConfiguration\":{\"logDriver\":\"json-file\"}}",
          "com.amazonaws.ecs.capability.logging-driver.json-file" },
        { "", "{" A ",\"memoryReservation\":32}",
          "com.amazonaws.ecs.capability.docker-remote-api.1.21" },
        { "", "{" A ",\"healthCheck\":{\"command\":[\"CMD\",\"a\"]}}",
          "ecs.capability.container-health-check" },
        { "", "{" A ",\"restartPolicy\":{\"enabled\":true,\"ignoredExitCodes\":[0]}}",
          "ecs.capability.container-restart-policy" },
        { "", "{" A ",\"environmentFiles\":[{\"type\":\"s3\",\"value\":\"arn:aws:s3:::b/k.env\"}]}",
          "ecs.capability.env-files.s3" },
        { ",\"pidMode\":\"task\"", "{" A "}", "ecs.capability.pid-ipc-namespace-sharing" },
        { "", "{" A ",\"privileged\":true}", "com.amazonaws.ecs.capability.privileged-container" },
        { "", "{" A ",\"stopTimeout\":3}", "ecs.capability.container-ordering" },
        { ",\"cpu\":\"256\"", "{" A "}", "ecs.capability.task-cpu-mem-limit" },
        { ",\"networkMode\":\"awsvpc\"", "{" A "}", "ecs.capability.task-eni" },
        { ",\"taskRoleArn\":\"r\"", "{" A "}", "com.amazonaws.ecs.capability.task-iam-role" },
        { ",\"volumes\":[{\"name\":\"v\",\"dockerVolumeConfiguration\":{\"driver\":\"x\"}}]",
          "{" A "}", "ecs.capability.docker-plugin.x" },
    };
    json_auto_t *plain = normalise("", "{" A "}", NULL);

    g_assert_cmpuint(json_array_size(json_object_get(plain, "requiresAttributes")), ==, 0);
    for (guint n = 0; n < G_N_ELEMENTS(cases); n++) {
        g_autoptr(GError) error = NULL;
        json_auto_t *definition = normalise(cases[n].members, cases[n].containers, &error);
        g_assert_no_error(error);
        g_assert_true(requires(definition, cases[n].attribute));
    }
}

static void test_an_empty_text_is_none(void)
{
    g_autoptr(GError) error = NULL;
    json_auto_t *definition =
        normalise(",\"taskRoleArn\":\"\",\"networkMode\":\"\",\"cpu\":\"\"", "{" A "}", &error);

    g_assert_no_error(error);
    g_assert_null(json_object_get(definition, "taskRoleArn"));
    g_assert_null(json_object_get(definition, "cpu"));
    g_assert_cmpstr(tree_text(definition, "networkMode"), ==, "bridge");
    g_assert_false(requires(definition, "com.amazonaws.ecs.capability.task-iam-role"));
}

static void test_a_normalised_definition_normalises_to_itself(void)
{
    json_auto_t *once = normalise(",\"cpu\":\"0.5 vCPU\",\"memory\":\"1 GB\"",
                                  "{" A ",\"portMappings\":[{\"containerPort\":80}]}", NULL);
    json_auto_t *twice = task_definition_normalise(once, NULL);

    g_assert_cmpstr(tree_text(once, "cpu"), ==, "512");
    g_assert_cmpstr(tree_text(once, "memory"), ==, "1024");
    g_assert_true(json_equal(once, twice));
}

static void test_what_a_task_holds(void)
{
    static const struct {
        const char *members, *containers, *overrides;
        gint64 cpu, memory;
        guint tcp, udp;
    } cases[] = {
        { "", "{" A ",\"cpu\":10},{\"name\":\"b\",\"image\":\"i\",\"memoryReservation\":32}", "{}",
          10, 96, 0, 0 },
        { "", "{" A ",\"memoryReservation\":32,\"portMappings\":[{\"containerPort\":80,"
              "\"hostPort\":80},{\"containerPort\":53,\"hostPort\":53,\"protocol\":\"udp\"},"
              "{\"containerPort\":81}]}", "{}", 0, 32, 1, 1 },
        { ",\"cpu\":\"256\",\"memory\":\"512\"", "{" A "}", "{}", 256, 512, 0, 0 },
        { ",\"cpu\":\"256\",\"memory\":\"512\"", "{" A "}", "{\"cpu\":\"1024\"}", 1024, 512, 0, 0 },
        { "", "{" A "}", "{\"containerOverrides\":[{\"name\":\"a\",\"cpu\":7,\"memory\":128}]}", 7,
          128, 0, 0 },
        { ",\"networkMode\":\"host\"", "{" A ",\"portMappings\":[{\"containerPort\":80}]}", "{}", 0,
          64, 1, 0 },
        { ",\"networkMode\":\"awsvpc\"", "{" A ",\"portMappings\":[{\"containerPort\":80}]}", "{}",
          0, 64, 0, 0 },
    };

    for (guint n = 0; n < G_N_ELEMENTS(cases); n++) {
        json_auto_t *definition = normalise(cases[n].members, cases[n].containers, NULL);
        json_auto_t *overrides = parse(cases[n].overrides);
        g_autoptr(TaskHold) hold = task_definition_hold(definition, overrides);
        g_assert_cmpint(hold->cpu, ==, cases[n].cpu);
        g_assert_cmpint(hold->memory_mib, ==, cases[n].memory);
        g_assert_cmpuint(hold->ports_tcp->len, ==, cases[n].tcp);
        g_assert_cmpuint(hold->ports_udp->len, ==, cases[n].udp);
    }
}

static void test_strategies_are_shown_in_one_form(void)
{
    static const struct {
        const char *given, *shown;
    } cases[] = {
        { "[{\"type\":\"binpack\",\"field\":\"MEMORY\"}]",
          "[{\"type\":\"binpack\",\"field\":\"memory\"}]" },
        { "[{\"type\":\"spread\",\"field\":\"host\"}]",
          "[{\"type\":\"spread\",\"field\":\"instanceId\"}]" },
        { "[{\"type\":\"random\"}]", "[{\"type\":\"random\"}]" },
        { "[{\"type\":\"binpack\",\"field\":\"disk\"}]", NULL },
        { "[{\"type\":\"spread\"}]", NULL },
        { "[{\"type\":\"random\",\"field\":\"cpu\"}]", NULL },
    };

    for (guint n = 0; n < G_N_ELEMENTS(cases); n++) {
        json_auto_t *given = parse(cases[n].given);
        json_auto_t *got = placement_strategy_normalise(given, NULL);
        json_auto_t *expected = cases[n].shown ? parse(cases[n].shown) : NULL;
        g_assert_true(expected ? json_equal(got, expected) : got == NULL);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/definition/wrong ones are refused", test_wrong_definitions_are_refused);
    g_test_add_func("/definition/attributes follow from what is used",
                    test_attributes_follow_from_what_is_used);
    g_test_add_func("/definition/a normalised one normalises to itself",
                    test_a_normalised_definition_normalises_to_itself);
    g_test_add_func("/definition/an empty text is none", test_an_empty_text_is_none);
    g_test_add_func("/definition/what a task holds", test_what_a_task_holds);
    g_test_add_func("/definition/strategies are shown in one form",
                    test_strategies_are_shown_in_one_form);
    return g_test_run();
}
