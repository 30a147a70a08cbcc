/*
 * bench_sigv4 - how many small requests a second one core can verify, decode and answer
 *
 * One part a line: name, microseconds each, a second on one core. The daemon's aim is 2,000 signed small reads a
 * second on two cores, so all parts together must stay far below a millisecond.
 */
#include "base/clock.h"
#include "catalog/catalog.h"
#include "shape/check.h"
#include "wire/codec.h"
#include "wire/sigv4.h"

#include <stdio.h>
#include <string.h>

#define RUNS      20000
#define INSTANCES 1000

static const char form[] = "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name="
                           "instance-state-name&Filter.1.Value.1=running&MaxResults=100";
static const char json[] = "{\"cluster\":\"default\",\"tasks\":[\"arn:aws:ecs:home-1:123456789012:"
                           "task/default/0123456789abcdef0123456789abcdef\"],\"include\":[\"TAGS\"]}";
static const SigV4Signer signer = { "AKIAEXAMPLE", "secret", NULL, "home-1", "ec2" };

static SigV4Request request;
static SigV4Header headers[5];
static SigV4Signature signature;
static gint64 now;
static json_t *page; /* an answer of INSTANCES instances */

static void verify(gboolean cached)
{
    static guint8 key[SIGV4_KEY_SIZE];
    static gboolean have_key;
    g_auto(SigV4Claim) claim = { 0 };

    if (!sigv4_parse(&request, &claim, NULL))
        g_error("not parsed");
    if (!cached || !have_key)
        sigv4_signing_key(signer.secret, claim.date, claim.region, claim.service, key);
    have_key = TRUE;
    if (!sigv4_verify(&request, &claim, key, now, NULL))
        g_error("not verified");
}

static void verify_cached(void)
{
    verify(TRUE);
}

static void verify_new_key(void)
{
    verify(FALSE);
}

static void decode(ServiceId id, const char *operation, const char *body, gsize length)
{
    const Service *service = &catalog_services[id];
    json_auto_t *tree = codec_decode_request(service, catalog_operation(service, operation), body,
                                             length, NULL);
    if (!tree)
        g_error("not decoded");
}

static void decode_form(void)
{
    decode(SERVICE_EC2, "DescribeInstances", form, sizeof form - 1);
}

static void decode_json(void)
{
    decode(SERVICE_ECS, "DescribeTasks", json, sizeof json - 1);
}

static void check_page(void)
{
    const Service *service = &catalog_services[SERVICE_EC2];

    if (!shape_check_output(page, operation_output(catalog_operation(service, "DescribeInstances")),
                            NULL))
        g_error("not a good answer");
}

static void encode_page(void)
{
    const Service *service = &catalog_services[SERVICE_EC2];
    gsize length;
    g_autofree char *text = codec_encode_answer(
        service, catalog_operation(service, "DescribeInstances"), page, "r", &length, NULL);
    if (!text)
        g_error("not encoded");
}

static void measure(const char *name, void (*part)(void), guint runs)
{
    gint64 start = g_get_monotonic_time();

    for (guint i = 0; i < runs; i++)
        part();
    double each = (double)(g_get_monotonic_time() - start) / runs;
    printf("%-44s %10.1f us %10.0f /s\n", name, each, 1e6 / each);
}

static json_t *instance(guint n)
{
    g_autofree char *id = g_strdup_printf("i-%017x", n);

    return json_pack(
        "{s:s, s:s, s:s, s:{s:i, s:s}, s:s, s:s, s:I, s:{s:s}, s:s, s:s, s:b, s:[{s:s, s:s}],"
        " s:[{s:s, s:{s:s, s:b, s:s}}]}",
        "InstanceId", id, "ImageId", "ami-0123456789abcdef0", "InstanceType", "t3.micro", "State",
        "Code", 16, "Name", "running", "PrivateIpAddress", "172.31.0.4", "SubnetId",
        "subnet-0123456789abcdef0", "LaunchTime", (json_int_t)now, "Placement", "AvailabilityZone",
        "home-1a", "Architecture", "x86_64", "RootDeviceName", "/dev/vda", "EbsOptimized", 0, "Tags",
        "Key", "Name", "Value", "web & more", "BlockDeviceMappings", "DeviceName", "/dev/vda", "Ebs",
        "VolumeId", "vol-0123456789abcdef0", "DeleteOnTermination", 1, "Status", "attached");
}

static void prepare(void)
{
    json_t *instances = json_array();

    now = clock_now_us();
    headers[0] = (SigV4Header){ "Host", "localhost:8443" };
    headers[1] = (SigV4Header){ "Content-Type", "application/x-www-form-urlencoded; charset=utf-8" };
    request = (SigV4Request){ .method = "POST", .path = "/", .query = "", .headers = headers,
                              .header_count = 2, .body = form, .body_length = sizeof form - 1 };
    sigv4_sign(&request, &signer, now, &signature);
    headers[2] = (SigV4Header){ "X-Amz-Date", signature.date };
    headers[3] = (SigV4Header){ "Authorization", signature.authorization };
    request.header_count = 4;
    for (guint i = 0; i < INSTANCES; i++)
        json_array_append_new(instances, instance(i));
    page = json_pack("{s:[{s:o}]}", "Reservations", "Instances", instances);
    g_assert_nonnull(page);
}

int main(void)
{
    prepare();
    measure("verify, signing key cached", verify_cached, RUNS);
    measure("verify, signing key derived", verify_new_key, RUNS);
    measure("decode and check a DescribeInstances form", decode_form, RUNS);
    measure("decode and check DescribeTasks JSON", decode_json, RUNS);
    measure("check an answer of 1,000 instances", check_page, 50);
    measure("encode an answer of 1,000 instances", encode_page, 50);
    json_decref(page);
    sigv4_signature_clear(&signature);
    return 0;
}
