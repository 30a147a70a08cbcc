/* wire: the corners of forms, queries, XML and JSON that botocore does not reach (wire_truth.t has the rest). */
#include "base/errors.h"
#include "catalog/catalog.h"
#include "wire/codec.h"
#include "wire/form.h"
#include "wire/json.h"
#include "wire/xml.h"
#include "wire/xml_read.h"

#include <string.h>

#define EC2 (&catalog_services[SERVICE_EC2])
#define ECS (&catalog_services[SERVICE_ECS])
#define IAM (&catalog_services[SERVICE_IAM])
#define STS (&catalog_services[SERVICE_STS])

static void test_forms_are_decoded(void)
{
    const char *text = "a=1&b=%C3%A9+x&&c&a=2&d==&%61b=%2B&e=";
    g_autoptr(Form) form = form_parse(text, strlen(text), NULL);

    g_assert_nonnull(form);
    g_assert_cmpuint(form->count, ==, 7);
    g_assert_cmpstr(form_get(form, "a"), ==, "2"); /* the last wins */
    g_assert_cmpstr(form_get(form, "b"), ==, "\xc3\xa9 x");
    g_assert_cmpstr(form_get(form, "c"), ==, "");
    g_assert_cmpstr(form_get(form, "d"), ==, "=");
    g_assert_cmpstr(form_get(form, "ab"), ==, "+");
    g_assert_cmpstr(form_get(form, "e"), ==, "");
    g_assert_null(form_get(form, "f"));
}

static void test_broken_forms_are_refused(void)
{
    static const struct {
        const char *text;
        gsize length;
    } broken[] = {
        { "a=%", 3 }, { "a=%4", 4 }, { "a=%zz", 5 },   { "%", 1 },
        { "a=%00", 5 }, { "a=\0", 3 }, { "a=%ff", 5 }, { "%c3=1", 5 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(form_parse(broken[i].text, broken[i].length, &error));
        g_assert_true(error_is(error, ERROR_MALFORMED_REQUEST));
    }
    g_autofree char *many = g_strnfill(FORM_FIELDS_MAX, '&');
    g_autoptr(GError) error = NULL;
    g_assert_null(form_parse(many, FORM_FIELDS_MAX, &error));
    g_assert_true(error_is(error, ERROR_TOO_LARGE));
}

/* A request, and the tree it is or the error it earns with a part of its message. */
typedef struct {
    ServiceId service;
    const char *operation;
    const char *body;
    const char *tree;
    ErrorCode code;
    const char *says;
} Request;

static const Request requests[] = {
    { SERVICE_EC2, "DescribeInstances", "Action=DescribeInstances&Version=2016-11-15", "{}", 0, NULL },
    { SERVICE_EC2, "DescribeInstances", "InstanceId.10=c&InstanceId.9=b&InstanceId.1=a",
      "{\"InstanceIds\":[\"a\",\"b\",\"c\"]}", 0, NULL },
    { SERVICE_EC2, "DescribeInstances", "InstanceId.0=a&InstanceId.01=c&InstanceId.1=b",
      "{\"InstanceIds\":[\"a\",\"b\",\"c\"]}", 0, NULL },
    { SERVICE_EC2, "DescribeInstances", "InstanceId.1=a&InstanceId.1=b", "{\"InstanceIds\":[\"b\"]}", 0,
      NULL },
    { SERVICE_EC2, "DescribeInstances", "InstanceId=", "{\"InstanceIds\":[]}", 0, NULL },
    { SERVICE_EC2, "DescribeInstances", "Filter.2.Value.3=y&Filter.2.Name=n&Filter.2.Value.1=x",
      "{\"Filters\":[{\"Name\":\"n\",\"Values\":[\"x\",\"y\"]}]}", 0, NULL },
    { SERVICE_EC2, "DescribeInstances", "X-Amz-Signature=1&X-Amz-Date=2&DryRun=TRUE",
      "{\"DryRun\":true}", 0, NULL },
    { SERVICE_EC2, "CreateTags", "ResourceId.1=i&Tag.1.Key=k&Tag.1.Value=",
      "{\"Resources\":[\"i\"],\"Tags\":[{\"Key\":\"k\",\"Value\":\"\"}]}", 0, NULL },
    { SERVICE_EC2, "DescribeInstances", "InstanceId=i-1", NULL, ERROR_INVALID_PARAMETER, "InstanceId" },
    { SERVICE_EC2, "DescribeInstances", "InstanceId.a=i-1", NULL, ERROR_UNKNOWN_PARAMETER,
      "InstanceId.a" },
    { SERVICE_EC2, "DescribeInstances", "InstanceId.1.x=i-1", NULL, ERROR_UNKNOWN_PARAMETER,
      "InstanceId.1.x" },
    { SERVICE_EC2, "DescribeInstances", "InstanceIds.1=i-1", NULL, ERROR_UNKNOWN_PARAMETER,
      "InstanceIds.1" },
    { SERVICE_EC2, "DescribeInstances", "Filter.1=x", NULL, ERROR_UNKNOWN_PARAMETER, "Filter.1" },
    { SERVICE_EC2, "DescribeInstances", "DryRun=maybe", NULL, ERROR_INVALID_PARAMETER, "DryRun" },
    { SERVICE_EC2, "DescribeInstances", "DryRun.Value=true", NULL, ERROR_UNKNOWN_PARAMETER, "DryRun" },
    { SERVICE_EC2, "DescribeInstances", ".=1", NULL, ERROR_UNKNOWN_PARAMETER, "." },
    { SERVICE_EC2, "DescribeInstances", "=1", NULL, ERROR_UNKNOWN_PARAMETER, NULL },
    { SERVICE_EC2, "DescribeInstances", "Filter.1..Name=x", NULL, ERROR_UNKNOWN_PARAMETER, "Filter.1..Name" },
    { SERVICE_EC2, "DescribeInstances", "Filter.1.Name.=x", "{\"Filters\":[{\"Name\":\"x\"}]}", 0, NULL },
    { SERVICE_EC2, "DescribeInstances", "MaxResults=5x", NULL, ERROR_INVALID_PARAMETER, "MaxResults" },
    { SERVICE_IAM, "TagUser", "UserName=u&Tags.member.2.Key=b&Tags.member.2.Value=2&Tags.member.1.Key=a&"
                              "Tags.member.1.Value=1",
      "{\"Tags\":[{\"Key\":\"a\",\"Value\":\"1\"},{\"Key\":\"b\",\"Value\":\"2\"}],\"UserName\":\"u\"}", 0,
      NULL },
    { SERVICE_IAM, "TagUser", "UserName=u&Tags=", "{\"Tags\":[],\"UserName\":\"u\"}", 0, NULL },
    { SERVICE_IAM, "TagUser", "UserName=u&Tags.1.Key=a", NULL, ERROR_UNKNOWN_PARAMETER, "Tags.1.Key" },
    { SERVICE_IAM, "TagUser", "UserName=u&Tags.member=a", NULL, ERROR_UNKNOWN_PARAMETER, "Tags.member" },
    { SERVICE_STS, "GetCallerIdentity", "Nonsense=1", NULL, ERROR_UNKNOWN_PARAMETER, "Nonsense" },
    { SERVICE_ECS, "ListClusters", "", "{}", 0, NULL },
    { SERVICE_ECS, "ListClusters", "{", NULL, ERROR_MALFORMED_REQUEST, NULL },
    { SERVICE_ECS, "ListClusters", "[]", NULL, ERROR_MALFORMED_REQUEST, NULL },
    { SERVICE_ECS, "ListClusters", "{} x", NULL, ERROR_MALFORMED_REQUEST, NULL },
    { SERVICE_ECS, "SubmitTaskStateChange", "{\"pullStartedAt\":1700000000.123}",
      "{\"pullStartedAt\":1700000000123000}", 0, NULL },
    { SERVICE_ECS, "SubmitTaskStateChange", "{\"pullStartedAt\":1700000000}",
      "{\"pullStartedAt\":1700000000000000}", 0, NULL },
    { SERVICE_ECS, "SubmitTaskStateChange", "{\"pullStartedAt\":1e300}", NULL, ERROR_MALFORMED_REQUEST,
      "pullStartedAt" },
    { SERVICE_ECS, "SubmitTaskStateChange", "{\"pullStartedAt\":\"now\"}", NULL,
      ERROR_MALFORMED_REQUEST, "pullStartedAt" },
};

static void test_requests_become_trees(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(requests); i++) {
        const Request *r = &requests[i];
        const Service *service = &catalog_services[r->service];
        const Operation *operation = catalog_operation(service, r->operation);
        g_autoptr(GError) error = NULL;

        g_test_message("%s", r->body);
        json_auto_t *tree =
            codec_decode_request(service, operation, r->body, strlen(r->body), &error);
        if (r->tree) {
            json_auto_t *want = json_loads(r->tree, 0, NULL);
            g_assert_no_error(error);
            g_assert_true(json_equal(tree, want));
            continue;
        }
        g_assert_null(tree);
        g_test_message("%s", error->message);
        g_assert_cmpstr(error_symbol(error_code(error)), ==, error_symbol(r->code));
        if (r->says)
            g_assert_nonnull(strstr(error->message, r->says));
    }
}

static char *encode(const Service *service, const char *name, const char *answer, GError **error)
{
    json_auto_t *tree = json_loads(answer, 0, NULL);
    gsize length = 0;

    g_assert_nonnull(tree);
    char *text = codec_encode_answer(service, catalog_operation(service, name), tree, "req-1",
                                     &length, error);
    if (text)
        g_assert_cmpuint(strlen(text), ==, length);
    return text;
}

#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

static void test_answers_have_their_form(void)
{
    static const struct {
        ServiceId service;
        const char *operation;
        const char *tree;
        const char *text;
    } answers[] = {
        { SERVICE_EC2, "DescribeInstances", "{\"Reservations\":[]}",
          XML "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
              "<requestId>req-1</requestId><reservationSet/></DescribeInstancesResponse>" },
        { SERVICE_EC2, "DescribeInstances",
          "{\"Reservations\":[{\"Instances\":[{\"State\":{\"Code\":16,\"Name\":\"running\"},"
          "\"LaunchTime\":1769860800000000,\"PublicDnsName\":\"\",\"EbsOptimized\":false}]}]}",
          XML "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
              "<requestId>req-1</requestId><reservationSet><item><instancesSet><item>"
              "<instanceState><code>16</code><name>running</name></instanceState>"
              "<launchTime>2026-01-31T12:00:00.000Z</launchTime><dnsName/>"
              "<ebsOptimized>false</ebsOptimized></item></instancesSet></item></reservationSet>"
              "</DescribeInstancesResponse>" },
        { SERVICE_EC2, "RebootInstances", "{}",
          XML "<RebootInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
              "<requestId>req-1</requestId></RebootInstancesResponse>" },
        { SERVICE_STS, "GetCallerIdentity", "{\"Account\":\"1\"}",
          XML "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
              "<GetCallerIdentityResult><Account>1</Account></GetCallerIdentityResult>"
              "<ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata>"
              "</GetCallerIdentityResponse>" },
        { SERVICE_IAM, "ListUsers", "{\"Users\":[]}",
          XML "<ListUsersResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">"
              "<ListUsersResult><Users/></ListUsersResult>"
              "<ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata></ListUsersResponse>" },
        { SERVICE_IAM, "DeleteUser", "{}",
          XML "<DeleteUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">"
              "<ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata></DeleteUserResponse>" },
        { SERVICE_ECS, "DescribeTasks",
          "{\"tasks\":[{\"createdAt\":1700000000123999,\"startedAt\":1700000000000000}],"
          "\"failures\":[]}",
          "{\"tasks\":[{\"createdAt\":1700000000.123,\"startedAt\":1700000000}],\"failures\":[]}" },
        { SERVICE_BERTH, "DeleteZone", "{}", "{}" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(answers); i++) {
        g_autofree char *text = encode(&catalog_services[answers[i].service], answers[i].operation,
                                       answers[i].tree, NULL);
        g_assert_cmpstr(text, ==, answers[i].text);
    }
}

static void test_wrong_answers_are_not_sent(void)
{
    static const char *const wrong[] = {
        "{\"Reservation\":[]}",
        "{\"Reservations\":{}}",
        "{\"Reservations\":null}",
        "{\"NextToken\":1}",
        "{\"Reservations\":[{\"Instances\":[{\"LaunchTime\":\"2026\"}]}]}",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", wrong[i]);
        g_assert_null(encode(EC2, "DescribeInstances", wrong[i], &error));
        g_assert_true(error_is(error, ERROR_INTERNAL));
    }
}

static void test_text_cannot_break_out_of_xml(void)
{
    const char *nasty = "</item>&lt;<![CDATA[x]]>\"'\x01\x1f\r\n\xef\xbf\xbf\xef\xbf\xbe!";
    json_auto_t *tree = json_pack("{s:s}", "NextToken", nasty);
    const Operation *operation = catalog_operation(EC2, "DescribeInstances");
    gsize length;
    g_autofree char *text = codec_encode_answer(EC2, operation, tree, "r", &length, NULL);
    json_auto_t *back = codec_decode_answer(EC2, operation, text, length, NULL);

    g_assert_cmpstr(json_string_value(json_object_get(back, "NextToken")), ==,
                    "</item>&lt;<![CDATA[x]]>\"'\xef\xbf\xbd\xef\xbf\xbd\r\n"
                    "\xef\xbf\xbd\xef\xbf\xbd!");
}

static void test_errors_have_their_form(void)
{
    g_autoptr(GError) cause = NULL;
    const char *code;
    int status;
    gsize length;

    fail(&cause, UNSUPPORTED, "no <thing>");
    g_autofree char *ec2 = codec_encode_error(EC2, cause, "req-1", &status, &code, &length);
    g_assert_cmpstr(ec2, ==,
                    XML "<Response><Errors><Error><Code>UnsupportedOperation</Code>"
                        "<Message>no &lt;thing&gt;</Message></Error></Errors>"
                        "<RequestID>req-1</RequestID></Response>");
    g_assert_cmpint(status, ==, 400);
    g_assert_cmpstr(code, ==, "UnsupportedOperation");
    g_autofree char *sts = codec_encode_error(STS, cause, "req-1", &status, &code, &length);
    g_assert_cmpstr(sts, ==,
                    XML "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>"
                        "<Type>Sender</Type><Code>InvalidAction</Code>"
                        "<Message>no &lt;thing&gt;</Message></Error>"
                        "<RequestId>req-1</RequestId></ErrorResponse>");
    g_autofree char *ecs = codec_encode_error(ECS, cause, "req-1", &status, &code, &length);
    g_assert_cmpstr(ecs, ==, "{\"__type\":\"UnsupportedFeatureException\",\"message\":\"no <thing>\"}");
    g_autofree char *none = codec_encode_error(NULL, cause, "req-1", &status, &code, &length);
    g_assert_cmpstr(none, ==, ec2);
}

static void test_inner_faults_are_not_told(void)
{
    static const ErrorCode inner[] = { ERROR_INTERNAL, ERROR_UNAVAILABLE, ERROR_CONFIG,
                                       ERROR_HYPERVISOR };
    const Service *const services[] = { EC2, STS, ECS, NULL };

    for (gsize i = 0; i < G_N_ELEMENTS(inner); i++)
        for (gsize s = 0; s < G_N_ELEMENTS(services); s++) {
            g_autoptr(GError) cause = NULL;
            const char *code;
            int status;
            gsize length;

            error_fail(&cause, inner[i], "password=hunter2");
            g_autofree char *body =
                codec_encode_error(services[s], cause, "r", &status, &code, &length);
            g_assert_cmpint(status, >=, 500);
            g_assert_null(strstr(body, "hunter2"));
        }
}

static void test_errors_are_read_back(void)
{
    const Service *const services[] = { EC2, STS, ECS };
    g_autoptr(GError) cause = NULL;

    fail(&cause, INVALID_PARAMETER, "a & b");
    for (gsize s = 0; s < G_N_ELEMENTS(services); s++) {
        g_autofree char *read_code = NULL, *message = NULL;
        const char *code;
        int status;
        gsize length;
        g_autofree char *body = codec_encode_error(services[s], cause, "r", &status, &code, &length);

        g_assert_true(codec_decode_error(services[s], body, length, &read_code, &message));
        g_assert_cmpstr(read_code, ==, code);
        g_assert_cmpstr(message, ==, "a & b");
    }
    g_autofree char *code = NULL, *message = NULL;
    const char *prefixed = "{\"__type\":\"com.amazonaws#AccessDeniedException:http\",\"Message\":\"m\"}";
    g_assert_true(json_decode_error(prefixed, strlen(prefixed), &code, &message));
    g_assert_cmpstr(code, ==, "AccessDeniedException");
    g_assert_cmpstr(message, ==, "m");
    g_assert_false(codec_decode_error(EC2, "<html/>", 7, &code, &message));
    g_assert_false(codec_decode_error(ECS, "<html/>", 7, &code, &message));
    g_assert_false(codec_decode_error(EC2, "", 0, &code, &message));
}

static void test_hostile_xml_is_refused(void)
{
    static const char *const hostile[] = {
        "<!DOCTYPE r [<!ENTITY a \"x\"><!ENTITY b \"&a;&a;\">]><r><nextToken>&b;</nextToken></r>",
        "<!DOCTYPE r SYSTEM \"file:///etc/passwd\"><r><nextToken>x</nextToken></r>",
        "<r><nextToken>&unknown;</nextToken></r>",
        "<r><nextToken>x</r>",
        "<r><nextToken><deep/></nextToken></r>",
        "<r>",
        "not xml",
        "",
    };
    const Operation *operation = catalog_operation(EC2, "DescribeInstances");

    for (gsize i = 0; i < G_N_ELEMENTS(hostile); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", hostile[i]);
        g_assert_null(xml_decode_answer(EC2, operation, hostile[i], strlen(hostile[i]), &error));
        g_assert_true(error_is(error, ERROR_MALFORMED_REQUEST));
    }
    g_autoptr(GString) deep = g_string_new(NULL);
    for (guint i = 0; i < 100000; i++)
        g_string_append(deep, "<a>");
    g_assert_null(xml_decode_answer(EC2, operation, deep->str, deep->len, NULL));
}

static void test_missing_wrapper_is_noticed(void)
{
    const char *text = "<GetCallerIdentityResponse><Account>1</Account></GetCallerIdentityResponse>";
    const Operation *operation = catalog_operation(STS, "GetCallerIdentity");
    g_autoptr(GError) error = NULL;

    g_assert_null(xml_decode_answer(STS, operation, text, strlen(text), &error));
    g_assert_nonnull(strstr(error->message, "GetCallerIdentityResult"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/form/decoded", test_forms_are_decoded);
    g_test_add_func("/form/broken", test_broken_forms_are_refused);
    g_test_add_func("/codec/requests-become-trees", test_requests_become_trees);
    g_test_add_func("/codec/answers-have-their-form", test_answers_have_their_form);
    g_test_add_func("/codec/wrong-answers-are-not-sent", test_wrong_answers_are_not_sent);
    g_test_add_func("/codec/text-cannot-break-out", test_text_cannot_break_out_of_xml);
    g_test_add_func("/codec/errors-have-their-form", test_errors_have_their_form);
    g_test_add_func("/codec/inner-faults-are-not-told", test_inner_faults_are_not_told);
    g_test_add_func("/codec/errors-are-read-back", test_errors_are_read_back);
    g_test_add_func("/xml/hostile", test_hostile_xml_is_refused);
    g_test_add_func("/xml/missing-wrapper", test_missing_wrapper_is_noticed);
    return g_test_run();
}
