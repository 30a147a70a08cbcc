/* A call is shown as the stock command that makes it. */
#include "cli/explain.h"

#include <glib.h>

static void expect(const char *service, const char *action, json_t *params, const char *line)
{
    g_autofree char *got = explain_aws(service, action, params);

    g_assert_cmpstr(got, ==, line);
    json_decref(params);
}

static void test_names_are_those_of_the_stock_command(void)
{
    expect("ec2", "DescribeVpcs", json_object(), "aws ec2 describe-vpcs");
    expect("ecs", "StopTask", json_pack("{s:s, s:s}", "cluster", "default", "task", "0123"),
           "aws ecs stop-task --cluster default --task 0123");
    expect("ec2", "ModifyX", json_pack("{s:s, s:s}", "DBName", "a", "ClusterARN", "b"),
           "aws ec2 modify-x --db-name a --cluster-arn b");
}

static void test_lists_of_text_are_words_and_the_rest_is_json(void)
{
    expect("ec2", "StartInstances", json_pack("{s:[s, s]}", "InstanceIds", "i-1", "i-2"),
           "aws ec2 start-instances --instance-ids i-1 i-2");
    expect("ec2", "DescribeInstances",
           json_pack("{s:[{s:s, s:[s]}]}", "Filters", "Name", "tag:Name", "Values", "it's"),
           "aws ec2 describe-instances --filters "
           "'[{\"Name\":\"tag:Name\",\"Values\":[\"it'\\''s\"]}]'");
    expect("ecs", "CreateService", json_pack("{s:i}", "desiredCount", 2),
           "aws ecs create-service --desired-count 2");
}

static void test_flags_have_no_value(void)
{
    expect("ec2", "StopInstances", json_pack("{s:b}", "Force", 1), "aws ec2 stop-instances --force");
    expect("ec2", "StopInstances", json_pack("{s:b}", "Force", 0),
           "aws ec2 stop-instances --no-force");
}

static void test_the_stock_commands_own_forms(void)
{
    expect("ec2", "RunInstances", json_pack("{s:i, s:i}", "MinCount", 2, "MaxCount", 2),
           "aws ec2 run-instances --count 2");
    expect("ec2", "RunInstances", json_pack("{s:i, s:i}", "MinCount", 1, "MaxCount", 3),
           "aws ec2 run-instances --count 1:3");
    /* it encodes user data itself */
    expect("ec2", "RunInstances", json_pack("{s:s}", "UserData", "IyEvYmluL3No"),
           "aws ec2 run-instances --user-data '#!/bin/sh'");
}

static void test_words_are_quoted_for_a_shell(void)
{
    expect("ecs", "StopTask", json_pack("{s:s}", "reason", "a b; rm -rf $HOME"),
           "aws ecs stop-task --reason 'a b; rm -rf $HOME'");
    expect("ecs", "StopTask", json_pack("{s:s}", "reason", ""), "aws ecs stop-task --reason ''");
}

static void test_our_own_service_has_no_stock_command(void)
{
    g_autofree char *line = explain_aws("berth", "AddHost", NULL);

    g_assert_null(line);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/explain/names", test_names_are_those_of_the_stock_command);
    g_test_add_func("/explain/values", test_lists_of_text_are_words_and_the_rest_is_json);
    g_test_add_func("/explain/flags", test_flags_have_no_value);
    g_test_add_func("/explain/forms", test_the_stock_commands_own_forms);
    g_test_add_func("/explain/quoting", test_words_are_quoted_for_a_shell);
    g_test_add_func("/explain/own", test_our_own_service_has_no_stock_command);
    return g_test_run();
}
