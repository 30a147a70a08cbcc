/* The metadata service's rules and tree, its tokens, trust policies, and signatures of documents. */
#include "base/errors.h"
#include "base/signer.h"
#include "model/metadata.h"
#include "model/trust.h"

#include <string.h>

#define NOW G_GINT64_CONSTANT(1700000000000000)

static const guint8 key[CRYPTO_KEY_SIZE] = { 1, 2, 3 };
static const guint8 nonce[METADATA_TOKEN_NONCE] = { 4, 5, 6 };

static MetadataFacts *facts_new(void)
{
    MetadataFacts *facts = metadata_facts_new();

    for (guint i = FACT_NONE + 1; i < FACT__COUNT; i++)
        facts->text[i] = g_strdup_printf("fact-%u", i);
    g_free(facts->text[FACT_MAC]);
    facts->text[FACT_MAC] = g_strdup("06:be:00:00:00:01");
    facts->pending_us = NOW;
    facts->user_data = g_bytes_new("#!", 2);
    return facts;
}

static void test_token(void)
{
    char token[METADATA_TOKEN_SIZE], bad[METADATA_TOKEN_SIZE];
    guint8 other_key[CRYPTO_KEY_SIZE] = { 9 };

    metadata_token_make(key, "i-1", nonce, NOW + 1, token);
    g_assert_cmpuint(strlen(token), ==, METADATA_TOKEN_SIZE - 1);
    g_assert_true(metadata_token_good(key, "i-1", token, NOW));
    g_assert_false(metadata_token_good(key, "i-1", token, NOW + 1));
    g_assert_false(metadata_token_good(key, "i-2", token, NOW));
    g_assert_false(metadata_token_good(other_key, "i-1", token, NOW));
    g_assert_false(metadata_token_good(key, "i-1", "", NOW));
    /* no character can be another, not even one whose last bits mean nothing */
    for (gsize i = 0; i < strlen(token); i++) {
        memcpy(bad, token, sizeof bad);
        bad[i] = bad[i] == 'A' ? 'B' : bad[i] == '=' ? 'A' : (char)(bad[i] ^ 1);
        g_assert_false(metadata_token_good(key, "i-1", bad, NOW));
    }
}

static void test_ttl(void)
{
    static const struct {
        const char *text;
        gint seconds;
    } cases[] = { { "1", 1 },       { "21600", 21600 }, { "0", 0 },   { "21601", 0 }, { "", 0 },
                  { NULL, 0 },      { " 5", 0 },        { "5 ", 0 },  { "+5", 0 },    { "-5", 0 },
                  { "0x10", 0 },    { "5s", 0 },        { "1e3", 0 }, { "99999999999999999999", 0 } };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpint(metadata_ttl_parse(cases[i].text), ==, cases[i].seconds);
}

/* Status of a request; text goes to *ret_text when it is wanted. */
static int status_of(const MetadataFacts *facts, MetadataRequest request, char **ret_text)
{
    g_auto(MetadataAnswer) answer = { 0 };

    metadata_serve(&request, facts, key, nonce, NOW, &answer);
    if (ret_text)
        *ret_text = g_strdup(answer.text);
    g_assert_cmpint(answer.token, ==, answer.status == 200 && strcmp(request.method, "PUT") == 0);
    g_assert_true(answer.status == 200 || !answer.text);
    return answer.status;
}

#define PATH "/latest/meta-data/instance-id"
#define TOKEN_PATH "/latest/api/token"

static void test_rules(void)
{
    g_autoptr(MetadataFacts) facts = facts_new();
    char token[METADATA_TOKEN_SIZE], old[METADATA_TOKEN_SIZE];
    metadata_token_make(key, facts->text[FACT_INSTANCE_ID], nonce, NOW + 1, token);
    metadata_token_make(key, facts->text[FACT_INSTANCE_ID], nonce, NOW, old);
    const struct {
        MetadataRequest request;
        int required, optional, disabled;
    } cases[] = {
        { { .method = "PUT", .path = TOKEN_PATH, .ttl = "60" }, 200, 200, 403 },
        { { .method = "PUT", .path = TOKEN_PATH }, 400, 400, 403 },
        { { .method = "PUT", .path = TOKEN_PATH, .ttl = "0" }, 400, 400, 403 },
        { { .method = "PUT", .path = TOKEN_PATH, .ttl = "60", .forwarded_for = "" }, 403, 403, 403 },
        { { .method = "PUT", .path = TOKEN_PATH, .ttl = "60", .host = "evil" }, 403, 403, 403 },
        { { .method = "PUT", .path = "/2021-03-23/api/token", .ttl = "60" }, 403, 403, 403 },
        { { .method = "PUT", .path = PATH, .ttl = "60" }, 405, 405, 403 },
        { { .method = "GET", .path = TOKEN_PATH, .token = token }, 405, 405, 403 },
        { { .method = "GET", .path = PATH }, 401, 200, 403 },
        { { .method = "GET", .path = "/" }, 401, 200, 403 },
        { { .method = "GET", .path = PATH, .token = token }, 200, 200, 403 },
        { { .method = "HEAD", .path = PATH, .token = token }, 200, 200, 403 },
        { { .method = "GET", .path = PATH, .token = old }, 401, 401, 403 },
        { { .method = "GET", .path = PATH, .token = "" }, 401, 401, 403 },
        { { .method = "GET", .path = PATH, .token = token, .forwarded_for = "x" }, 403, 403, 403 },
        { { .method = "GET", .path = PATH, .token = token, .host = "169.254.169.254" }, 200, 200, 403 },
        { { .method = "GET", .path = PATH, .token = token, .host = "instance-data.ec2.internal" }, 200, 200, 403 },
        { { .method = "GET", .path = PATH, .token = token, .host = "1.2.3.4.example" }, 403, 403, 403 },
        { { .method = "GET", .path = "/latest/nothing", .token = token }, 404, 404, 403 },
        { { .method = "GET", .path = "/1999-01-01/meta-data/mac", .token = token }, 404, 404, 403 },
        { { .method = "GET", .path = "/latest/meta-data/%00", .token = token }, 400, 400, 403 },
        { { .method = "GET", .path = "/latest/meta-data/%ff", .token = token }, 400, 400, 403 },
        { { .method = "POST", .path = TOKEN_PATH, .token = token, .ttl = "60" }, 405, 405, 403 },
        { { .method = "DELETE", .path = PATH, .token = token }, 405, 405, 403 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s %s", cases[i].request.method, cases[i].request.path);
        json_auto_t *optional = json_pack("{s:s}", "HttpTokens", "optional");
        json_auto_t *disabled = json_pack("{s:s}", "HttpEndpoint", "disabled");
        metadata_facts_set_options(facts, NULL, NULL);
        g_assert_cmpint(status_of(facts, cases[i].request, NULL), ==, cases[i].required);
        metadata_facts_set_options(facts, optional, NULL);
        g_assert_cmpint(status_of(facts, cases[i].request, NULL), ==, cases[i].optional);
        metadata_facts_set_options(facts, disabled, NULL);
        g_assert_cmpint(status_of(facts, cases[i].request, NULL), ==, cases[i].disabled);
        g_assert_cmpint(status_of(NULL, cases[i].request, NULL), ==, 403);
    }
}

/* Every name that a listing gives can be asked for, and every one ends somewhere. */
static guint walk(const MetadataFacts *facts, const char *folder)
{
    g_auto(MetadataAnswer) listing = { 0 };
    guint leaves = 0;

    g_assert_true(metadata_find(facts, folder, NOW, &listing));
    g_auto(GStrv) names = g_strsplit(listing.text, "\n", -1);
    for (char **name = names; *name; name++) {
        g_autofree char *path = g_strconcat(folder, *folder ? "/" : "", *name, NULL);
        gboolean is_folder = g_str_has_suffix(path, "/");
        g_auto(MetadataAnswer) leaf = { 0 };
        if (is_folder)
            path[strlen(path) - 1] = '\0';
        if (strstr(path, "/0="))
            strstr(path, "/0=")[2] = '\0'; /* the number before a name */
        if (is_folder || g_str_has_suffix(path, "public-keys/0")) {
            leaves += walk(facts, path);
            continue;
        }
        g_assert_true(metadata_find(facts, path, NOW, &leaf));
        leaves++;
    }
    return leaves;
}

static void test_walk(void)
{
    g_autoptr(MetadataFacts) facts = facts_new();
    json_auto_t *shown = json_pack("{s:s}", "InstanceMetadataTags", "enabled");
    json_auto_t *tags = json_pack("{s:s, s:s, s:s}", "Name", "x", "a/b", "y", "a b", "z");
    guint all = walk(facts, "");

    metadata_facts_set_options(facts, shown, tags);
    g_assert_cmpuint(walk(facts, ""), ==, all + 1); /* tags that are no element of a path stay out */
    metadata_facts_set_options(facts, NULL, tags);
    g_assert_cmpuint(walk(facts, ""), ==, all);
    /* without a key pair, a role, a profile or user data their paths are gone */
    static const MetadataFact gone[] = { FACT_PUBLIC_KEY, FACT_ROLE, FACT_PROFILE_ARN };
    for (gsize i = 0; i < G_N_ELEMENTS(gone); i++)
        g_clear_pointer(&facts->text[gone[i]], g_free);
    g_clear_pointer(&facts->user_data, g_bytes_unref);
    g_assert_cmpuint(walk(facts, ""), ==, all - 4);
}

static void test_signer(void)
{
    g_autofree char *pem = NULL, *certificate = NULL, *other = NULL, *other_certificate = NULL;

    g_assert_true(signer_make("one", &pem, &certificate, NULL));
    g_assert_true(signer_make("two", &other, &other_certificate, NULL));
    g_autoptr(Signer) signer = signer_new(pem, certificate, NULL);
    g_autofree char *signature = signer_sign(signer, "text", NULL);
    g_assert_true(signer_verify(certificate, "text", signature));
    g_assert_false(signer_verify(certificate, "texts", signature));
    g_assert_false(signer_verify(other_certificate, "text", signature));
    g_assert_false(signer_verify(certificate, "text", ""));
    g_assert_false(signer_verify(certificate, "text", "!!!!"));
    g_assert_false(signer_verify("no certificate", "text", signature));
    g_autofree char *cms = signer_cms(signer, "text", NULL);
    g_assert_cmpuint(strlen(cms), >, 400);
    g_autoptr(GError) error = NULL;
    g_assert_null(signer_new("no key", certificate, &error));
    g_assert_true(error_is(error, ERROR_INTERNAL));
}

#define STATEMENT(principal, rest)                                                                 \
    "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":" principal     \
    ",\"Action\":\"sts:AssumeRole\"" rest "}}"
#define ACCOUNT "123456789012"
#define USER    "arn:aws:iam::123456789012:user/me"

static void test_trust(void)
{
    static const struct {
        const char *policy;
        gboolean service, caller;
    } cases[] = {
        { STATEMENT("{\"Service\":\"ec2.amazonaws.com\"}", ""), TRUE, FALSE },
        { STATEMENT("{\"Service\":[\"a\",\"ec2.amazonaws.com\"]}", ""), TRUE, FALSE },
        { STATEMENT("{\"AWS\":\"" USER "\"}", ""), FALSE, TRUE },
        { STATEMENT("{\"AWS\":\"" ACCOUNT "\"}", ""), FALSE, TRUE },
        { STATEMENT("{\"AWS\":\"arn:aws:iam::" ACCOUNT ":root\"}", ""), FALSE, TRUE },
        { STATEMENT("{\"AWS\":\"arn:aws:iam::999999999999:root\"}", ""), FALSE, FALSE },
        { STATEMENT("{\"AWS\":\"" USER "2\"}", ""), FALSE, FALSE },
        { STATEMENT("{\"AWS\":\"*\"}", ""), FALSE, TRUE },
        { STATEMENT("\"*\"", ""), TRUE, TRUE },
        { STATEMENT("\"*\"", ",\"Condition\":{\"Bool\":{}}"), FALSE, FALSE },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].policy);
        g_assert_true(trust_check(cases[i].policy, NULL));
        g_assert_cmpint(trust_allows_service(cases[i].policy, "ec2.amazonaws.com"), ==,
                        cases[i].service);
        g_assert_cmpint(trust_allows_caller(cases[i].policy, ACCOUNT, USER), ==, cases[i].caller);
    }
    g_assert_false(trust_allows_caller("garbage", ACCOUNT, USER));
    g_assert_false(trust_allows_service("{}", "ec2.amazonaws.com"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/metadata/token", test_token);
    g_test_add_func("/metadata/ttl", test_ttl);
    g_test_add_func("/metadata/rules", test_rules);
    g_test_add_func("/metadata/walk", test_walk);
    g_test_add_func("/metadata/signer", test_signer);
    g_test_add_func("/metadata/trust", test_trust);
    return g_test_run();
}
