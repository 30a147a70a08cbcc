#include "agent/role.h"
#include "base/clock.h"
#include "base/errors.h"
#include "drivers/http.h"

#include <jansson.h>
#include <string.h>

#define TIMEOUT_MS 3000
#define ANSWER_MAX 16384
#define ROLES      "/latest/meta-data/iam/security-credentials/"

static void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    g_free(secret);
}

void role_keys_clear(RoleKeys *keys)
{
    g_free(keys->access_key_id);
    wipe(keys->secret);
    wipe(keys->token);
    *keys = (RoleKeys){ 0 };
}

/* The body of a 200 answer; caller wipes and frees. */
static char *ask(HttpClient *client, const char *method, const char *target, const char *header,
                 const char *value, GError **error)
{
    const char *headers[] = { header, value, NULL };
    const HttpRequest request = { .method = method,
                                  .target = target,
                                  .headers = headers,
                                  .timeout_ms = TIMEOUT_MS,
                                  .max_body = ANSWER_MAX };
    g_autoptr(HttpResponse) response = http_client_send(client, &request, error);

    if (!response)
        return NULL;
    if (response->status != 200)
        return fail_null(error, CONFIG, "the metadata service answers %s %s with status %d", method,
                         target, response->status);
    char *body = g_strndup(response->body->str, response->body->len);
    explicit_bzero(response->body->str, response->body->len);
    return body;
}

static gboolean read_keys(const char *text, RoleKeys *ret_keys, GError **error)
{
    json_auto_t *tree = json_loads(text, 0, NULL);
    const char *code = NULL, *id = NULL, *secret = NULL, *token = NULL, *until = NULL;

    if (json_unpack(tree, "{s:s, s:s, s:s, s:s, s:s}", "Code", &code, "AccessKeyId", &id,
                    "SecretAccessKey", &secret, "Token", &token, "Expiration", &until) != 0 ||
        strcmp(code, "Success") != 0)
        return fail(error, CONFIG, "the metadata service gives no credentials: %s",
                    code && strcmp(code, "Success") != 0 ? code : "not what was expected");
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(until, utc);
    if (!time)
        return fail(error, CONFIG, "credentials of the metadata service end at no known time");
    *ret_keys = (RoleKeys){ g_strdup(id), g_strdup(secret), g_strdup(token),
                            g_date_time_to_unix(time) * CLOCK_SECOND_US };
    return TRUE;
}

gboolean role_keys_fetch(const char *url, RoleKeys *ret_keys, GError **error)
{
    static const char ttl[] = "X-aws-ec2-metadata-token-ttl-seconds";
    static const char given[] = "X-aws-ec2-metadata-token";
    g_autoptr(HttpClient) client = http_client_new(url, NULL, error);
    g_autofree char *token =
        client ? ask(client, "PUT", "/latest/api/token", ttl, "60", error) : NULL;
    g_autofree char *role = token ? ask(client, "GET", ROLES, given, token, error) : NULL;

    if (!role)
        return FALSE;
    g_strchomp(role);
    if (!*role || role[strcspn(role, "/\n\r ")])
        return fail(error, CONFIG, "the instance has no role: give it an instance profile");
    g_autofree char *target = g_strconcat(ROLES, role, NULL);
    char *text = ask(client, "GET", target, given, token, error);
    gboolean done = text && read_keys(text, ret_keys, error);
    wipe(text);
    return done;
}

gint64 role_keys_renew_us(const RoleKeys *keys, gint64 now_us)
{
    gint64 left_us = MAX(0, keys->expires_us - now_us);

    return now_us + MAX(left_us / 6 * 5, CLOCK_SECOND_US);
}
