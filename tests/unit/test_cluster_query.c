/* The cluster query language: a table of expressions against one container instance. */
#include "base/clock.h"
#include "base/errors.h"
#include "model/cluster_query.h"

#include <string.h>

static const char *attribute(gpointer instance G_GNUC_UNUSED, const char *name)
{
    static const struct {
        const char *name, *value;
    } has[] = { { "ecs.instance-type", "t2.micro" }, { "rack", "12" }, { "flag", "" } };

    for (guint n = 0; n < G_N_ELEMENTS(has); n++)
        if (strcmp(has[n].name, name) == 0)
            return has[n].value;
    return NULL;
}

static gboolean runs_group(gpointer instance G_GNUC_UNUSED, const char *group,
                           const GRegex *pattern)
{
    return group ? strcmp(group, "service:web") == 0
                 : g_regex_match(pattern, "service:web", 0, NULL);
}

static ClusterQuerySubject subject(void)
{
    ClusterQuerySubject s = {
        .attribute = attribute,
        .runs_group = runs_group,
        .agent_connected = TRUE,
        .agent_version = "1.10.2",
        .ec2_instance_id = "i-0123456789abcdef0",
        .running_tasks = 3,
    };

    g_assert_true(clock_parse_iso("2026-06-18T22:28:28Z", &s.registered_us));
    return s;
}

static void test_expressions(void)
{
    static const struct {
        const char *text;
        gboolean holds;
    } cases[] = {
        { "attribute:ecs.instance-type == t2.micro", TRUE },
        { "attribute:ecs.instance-type equals 't2.micro'", TRUE },
        { "attribute:ecs.instance-type != t2.micro", FALSE },
        { "attribute:ecs.instance-type =~ t2.*", TRUE },
        { "attribute:ecs.instance-type =~ t2", FALSE },
        { "attribute:ecs.instance-type matches t2.*|t3.*", TRUE },
        { "attribute:ecs.instance-type !~ t3.*", TRUE },
        { "attribute:ecs.instance-type in [t2.small, t2.micro]", TRUE },
        { "attribute:ecs.instance-type not_in [t2.small,t2.micro]", FALSE },
        { "attribute:ecs.instance-type !in [t3.small]", TRUE },
        { "attribute:rack > 9", TRUE },
        { "attribute:rack < 9", FALSE },
        { "attribute:rack greater_than_equal 12", TRUE },
        { "attribute:flag exists", TRUE },
        { "attribute:flag !exists", FALSE },
        { "attribute:none exists", FALSE },
        { "attribute:none not_exists", TRUE },
        { "attribute:none == a", FALSE },
        { "attribute:none != a", TRUE },
        { "attribute:none not_in [a]", TRUE },
        { "attribute:none !~ a", TRUE },
        { "attribute:none > 1", FALSE },
        { "agentConnected == true", TRUE },
        { "AGENTCONNECTED == TRUE", TRUE },
        { "agentVersion >= 1.9.0", TRUE },
        { "agentVersion < 1.10.10", TRUE },
        { "agentVersion > 1.10.2", FALSE },
        { "ec2InstanceId in ['i-0123456789abcdef0', 'i-1']", TRUE },
        { "registeredAt > 2026-06-18", TRUE },
        { "registeredAt < 2026-06-18T22:28:28Z", FALSE },
        { "registeredAt <= 2026-06-18T22:28:28+00:00", TRUE },
        { "runningTasksCount == 3", TRUE },
        { "runningTasksCount > 10", FALSE },
        { "task:group == service:web", TRUE },
        { "task:group == service:db", FALSE },
        { "task:group != service:db", TRUE },
        { "task:group =~ service:.*", TRUE },
        { "not(task:group == service:web)", FALSE },
        { "!(attribute:rack == 1) && runningTasksCount == 3", TRUE },
        { "attribute:rack == 1 or attribute:rack == 12 and runningTasksCount == 4", FALSE },
        { "(attribute:rack == 1 or attribute:rack == 12) and runningTasksCount == 3", TRUE },
        { "attribute:rack == 1||attribute:rack == 12", TRUE },
    };
    ClusterQuerySubject s = subject();

    for (guint n = 0; n < G_N_ELEMENTS(cases); n++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(ClusterQuery) query = cluster_query_parse(cases[n].text, &error);
        g_assert_no_error(error);
        g_test_message("%s", cases[n].text);
        g_assert_cmpint(cluster_query_matches(query, &s), ==, cases[n].holds);
    }
}

static void test_wrong_expressions_are_refused(void)
{
    static const char *const cases[] = {
        "",
        "attribute:",
        "attribute:a",
        "attribute:a ==",
        "attribute:a == 'b",
        "attribute:a in b",
        "attribute:a in [b",
        "attribute:a =~ (",
        "nonsense == 1",
        "(attribute:a == b",
        "attribute:a == b)",
        "attribute:a == b and",
        "not",
        "attribute:a == b attribute:c == d",
    };
    g_autofree char *deep = g_strnfill(500, '(');
    g_autofree char *long_text = g_strnfill(CLUSTER_QUERY_MAX + 1, 'a');

    for (guint n = 0; n < G_N_ELEMENTS(cases) + 2; n++) {
        const char *text = n < G_N_ELEMENTS(cases)    ? cases[n]
                           : n == G_N_ELEMENTS(cases) ? deep
                                                      : long_text;
        g_autoptr(GError) error = NULL;
        g_assert_null(cluster_query_parse(text, &error));
        g_assert_true(error_is(error, ERROR_INVALID_PARAMETER));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/query/expressions hold or not", test_expressions);
    g_test_add_func("/query/wrong expressions are refused", test_wrong_expressions_are_refused);
    return g_test_run();
}
