/* The metadata service: any method, path and headers; tokens; trust policies. */
#include "fuzz.h"
#include "model/metadata.h"
#include "model/trust.h"

#include <string.h>

static const guint8 key[CRYPTO_KEY_SIZE] = { 7 };
static const guint8 nonce[METADATA_TOKEN_NONCE] = { 7 };

/* Six lines: method, path, host, token, TTL, forwarded for; "-" for none. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", 6);
    const char *fields[6] = { "GET", "/", NULL, NULL, NULL, NULL };
    g_autoptr(MetadataFacts) facts = metadata_facts_new();
    char token[METADATA_TOKEN_SIZE];

    for (guint i = 0; lines[i]; i++)
        fields[i] = i > 1 && strcmp(lines[i], "-") == 0 ? NULL : lines[i];
    for (guint i = FACT_NONE + 1; i < FACT__COUNT; i++)
        facts->text[i] = g_strdup("x");
    metadata_token_make(key, "x", nonce, 2, token);
    if (g_strcmp0(fields[3], "good") == 0)
        fields[3] = token;
    else
        g_assert_false(fields[3] && strcmp(fields[3], token) != 0 &&
                       metadata_token_good(key, "x", fields[3], 1));
    MetadataRequest request = { fields[0], fields[1], fields[2], fields[3], fields[4], fields[5] };
    g_auto(MetadataAnswer) answer = { 0 };
    metadata_serve(&request, facts, key, nonce, 1, &answer);
    g_assert_true(answer.status == 200 || (answer.status >= 400 && answer.status <= 405));
    g_assert_cmpint(answer.status == 200, ==, answer.text != NULL);
    if (trust_check(text, NULL))
        g_assert_false(trust_allows_service(text, "no such service") &&
                       !strstr(text, "*") && !strstr(text, "no such service") &&
                       !strstr(text, "\\u"));
    return 0;
}
