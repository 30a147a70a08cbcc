/* wire/sigv4: requests signed by botocore (sigv4_vectors.json) verify, and nothing else does. */
#include "base/clock.h"
#include "base/errors.h"
#include "wire/sigv4.h"

#include <jansson.h>
#include <string.h>

#define HEADERS_MAX 16

/* A request that a test may change. */
typedef struct {
    SigV4Request request;
    SigV4Header headers[HEADERS_MAX];
} Sent;

static json_t *fixture; /* the vectors; read once in main */
static guint8 wrong_key[SIGV4_KEY_SIZE];

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static gint64 now_us(void)
{
    return json_integer_value(json_object_get(fixture, "now")) * CLOCK_SECOND_US;
}

static void load(const json_t *vector, Sent *sent)
{
    json_t *header;
    size_t n;

    *sent = (Sent){ .request = { .method = text(vector, "method"),
                                 .path = text(vector, "path"),
                                 .query = text(vector, "query"),
                                 .body = text(vector, "body"),
                                 .body_length = strlen(text(vector, "body")) } };
    json_array_foreach(json_object_get(vector, "headers"), n, header)
        sent->headers[n] = (SigV4Header){ json_string_value(json_array_get(header, 0)),
                                          json_string_value(json_array_get(header, 1)) };
    sent->request.headers = sent->headers;
    sent->request.header_count = n;
}

static void add_header(Sent *sent, const char *name, const char *value)
{
    g_assert_cmpuint(sent->request.header_count, <, HEADERS_MAX);
    sent->headers[sent->request.header_count++] = (SigV4Header){ name, value };
}

static SigV4Header *find_header(Sent *sent, const char *name)
{
    for (gsize i = 0; i < sent->request.header_count; i++)
        if (g_ascii_strcasecmp(sent->headers[i].name, name) == 0)
            return &sent->headers[i];
    return NULL;
}

/* What a verifier makes of it: ERROR__COUNT when it is good. */
static ErrorCode verdict(const Sent *sent, gint64 at_us, const guint8 *key)
{
    g_autoptr(GError) error = NULL;
    g_auto(SigV4Claim) claim = { 0 };
    guint8 own[SIGV4_KEY_SIZE];

    if (sigv4_parse(&sent->request, &claim, &error)) {
        sigv4_signing_key(text(fixture, "secret"), claim.date, claim.region, claim.service, own);
        if (sigv4_verify(&sent->request, &claim, key ? key : own, at_us, &error))
            return ERROR__COUNT;
    }
    g_assert_nonnull(error);
    return error_code(error);
}

static const json_t *vector_named(const char *name)
{
    json_t *vector;
    size_t n;

    json_array_foreach(json_object_get(fixture, "vectors"), n, vector)
        if (g_str_equal(text(vector, "name"), name))
            return vector;
    g_error("no vector \"%s\"", name);
}

static void test_what_botocore_signs_verifies(void)
{
    json_t *vector;
    size_t n;

    json_array_foreach(json_object_get(fixture, "vectors"), n, vector) {
        g_auto(SigV4Claim) claim = { 0 };
        Sent sent;

        g_test_message("%s", text(vector, "name"));
        load(vector, &sent);
        g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR__COUNT);
        g_assert_true(sigv4_parse(&sent.request, &claim, NULL));
        g_assert_cmpstr(claim.access_key_id, ==, text(vector, "key"));
        g_assert_cmpstr(claim.service, ==, text(vector, "service"));
        g_assert_cmpstr(claim.region, ==, text(fixture, "region"));
        g_assert_cmpstr(claim.session_token, ==, text(vector, "token"));
        g_assert_cmpint(claim.presigned, ==, json_is_true(json_object_get(vector, "presigned")));
        g_assert_cmpint(claim.time_us, ==, now_us());
    }
    g_assert_cmpuint(n, >=, 9);
}

static void test_any_change_is_noticed(void)
{
    json_t *vector;
    size_t n;

    json_array_foreach(json_object_get(fixture, "vectors"), n, vector) {
        Sent sent;

        g_test_message("%s", text(vector, "name"));
        load(vector, &sent);
        g_assert_cmpint(verdict(&sent, now_us(), wrong_key), ==, ERROR_AUTH_SIGNATURE);
        sent.request.body = "Action=TerminateInstances";
        sent.request.body_length = strlen(sent.request.body);
        g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_SIGNATURE);
        load(vector, &sent);
        sent.request.method = "PUT";
        g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_SIGNATURE);
        load(vector, &sent);
        sent.request.path = "/elsewhere";
        g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_SIGNATURE);
        load(vector, &sent);
        find_header(&sent, "Host")->value = "localhost:1";
        g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_SIGNATURE);
        load(vector, &sent);
        g_autofree char *query = g_strdup_printf("%s&Extra=1", sent.request.query);
        sent.request.query = query;
        g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_SIGNATURE);
    }
}

static void test_every_signed_header_counts(void)
{
    Sent sent;

    load(vector_named("JSON post by a session"), &sent);
    for (gsize i = 0; i < sent.request.header_count; i++) {
        if (g_str_equal(sent.headers[i].name, "Authorization"))
            continue;
        g_autofree char *other = g_strdup_printf("%sx", sent.headers[i].value);
        const char *before = sent.headers[i].value;

        sent.headers[i].value = other;
        g_test_message("%s", sent.headers[i].name);
        g_assert_cmpint(verdict(&sent, now_us(), NULL), !=, ERROR__COUNT);
        sent.headers[i].value = before;
    }
    g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR__COUNT);
}

static void test_one_bit_of_the_signature_decides(void)
{
    Sent sent;

    load(vector_named("form post"), &sent);
    SigV4Header *header = find_header(&sent, "Authorization");
    g_autofree char *changed = g_strdup(header->value);
    char *digits = strstr(changed, "Signature=") + strlen("Signature=");

    header->value = changed;
    for (gsize i = 0; i < 64; i++) {
        char before = digits[i];
        digits[i] = before == '0' ? '1' : '0';
        g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_SIGNATURE);
        digits[i] = before;
    }
}

static void test_clock_may_differ_by_fifteen_minutes(void)
{
    const gint64 limit = SIGV4_SKEW_SECONDS * CLOCK_SECOND_US;
    Sent sent;

    load(vector_named("form post"), &sent);
    g_assert_cmpint(verdict(&sent, now_us() + limit, NULL), ==, ERROR__COUNT);
    g_assert_cmpint(verdict(&sent, now_us() - limit, NULL), ==, ERROR__COUNT);
    g_assert_cmpint(verdict(&sent, now_us() + limit + 1, NULL), ==, ERROR_AUTH_CLOCK);
    g_assert_cmpint(verdict(&sent, now_us() - limit - 1, NULL), ==, ERROR_AUTH_CLOCK);
    /* A wrong signature is not told that only its clock is off. */
    g_assert_cmpint(verdict(&sent, now_us() + limit + 1, wrong_key), ==, ERROR_AUTH_SIGNATURE);
}

static void test_presigned_lives_as_long_as_it_says(void)
{
    const gint64 life = json_integer_value(json_object_get(fixture, "expires")) * CLOCK_SECOND_US;
    Sent sent;

    load(vector_named("presigned get"), &sent);
    g_assert_cmpint(verdict(&sent, now_us() + life, NULL), ==, ERROR__COUNT);
    g_assert_cmpint(verdict(&sent, now_us() + life + 1, NULL), ==, ERROR_AUTH_CLOCK);
}

static void test_plus_is_a_space_in_a_signed_query(void)
{
    Sent sent;

    /* The stock agent signs %20 and sends "+". */
    load(vector_named("get of a WebSocket"), &sent);
    g_auto(GStrv) parts = g_strsplit(sent.request.query, "%20", -1);
    g_autofree char *query = g_strjoinv("+", parts);
    g_assert_cmpstr(query, !=, sent.request.query);
    sent.request.query = query;
    g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR__COUNT);
}

static void test_payload_hash_header_is_believed_only_when_true(void)
{
    Sent sent;

    load(vector_named("form post"), &sent);
    add_header(&sent, "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD");
    g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_SIGNATURE);
    sent.request.secure = TRUE;
    g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_SIGNATURE);
    find_header(&sent, "X-Amz-Content-Sha256")->value = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_SIGNATURE);
}

static void test_unsigned_payload_is_taken_over_tls_only(void)
{
    Sent sent;

    load(json_object_get(fixture, "unsigned"), &sent);
    g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_SIGNATURE);
    sent.request.secure = TRUE;
    g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR__COUNT);
    g_assert_cmpint(verdict(&sent, now_us(), wrong_key), ==, ERROR_AUTH_SIGNATURE);
}

static void test_what_decides_must_be_signed(void)
{
    static const char *const names[] = { "X-Amz-Target", "X-Amz-Security-Token", "x-amz-date" };

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        Sent sent;

        load(vector_named("presigned get"), &sent);
        add_header(&sent, names[i], "20260131T120000Z");
        g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_INCOMPLETE);
    }
}

static void test_malformed_is_refused(void)
{
#define SCOPE "Credential=AK/20260131/r/ec2/aws4_request"
#define HEX   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    static const char *const headers[] = {
        "", "Bearer x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=x",
        "AWS4-ECDSA-P256-SHA256 " SCOPE ", SignedHeaders=host, Signature=" HEX,
        "AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=host, Signature=short",
        "AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=, Signature=" HEX,
        "AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=x;host, Signature=" HEX,
        "AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=host;host, Signature=" HEX,
        "AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=Host, Signature=" HEX,
        "AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=host;, Signature=" HEX,
        "AWS4-HMAC-SHA256 " SCOPE ", " SCOPE ", SignedHeaders=host, Signature=" HEX,
        "AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=host, Signature=" HEX ", Other=1",
        "AWS4-HMAC-SHA256 Credential=AK/20260130/r/ec2/aws4_request, SignedHeaders=host, Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=AK/20260131/r/ec2/aws3, SignedHeaders=host, Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=AK/20260131/r//aws4_request, SignedHeaders=host, Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=/20260131/r/ec2/aws4_request, SignedHeaders=host, Signature=" HEX,
    };

    for (gsize i = 0; i < G_N_ELEMENTS(headers); i++) {
        Sent sent = { .request = { .method = "GET", .path = "/" } };

        sent.request.headers = sent.headers;
        add_header(&sent, "Host", "h");
        add_header(&sent, "X-Amz-Date", "20260131T120000Z");
        add_header(&sent, "Authorization", headers[i]);
        g_test_message("%s", headers[i]);
        g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_INCOMPLETE);
    }
}

static void test_no_signature_and_two_signatures(void)
{
    Sent sent;

    load(vector_named("form post"), &sent);
    sent.request.query = "AWSAccessKeyId=x&SignatureMethod=HmacSHA256";
    g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_INCOMPLETE);
    load(vector_named("form post"), &sent);
    add_header(&sent, "authorization", find_header(&sent, "Authorization")->value);
    g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_INCOMPLETE);
    load(vector_named("form post"), &sent);
    sent.request.query = text(vector_named("presigned get"), "query");
    g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_INCOMPLETE);
    load(vector_named("presigned get"), &sent);
    g_autofree char *twice = g_strdup_printf("%s&X-Amz-Signature=x", sent.request.query);
    sent.request.query = twice;
    g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_INCOMPLETE);
    load(vector_named("presigned get"), &sent);
    sent.request.query = "Action=GetCallerIdentity";
    g_assert_cmpint(verdict(&sent, now_us(), NULL), ==, ERROR_AUTH_MISSING);
}

static void test_http_date_stands_in(void)
{
    g_auto(SigV4Claim) claim = { 0 };
    Sent sent;

    load(vector_named("form post"), &sent);
    *find_header(&sent, "X-Amz-Date") = (SigV4Header){ "Date", "Sat, 31 Jan 2026 12:00:00 GMT" };
    g_assert_true(sigv4_parse(&sent.request, &claim, NULL));
    g_assert_cmpint(claim.time_us, ==, now_us());
    g_assert_cmpstr(claim.time_text, ==, "20260131T120000Z");
}

static void test_our_signature_is_botocores(void)
{
    static const char *const names[] = { "form post", "JSON post", "JSON post by a session",
                                         "get of a WebSocket", "path with escapes" };

    for (gsize n = 0; n < G_N_ELEMENTS(names); n++) {
        const json_t *vector = vector_named(names[n]);
        const SigV4Signer signer = { text(vector, "key"), text(fixture, "secret"),
                                     text(vector, "token"), text(fixture, "region"),
                                     text(vector, "service") };
        g_auto(SigV4Signature) signature = { 0 };
        Sent sent;
        gsize kept = 0;

        load(vector, &sent);
        const char *theirs = find_header(&sent, "Authorization")->value;
        for (gsize i = 0; i < sent.request.header_count; i++)
            if (!g_str_equal(sent.headers[i].name, "Authorization") &&
                !g_str_equal(sent.headers[i].name, "X-Amz-Date") &&
                !g_str_equal(sent.headers[i].name, "X-Amz-Security-Token"))
                sent.headers[kept++] = sent.headers[i];
        sent.request.header_count = kept;
        sigv4_sign(&sent.request, &signer, now_us(), &signature);
        g_assert_cmpstr(signature.authorization, ==, theirs);
        g_assert_cmpstr(signature.date, ==, "20260131T120000Z");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fixture = json_load_file("tests/unit/sigv4_vectors.json", 0, NULL);
    g_assert_nonnull(fixture);
    g_test_add_func("/sigv4/what-botocore-signs-verifies", test_what_botocore_signs_verifies);
    g_test_add_func("/sigv4/any-change-is-noticed", test_any_change_is_noticed);
    g_test_add_func("/sigv4/every-signed-header-counts", test_every_signed_header_counts);
    g_test_add_func("/sigv4/one-bit-decides", test_one_bit_of_the_signature_decides);
    g_test_add_func("/sigv4/clock", test_clock_may_differ_by_fifteen_minutes);
    g_test_add_func("/sigv4/presigned-life", test_presigned_lives_as_long_as_it_says);
    g_test_add_func("/sigv4/plus-is-a-space", test_plus_is_a_space_in_a_signed_query);
    g_test_add_func("/sigv4/payload-hash", test_payload_hash_header_is_believed_only_when_true);
    g_test_add_func("/sigv4/unsigned-payload", test_unsigned_payload_is_taken_over_tls_only);
    g_test_add_func("/sigv4/what-decides-must-be-signed", test_what_decides_must_be_signed);
    g_test_add_func("/sigv4/malformed", test_malformed_is_refused);
    g_test_add_func("/sigv4/none-and-two", test_no_signature_and_two_signatures);
    g_test_add_func("/sigv4/http-date", test_http_date_stands_in);
    g_test_add_func("/sigv4/our-signature-is-botocores", test_our_signature_is_botocores);
    int failed = g_test_run();
    json_decref(fixture);
    return failed;
}
