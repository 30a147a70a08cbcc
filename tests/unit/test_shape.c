/* shape, catalog: trees are checked by the generated tables, and actions are found in them. */
#include "base/errors.h"
#include "catalog/catalog.h"
#include "shape/check.h"
#include "shape/text.h"

#include <string.h>

static const Operation *operation(ServiceId service, const char *name)
{
    const Operation *found = catalog_operation(&catalog_services[service], name);

    g_assert_nonnull(found);
    return found;
}

typedef struct {
    ServiceId service;
    const char *operation;
    const char *request; /* JSON */
    ErrorCode code;      /* ERROR__COUNT: it is good */
    const char *says;    /* part of the message */
} Case;

static const Case cases[] = {
    { SERVICE_EC2, "RunInstances", "{\"MinCount\":1,\"MaxCount\":2}", ERROR__COUNT, NULL },
    { SERVICE_EC2, "RunInstances", "{\"MinCount\":1}", ERROR_MISSING_PARAMETER, "MaxCount" },
    { SERVICE_EC2, "RunInstances", "{\"MinCount\":\"1\",\"MaxCount\":1}", ERROR_INVALID_PARAMETER,
      "MinCount" },
    { SERVICE_EC2, "RunInstances", "{\"MinCount\":1,\"MaxCount\":2147483648}",
      ERROR_INVALID_PARAMETER, "32 bits" },
    { SERVICE_EC2, "RunInstances", "{\"MinCount\":1,\"MaxCount\":1,\"Nonsense\":1}",
      ERROR_UNKNOWN_PARAMETER, "Nonsense" },
    { SERVICE_EC2, "RunInstances",
      "{\"MinCount\":1,\"MaxCount\":1,\"TagSpecifications\":[{\"ResourceType\":\"instances\"}]}",
      ERROR_INVALID_PARAMETER, "TagSpecification.1.ResourceType" },
    { SERVICE_EC2, "RunInstances",
      "{\"MinCount\":1,\"MaxCount\":1,\"InstanceType\":\"our.own\"}", ERROR__COUNT, NULL },
    { SERVICE_EC2, "DescribeInstances", "{\"Filters\":[{\"Name\":\"a\",\"Values\":[\"b\",7]}]}",
      ERROR_INVALID_PARAMETER, "Filter.1.Value.2" },
    { SERVICE_EC2, "DescribeInstances", "{\"InstanceIds\":{}}", ERROR_INVALID_PARAMETER,
      "InstanceId" },
    { SERVICE_EC2, "CreateTags",
      "{\"Resources\":[\"i-1\"],\"Tags\":[{\"Key\":\"k\",\"Value\":\"a\\u0001b\"}]}",
      ERROR_INVALID_PARAMETER, "Tag.1.Value" },
    { SERVICE_EC2, "CreateTags",
      "{\"Resources\":[\"i-1\"],\"Tags\":[{\"Key\":\"k\",\"Value\":\"\\uffff\"}]}",
      ERROR_INVALID_PARAMETER, "control character" },
    { SERVICE_EC2, "ImportKeyPair", "{\"KeyName\":\"k\",\"PublicKeyMaterial\":\"not base64\"}",
      ERROR_INVALID_PARAMETER, "PublicKeyMaterial" },
    { SERVICE_EC2, "DescribeVolumesModifications", "{\"DryRun\":null}", ERROR__COUNT, NULL },
    { SERVICE_ECS, "RunTask", "{\"taskDefinition\":\"t\",\"somethingNew\":{\"a\":1}}", ERROR__COUNT,
      NULL },
    { SERVICE_ECS, "RunTask", "{}", ERROR_MISSING_PARAMETER, "taskDefinition" },
    { SERVICE_ECS, "RunTask", "{\"taskDefinition\":7}", ERROR_MALFORMED_REQUEST, "taskDefinition" },
    { SERVICE_ECS, "RunTask", "{\"taskDefinition\":\"t\",\"launchType\":\"ROCKET\"}",
      ERROR_INVALID_PARAMETER, "ROCKET" },
    { SERVICE_ECS, "RunTask", "{\"taskDefinition\":\"t\",\"count\":1.5}", ERROR_MALFORMED_REQUEST,
      "count" },
    { SERVICE_STS, "AssumeRole",
      "{\"RoleArn\":\"arn:aws:iam::123456789012:role/r\",\"RoleSessionName\":\"us\","
      "\"DurationSeconds\":1}",
      ERROR_INVALID_PARAMETER, "less than 900" },
    { SERVICE_STS, "AssumeRole", "{\"RoleArn\":\"short\",\"RoleSessionName\":\"us\"}",
      ERROR_INVALID_PARAMETER, "RoleArn" },
    { SERVICE_STS, "GetCallerIdentity", "[]", ERROR_MALFORMED_REQUEST, NULL },
    { SERVICE_BERTH, "AddHost", "{\"Uri\":\"qemu:///system\",\"ZoneName\":\"z\",\"SharePercent\":101}",
      ERROR_INVALID_PARAMETER, "more than 100" },
};

static void test_requests_are_checked(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Service *service = &catalog_services[cases[i].service];
        const Shape *shape = operation_input(operation(cases[i].service, cases[i].operation));
        json_auto_t *tree = json_loads(cases[i].request, 0, NULL);
        g_autoptr(GError) error = NULL;

        g_test_message("%s %s", cases[i].operation, cases[i].request);
        g_assert_nonnull(tree);
        gboolean good = shape_check(tree, shape, (Protocol)service->protocol, &error);
        g_assert_cmpint(good, ==, cases[i].code == ERROR__COUNT);
        if (good)
            continue;
        g_assert_cmpstr(error_symbol(error_code(error)), ==, error_symbol(cases[i].code));
        g_test_message("%s", error->message);
        if (cases[i].says)
            g_assert_nonnull(strstr(error->message, cases[i].says));
    }
}

static void test_json_loses_what_is_unknown_or_null(void)
{
    const Shape *shape = operation_input(operation(SERVICE_ECS, "RunTask"));
    json_auto_t *tree = json_loads("{\"taskDefinition\":\"t\",\"new\":1,\"count\":null,"
                                   "\"overrides\":{\"new\":1,\"cpu\":\"1\"}}", 0, NULL);
    json_auto_t *want = json_loads("{\"taskDefinition\":\"t\",\"overrides\":{\"cpu\":\"1\"}}", 0,
                                   NULL);

    g_assert_true(shape_check(tree, shape, PROTOCOL_JSON, NULL));
    g_assert_true(json_equal(tree, want));
}

static void test_bounds_hold(void)
{
    const Shape *shape = operation_input(operation(SERVICE_EC2, "DescribeInstances"));
    json_auto_t *many = json_array();
    g_autofree char *text = g_strnfill(SHAPE_STRING_MAX + 1, 'x');
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i <= SHAPE_LIST_MAX; i++)
        json_array_append_new(many, json_string("i"));
    json_auto_t *tree = json_pack("{s:O}", "InstanceIds", many);
    g_assert_false(shape_check(tree, shape, PROTOCOL_EC2, &error));
    g_assert_nonnull(strstr(error->message, "too many"));
    json_array_remove(many, 0);
    g_assert_true(shape_check(tree, shape, PROTOCOL_EC2, NULL));
    g_clear_error(&error);
    json_auto_t *large = json_pack("{s:[s]}", "InstanceIds", text);
    g_assert_false(shape_check(large, shape, PROTOCOL_EC2, &error));
    g_assert_nonnull(strstr(error->message, "too long"));
}

static void test_answers_are_checked_strictly(void)
{
    static const struct {
        const char *answer;
        gboolean good;
    } answers[] = {
        { "{}", TRUE },
        { "{\"Reservations\":[]}", TRUE },
        { "{\"Reservations\":[{\"Instances\":[{\"LaunchTime\":1,\"EbsOptimized\":true}]}]}", TRUE },
        { "{\"Reservations\":null}", FALSE },
        { "{\"Reservations\":{}}", FALSE },
        { "{\"reservations\":[]}", FALSE },
        { "{\"Reservations\":[{\"Instances\":[{\"State\":{\"Name\":\"sleeping\"}}]}]}", FALSE },
        { "{\"Reservations\":[{\"Instances\":[{\"LaunchTime\":\"2026-01-31T12:00:00Z\"}]}]}", FALSE },
        { "{\"Reservations\":[{\"Instances\":[{\"AmiLaunchIndex\":1.0}]}]}", FALSE },
        { "[]", FALSE },
    };
    const Shape *shape = operation_output(operation(SERVICE_EC2, "DescribeInstances"));

    for (gsize i = 0; i < G_N_ELEMENTS(answers); i++) {
        json_auto_t *tree = json_loads(answers[i].answer, 0, NULL);
        g_autoptr(GError) error = NULL;

        g_test_message("%s", answers[i].answer);
        g_assert_cmpint(shape_check_output(tree, shape, &error), ==, answers[i].good);
        if (!answers[i].good)
            g_assert_true(error_is(error, ERROR_INTERNAL));
    }
}

static void test_leaves_from_text(void)
{
    static const struct {
        ShapeKind kind;
        const char *text;
        const char *json; /* NULL: refused */
    } leaves[] = {
        { SHAPE_INTEGER, "12", "12" },
        { SHAPE_INTEGER, "-1", "-1" },
        { SHAPE_INTEGER, "2147483648", NULL },
        { SHAPE_INTEGER, "", NULL },
        { SHAPE_INTEGER, " 1", NULL },
        { SHAPE_INTEGER, "+1", NULL },
        { SHAPE_INTEGER, "1x", NULL },
        { SHAPE_LONG, "9223372036854775807", "9223372036854775807" },
        { SHAPE_LONG, "9223372036854775808", NULL },
        { SHAPE_DOUBLE, "0.5", "0.5" },
        { SHAPE_DOUBLE, "inf", NULL },
        { SHAPE_DOUBLE, "nan", NULL },
        { SHAPE_DOUBLE, "", NULL },
        { SHAPE_BOOLEAN, "True", "true" },
        { SHAPE_BOOLEAN, "0", "false" },
        { SHAPE_BOOLEAN, "yes", NULL },
        { SHAPE_TIMESTAMP, "1970-01-01T00:00:01.5Z", "1500000" },
        { SHAPE_TIMESTAMP, "yesterday", NULL },
        { SHAPE_STRING, "", "\"\"" },
        { SHAPE_BLOB, "YWI=", "\"YWI=\"" },
        { SHAPE_BLOB, "YWI", NULL },
        { SHAPE_BLOB, "Y===", NULL },
        { SHAPE_BLOB, "YW=I", NULL },
        { SHAPE_LIST, "x", NULL },
        { SHAPE_STRUCTURE, "x", NULL },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(leaves); i++) {
        const Shape shape = { .kind = (guint8)leaves[i].kind };
        g_autoptr(GError) error = NULL;
        json_auto_t *value = shape_value_from_text(&shape, leaves[i].text, "Field.1", &error);

        g_test_message("%d \"%s\"", leaves[i].kind, leaves[i].text);
        if (!leaves[i].json) {
            g_assert_null(value);
            g_assert_true(error_is(error, ERROR_INVALID_PARAMETER));
            g_assert_nonnull(strstr(error->message, "Field.1"));
            continue;
        }
        json_auto_t *want = json_loads(leaves[i].json, JSON_DECODE_ANY, NULL);
        g_assert_true(json_equal(value, want));
    }
}

static void test_services_are_found(void)
{
    const char *action = NULL;

    g_assert_true(catalog_by_target("AmazonEC2ContainerServiceV20141113.RunTask", &action) ==
                  &catalog_services[SERVICE_ECS]);
    g_assert_cmpstr(action, ==, "RunTask");
    g_assert_true(catalog_by_target("BerthV1.AddHost", &action) ==
                  &catalog_services[SERVICE_BERTH]);
    g_assert_null(catalog_by_target("BerthV1", &action));
    g_assert_null(catalog_by_target("BerthV10.AddHost", &action));
    g_assert_null(catalog_by_target("", &action));
    g_assert_true(catalog_by_version("2016-11-15") == &catalog_services[SERVICE_EC2]);
    g_assert_true(catalog_by_version("2011-06-15") == &catalog_services[SERVICE_STS]);
    g_assert_null(catalog_by_version("2014-11-13")); /* a JSON service has no Version */
    g_assert_true(catalog_by_signing_name("ecs", NULL) == &catalog_services[SERVICE_ECS]);
    g_assert_true(catalog_by_signing_name("ec2", "2014-10-01") == &catalog_services[SERVICE_EC2]);
    g_assert_null(catalog_by_signing_name("s3", NULL));
}

static void test_every_operation_is_found_by_name(void)
{
    for (guint s = 0; s < SERVICE__COUNT; s++)
        for (guint i = 0; i < catalog_services[s].operation_count; i++) {
            const Operation *row = &catalog_services[s].operations[i];
            g_assert_true(catalog_operation(&catalog_services[s], operation_name(row)) == row);
            g_assert_cmpuint(catalog_operation_index(&catalog_services[s], row), ==, i);
        }
    g_assert_cmpuint(catalog_services[SERVICE_EC2].operation_count, >=, 576);
    g_assert_true(operation(SERVICE_EC2, "RunInstances") ==
                  &catalog_services[SERVICE_EC2].operations[OP_EC2_RunInstances]);
}

static void test_what_is_not_built_says_so(void)
{
    const Service *ec2 = &catalog_services[SERVICE_EC2];
    g_autoptr(GError) error = NULL;

    g_assert_nonnull(catalog_require(ec2, "RunInstances", NULL));
    g_assert_null(catalog_require(ec2, "CreateVpnGateway", &error));
    g_assert_true(error_is(error, ERROR_UNSUPPORTED));
    g_clear_error(&error);
    g_assert_null(catalog_require(ec2, "MakeCoffee", &error));
    g_assert_true(error_is(error, ERROR_UNKNOWN_ACTION));
    g_assert_cmpstr(error->message, ==,
                    "The action MakeCoffee is not valid for this web service.");
}

static void test_rows_point_into_their_tables(void)
{
    const Shape *run = operation_input(operation(SERVICE_EC2, "RunInstances"));
    const ShapeMember *token = shape_member(run, "ClientToken");
    const ShapeMember *groups = shape_member(run, "SecurityGroupIds");

    g_assert_true(token->flags & MEMBER_TOKEN);
    g_assert_cmpstr(shape_text(groups->wire_in), ==, "SecurityGroupId");
    g_assert_true(shape_member_by_wire_in(run, "SecurityGroupId.1", 15) == groups);
    g_assert_null(shape_member_by_wire_in(run, "SecurityGroupIds", 16));
    g_assert_null(shape_member_by_wire_in(run, "Security", 8));
    g_assert_null(shape_member(run, ""));
}

static void test_excerpts_are_short_and_whole(void)
{
    static const char *const texts[] = { "", "a", "\xc3\xa9" };
    g_autofree char *long_text = g_strnfill(100, 'x');
    g_autofree char *cut = shape_excerpt(long_text);
    g_autofree char *repaired = shape_excerpt("a\xff");

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *same = shape_excerpt(texts[i]);
        g_assert_cmpstr(same, ==, texts[i]);
    }
    g_assert_cmpuint(strlen(cut), ==, 64);
    g_assert_cmpstr(repaired, ==, "a\xef\xbf\xbd");
}

/* Each ${Member} of a row's resource is a member of the request, or the policy would never match. */
static void check_resource(const Operation *row, const char *resource)
{
    for (const char *at = strstr(resource, "${"); at; at = strstr(at + 2, "${")) {
        g_autofree char *member = g_strndup(at + 2, strcspn(at + 2, "}"));

        g_test_message("%s %s", operation_name(row), resource);
        g_assert_nonnull(operation_input(row));
        g_assert_nonnull(shape_member(operation_input(row), member));
    }
}

static void test_action_rows_name_members_of_their_requests(void)
{
    for (guint s = 0; s < SERVICE__COUNT; s++)
        for (guint i = 0; i < catalog_services[s].operation_count; i++) {
            const Operation *row = &catalog_services[s].operations[i];
            const Action *action = catalog_action(&catalog_services[s], row);
            if (action)
                check_resource(row, action->resource);
        }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/shape/requests-are-checked", test_requests_are_checked);
    g_test_add_func("/shape/json-loses-the-unknown", test_json_loses_what_is_unknown_or_null);
    g_test_add_func("/shape/bounds", test_bounds_hold);
    g_test_add_func("/shape/answers-are-strict", test_answers_are_checked_strictly);
    g_test_add_func("/shape/leaves-from-text", test_leaves_from_text);
    g_test_add_func("/shape/rows", test_rows_point_into_their_tables);
    g_test_add_func("/catalog/services-are-found", test_services_are_found);
    g_test_add_func("/catalog/operations-are-found", test_every_operation_is_found_by_name);
    g_test_add_func("/catalog/what-is-not-built", test_what_is_not_built_says_so);
    g_test_add_func("/shape/excerpts", test_excerpts_are_short_and_whole);
    g_test_add_func("/catalog/rows-name-members", test_action_rows_name_members_of_their_requests);
    return g_test_run();
}
