/* Signed requests: nothing forged passes, and whatever can be signed verifies. The input is lines: method, path,
 * query, then headers as NAME:VALUE. */
#include "base/errors.h"
#include "fuzz.h"
#include "wire/sigv4.h"

#include <string.h>

#define HEADERS_MAX 32
#define NOW_US      G_GINT64_CONSTANT(1769860800000000)

static gsize read_headers(char **lines, SigV4Header *headers)
{
    gsize count = 0;

    for (; *lines && count < HEADERS_MAX; lines++) {
        char *colon = strchr(*lines, ':');
        if (!colon || colon == *lines)
            continue;
        *colon = '\0';
        headers[count++] = (SigV4Header){ *lines, colon + 1 };
    }
    return count;
}

/* Whether our own signer may be given this: it refuses nothing, so names must be sane and not the signature's. */
static gboolean is_plain(const SigV4Request *request)
{
    for (gsize i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;
        if (g_ascii_strncasecmp(name, "x-amz-", 6) == 0 || g_ascii_strcasecmp(name, "host") == 0 ||
            g_ascii_strcasecmp(name, "authorization") == 0)
            return FALSE;
        for (; *name; name++)
            if (!g_ascii_isalnum(*name) && *name != '-')
                return FALSE;
        for (gsize j = 0; j < i; j++)
            if (g_ascii_strcasecmp(request->headers[i].name, request->headers[j].name) == 0)
                return FALSE;
    }
    return !strchr(request->query, '%') && !strstr(request->query, "X-Amz-") &&
           !strstr(request->query, "AWSAccessKeyId");
}

static void check_round_trip(SigV4Request request)
{
    const SigV4Signer signer = { "AKIDEXAMPLE", "secret", "token", "home-1", "ecs" };
    SigV4Header headers[HEADERS_MAX + 4];
    g_auto(SigV4Signature) signature = { 0 };
    g_auto(SigV4Claim) claim = { 0 };
    g_autoptr(GError) error = NULL;
    guint8 key[SIGV4_KEY_SIZE];

    memcpy(headers, request.headers, request.header_count * sizeof *headers);
    headers[request.header_count++] = (SigV4Header){ "Host", "localhost:8443" };
    request.headers = headers;
    sigv4_sign(&request, &signer, NOW_US, &signature);
    headers[request.header_count++] = (SigV4Header){ "X-Amz-Date", signature.date };
    headers[request.header_count++] = (SigV4Header){ "X-Amz-Security-Token", "token" };
    headers[request.header_count++] = (SigV4Header){ "Authorization", signature.authorization };
    gboolean read = sigv4_parse(&request, &claim, &error);
    g_assert_no_error(error);
    g_assert_true(read);
    sigv4_signing_key("secret", claim.date, claim.region, claim.service, key);
    sigv4_verify(&request, &claim, key, NOW_US, &error);
    g_assert_no_error(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", HEADERS_MAX + 3);
    SigV4Header headers[HEADERS_MAX];
    g_auto(SigV4Claim) claim = { 0 };
    g_autoptr(GError) error = NULL;
    guint8 key[SIGV4_KEY_SIZE] = { 0 };

    if (g_strv_length(lines) < 3)
        return 0;
    SigV4Request request = { .method = lines[0], .path = lines[1], .query = lines[2],
                             .headers = headers, .header_count = read_headers(lines + 3, headers),
                             .secure = TRUE };
    if (sigv4_parse(&request, &claim, &error))
        g_assert_false(sigv4_verify(&request, &claim, key, claim.time_us, &error));
    g_assert_nonnull(error);
    if (is_plain(&request))
        check_round_trip(request);
    return 0;
}
