#include "agent/s3.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "drivers/http.h"
#include "wire/form.h"
#include "wire/sigv4.h"

#include <string.h>

#define TIMEOUT_MS 15000
#define CODE_MAX   64

void agent_s3_free(AgentS3 *s3)
{
    if (!s3)
        return;
    g_free(s3->endpoint);
    g_free(s3->region);
    g_free(s3->ca_file);
    g_free(s3->access_key_id);
    g_free(s3->secret);
    g_free(s3->token);
    g_free(s3);
}

/* "/bucket/key", not escaped. Parts that a path would lose on its way are refused: they would name
 * another object. Caller frees. */
static char *path_of(const char *arn, GError **error)
{
    g_auto(GStrv) fields = g_strsplit(arn, ":", 6);
    const char *object = g_strv_length(fields) == 6 ? fields[5] : "";
    g_auto(GStrv) parts = g_strsplit(object, "/", -1);
    gboolean good = g_str_has_prefix(arn, "arn:") && g_strcmp0(fields[2], "s3") == 0;

    for (guint i = 0; parts[i]; i++)
        good = good && *parts[i] && strcmp(parts[i], ".") != 0 && strcmp(parts[i], "..") != 0;
    if (!good || g_strv_length(parts) < 2)
        return fail_null(error, TASK_RESOURCE, "\"%s\" does not name an object of S3", arn);
    return g_strconcat("/", object, NULL);
}

static char *escaped(const char *path)
{
    g_autoptr(GString) target = g_string_new(NULL);
    g_auto(GStrv) parts = g_strsplit(path + 1, "/", -1);

    for (guint i = 0; parts[i]; i++) {
        g_string_append_c(target, '/');
        form_escape(target, parts[i]);
    }
    return g_string_free(g_steal_pointer(&target), FALSE);
}

/* The signature is over a path that is escaped once; sigv4_sign escapes what it is given. */
static HttpResponse *get(const AgentS3 *s3, HttpClient *client, const char *path, gsize max_bytes,
                         GError **error)
{
    g_autofree char *target = escaped(path);
    g_auto(SigV4Signature) signature = { 0 };
    char hash[CRYPTO_SHA256_HEX_SIZE];

    crypto_sha256_hex("", 0, hash);
    const SigV4Header signed_headers[] = { { "Host", http_client_authority(client) },
                                           { "X-Amz-Content-Sha256", hash } };
    const SigV4Request sign = { .method = "GET",
                                .path = path,
                                .query = "",
                                .headers = signed_headers,
                                .header_count = G_N_ELEMENTS(signed_headers),
                                .body = "" };
    const SigV4Signer signer = { s3->access_key_id, s3->secret, *s3->token ? s3->token : NULL,
                                 s3->region, "s3" };
    sigv4_sign(&sign, &signer, clock_now_us(), &signature);
    const char *headers[] = { "X-Amz-Content-Sha256",
                              hash,
                              "X-Amz-Date",
                              signature.date,
                              "Authorization",
                              signature.authorization,
                              *s3->token ? "X-Amz-Security-Token" : NULL,
                              s3->token,
                              NULL };
    const HttpRequest request = { .method = "GET",
                                  .target = target,
                                  .headers = headers,
                                  .timeout_ms = TIMEOUT_MS,
                                  .max_body = max_bytes };
    return http_client_send(client, &request, error);
}

/* What stands between Code's tags in the store's answer, or "". Caller frees. */
static char *code_of(const char *body)
{
    static const char opening[] = "<Code>";
    const char *code = strstr(body, opening);

    if (!code)
        return g_strdup("");
    code += strlen(opening);
    return g_strndup(code, MIN(strcspn(code, "<"), CODE_MAX));
}

GString *agent_s3_get(const AgentS3 *s3, const char *arn, gsize max_bytes, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *path = path_of(arn, error);

    if (!path)
        return NULL;
    g_autoptr(HttpClient) client =
        http_client_new(s3->endpoint, *s3->ca_file ? s3->ca_file : NULL, &cause);
    g_autoptr(HttpResponse) response = client ? get(s3, client, path, max_bytes, &cause) : NULL;
    if (!response && error_is(cause, ERROR_HTTP_CLIENT))
        return fail_null(error, HTTP_CLIENT, "\"%s\": %s", arn, cause->message);
    if (!response)
        return fail_null(error, TASK_RESOURCE, "\"%s\": %s", arn, cause->message);
    if (response->status == 200)
        return g_steal_pointer(&response->body);
    g_autofree char *code = code_of(response->body->str);
    if (response->status >= 500 || response->status == 429)
        return fail_null(error, UNAVAILABLE, "\"%s\": the store answers %d %s", arn,
                         response->status, code);
    return fail_null(error, TASK_RESOURCE, "\"%s\": the store answers %d %s", arn, response->status,
                     code);
}
