#include "base/errors.h"
#include "model/policy.h"

#include <string.h>

#define ARN "arn:aws:sts::123456789012:assumed-role/ecsInstanceRole/i-1"

static void test_decisions(void)
{
    static const PolicyPrincipal person = { .principal_arn = ARN };
    static const PolicyPrincipal admin = { .admin = TRUE, .principal_arn = ARN };
    static const PolicyPrincipal agent = { .session = SESSION_INSTANCE, .principal_arn = ARN };
    static const PolicyPrincipal admins_agent = {
        .session = SESSION_INSTANCE, .admin = TRUE, .principal_arn = ARN
    };
    static const PolicyPrincipal other_role = { .session = SESSION_ASSUMED, .principal_arn = ARN };
    static const PolicyPrincipal task = { .session = SESSION_TASK, .principal_arn = ARN };
    static const PolicyPrincipal execution = { .session = SESSION_EXECUTION,
                                               .admin = TRUE,
                                               .principal_arn = ARN };
    static const struct {
        const PolicyPrincipal *who;
        const char *service;
        const char *action;
        gboolean allowed;
    } cases[] = {
        { &person, "ec2", "RunInstances", TRUE },
        { &person, "ecs", "RegisterContainerInstance", TRUE },
        { &person, "iam", "GetUser", TRUE },
        { &person, "berth", "GetStatus", FALSE },
        { &admin, "berth", "CreateAccount", TRUE },
        { &admin, "ec2", "RunInstances", TRUE },
        { &agent, "ecs", "RegisterContainerInstance", TRUE },
        { &agent, "ecs", "SubmitTaskStateChange", TRUE },
        { &agent, "ecs", "Poll", TRUE },
        { &agent, "ecs", "StartTelemetrySession", TRUE },
        { &agent, "ecs", "UpdateContainerInstancesState", TRUE },
        { &agent, "sts", "GetCallerIdentity", TRUE },
        { &agent, "ecs", "RunTask", FALSE },
        { &agent, "ecs", "DescribeTasks", FALSE },
        { &agent, "ec2", "Poll", FALSE },
        { &agent, "berth", "GetStatus", FALSE },
        { &admins_agent, "berth", "GetStatus", FALSE },
        { &admins_agent, "ec2", "TerminateInstances", FALSE },
        { &other_role, "sts", "GetCallerIdentity", TRUE },
        { &other_role, "ecs", "Poll", FALSE },
        { &other_role, "ec2", "DescribeInstances", FALSE },
        { &other_role, "ssm", "GetParameters", FALSE },
        { &task, "sts", "GetCallerIdentity", TRUE },
        { &task, "ecs", "UpdateTaskProtection", TRUE },
        { &task, "ecs", "SubmitTaskStateChange", FALSE },
        { &task, "ssm", "GetParameters", FALSE },
        { &execution, "ssm", "GetParameters", TRUE },
        { &execution, "secretsmanager", "GetSecretValue", TRUE },
        { &execution, "ssm", "PutParameter", FALSE },
        { &execution, "ecs", "GetTaskProtection", FALSE },
        { &execution, "ecs", "Poll", FALSE },
        { &execution, "berth", "GetStatus", FALSE },
        { &agent, "ssm", "GetParameters", FALSE },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s:%s", cases[i].service, cases[i].action);
        g_assert_cmpint(policy_allow(cases[i].who, cases[i].service, cases[i].action, "*", &error),
                        ==, cases[i].allowed);
        g_assert_cmpint(error_is(error, ERROR_ACCESS_DENIED), ==, !cases[i].allowed);
    }
}

static void test_kinds(void)
{
    for (guint kind = SESSION_ASSUMED; kind < SESSION__COUNT; kind++)
        g_assert_cmpint(session_kind_from(session_kind_name(kind)), ==, kind);
    /* what nobody knows may do least, and is never taken for a lasting key */
    g_assert_cmpint(session_kind_from("none"), ==, SESSION_ASSUMED);
    g_assert_cmpint(session_kind_from("something new"), ==, SESSION_ASSUMED);
    g_assert_cmpint(session_kind_from(NULL), ==, SESSION_ASSUMED);
}

static void test_sentence(void)
{
    static const PolicyPrincipal agent = { .session = SESSION_INSTANCE, .principal_arn = ARN };
    g_autoptr(GError) error = NULL;

    g_assert_false(policy_allow(&agent, "ecs", "RunTask", "arn:x", &error));
    g_assert_cmpstr(error->message, ==,
                    "User: " ARN " is not authorized to perform: ecs:RunTask on resource: arn:x "
                    "because no identity-based policy allows the ecs:RunTask action");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/decisions", test_decisions);
    g_test_add_func("/policy/kinds", test_kinds);
    g_test_add_func("/policy/sentence", test_sentence);
    return g_test_run();
}
