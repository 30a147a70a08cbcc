#include "cli/client.h"
#include "base/clock.h"
#include "base/errors.h"
#include "catalog/catalog.h"
#include "cli/explain.h"
#include "cli/ui.h"
#include "drivers/http.h"
#include "wire/codec.h"
#include "wire/sigv4.h"

#include <string.h>

#define TIMEOUT_MS  60000
#define MAX_BODY    (32 * 1024 * 1024)
#define MAX_HEADERS 7

struct Client {
    Profile *profile;
    HttpClient *http;
};

Client *client_new(Cli *cli, GError **error)
{
    g_autoptr(Profile) profile = profile_load(cli, error);
    Client *client;

    if (!profile)
        return NULL;
    g_autoptr(HttpClient) http = http_client_new(profile->endpoint, profile->ca_file, error);
    if (!http)
        return NULL;
    client = g_new0(Client, 1);
    client->profile = g_steal_pointer(&profile);
    client->http = g_steal_pointer(&http);
    return client;
}

void client_free(Client *client)
{
    if (!client)
        return;
    http_client_free(client->http);
    profile_free(client->profile);
    g_free(client);
}

Client *client_get(Cli *cli, GError **error)
{
    if (!cli->client)
        cli->client = client_new(cli, error);
    return cli->client;
}

const Profile *client_profile(const Client *client)
{
    return client->profile;
}

static const Service *service_find(const char *name)
{
    for (guint i = 0; i < SERVICE__COUNT; i++)
        if (strcmp(catalog_services[i].name, name) == 0)
            return &catalog_services[i];
    g_error("no service \"%s\"", name);
}

/* -- one exchange */
typedef struct {
    const char *list[2 * MAX_HEADERS + 1];
    guint count;
} Headers;

static void header(Headers *headers, const char *name, const char *value)
{
    headers->list[headers->count++] = name;
    headers->list[headers->count++] = value;
    headers->list[headers->count] = NULL;
}

static void sign(const Client *client, const Service *service, const Headers *headers,
                 const char *body, gsize length, SigV4Signature *ret_signature)
{
    const Profile *p = client->profile;
    const SigV4Signer signer = { .access_key_id = p->access_key_id,
                                 .secret = p->secret,
                                 .session_token = p->session_token,
                                 .region = p->region,
                                 .service = service->signing_name };
    SigV4Header list[MAX_HEADERS + 1] = { { "Host", http_client_authority(client->http) } };
    guint count = 1;

    for (guint i = 0; i + 1 < headers->count; i += 2)
        list[count++] = (SigV4Header){ headers->list[i], headers->list[i + 1] };
    const SigV4Request request = { .method = "POST",
                                   .path = "/",
                                   .query = "",
                                   .headers = list,
                                   .header_count = count,
                                   .body = body,
                                   .body_length = length,
                                   .secure = TRUE };
    sigv4_sign(&request, &signer, clock_now_us(), ret_signature);
}

static HttpResponse *exchange(Client *client, const Service *service, const Operation *operation,
                              const char *body, gsize length, GError **error)
{
    g_auto(SigV4Signature) signature = { 0 };
    g_autofree char *target = g_strdup_printf(
        "%s.%s", service->target_prefix ? service->target_prefix : "", operation_name(operation));
    Headers headers = { 0 };

    header(&headers, "Content-Type", codec_request_type(service));
    if (service->target_prefix)
        header(&headers, "X-Amz-Target", target);
    sign(client, service, &headers, body, length, &signature);
    header(&headers, "X-Amz-Date", signature.date);
    header(&headers, "Authorization", signature.authorization);
    if (client->profile->session_token)
        header(&headers, "X-Amz-Security-Token", client->profile->session_token);
    header(&headers, "User-Agent", "berth/" BERTH_VERSION);
    const HttpRequest request = { .method = "POST",
                                  .target = "/",
                                  .headers = headers.list,
                                  .body = body,
                                  .body_length = length,
                                  .timeout_ms = TIMEOUT_MS,
                                  .max_body = MAX_BODY };
    return http_client_send(client->http, &request, error);
}

/* Codes that say that what was named does not exist ("InvalidInstanceID.NotFound"). */
static gboolean means_not_found(const char *code)
{
    return strstr(code, "NotFound") != NULL || strstr(code, "NoSuchEntity") != NULL;
}

static json_t *fail_answer(const Service *service, const HttpResponse *answer, GError **error)
{
    g_autofree char *code = NULL, *message = NULL;

    if (!codec_decode_error(service, answer->body->str, answer->body->len, &code, &message))
        return fail_null(error, API,
                         "the endpoint answered with status %d and no error of %s: is "
                         "it Berth's?",
                         answer->status, service->name);
    if (means_not_found(code))
        return fail_null(error, NOT_FOUND, "%s: %s", code, message ? message : "");
    return fail_null(error, API, "%s: %s", code, message ? message : "");
}

static void show_call(Cli *cli, const char *service, const char *action, const json_t *params)
{
    const char *always = g_getenv("BERTH_EXPLAIN");
    g_autofree char *line = NULL;

    if (cli->hushed || (!cli_flag(cli, "explain") && !(always && *always)))
        return;
    line = explain_aws(service, action, params);
    if (line)
        ui_note("%s$ %s%s", ui_dim(), line, ui_plain());
    else if (cli_flag(cli, "explain"))
        ui_note("%s(%s is Berth's own: no stock command makes this call)%s", ui_dim(), action,
                ui_plain());
}

json_t *client_call(Cli *cli, const char *service_name, const char *action, json_t *params,
                    GError **error)
{
    const Service *service = service_find(service_name);
    const Operation *operation = catalog_operation(service, action);
    json_auto_t *tree = params ? params : json_object();
    gsize length = 0;

    if (!operation)
        g_error("%s has no operation \"%s\"", service_name, action);
    Client *client = client_get(cli, error);
    if (!client)
        return NULL;
    show_call(cli, service_name, action, tree);
    g_autofree char *body = codec_encode_request(service, operation, tree, &length, error);
    if (!body)
        return NULL;
    g_autoptr(HttpResponse) answer = exchange(client, service, operation, body, length, error);
    if (!answer) {
        fail_prefix(error, "cannot call %s (\"berth status\" tells what is wrong)",
                    client->profile->endpoint);
        return NULL;
    }
    if (answer->status >= 300)
        return fail_answer(service, answer, error);
    return codec_decode_answer(service, operation, answer->body->str, answer->body->len, error);
}

gboolean client_look(Cli *cli, const char *service, const char *action, json_t *params,
                     const char *member, json_t **io_first, GError **error)
{
    json_auto_t *answer = client_call(cli, service, action, params, error);

    if (!answer)
        return FALSE;
    json_decref(*io_first);
    *io_first = json_incref(json_array_get(json_object_get(answer, member), 0));
    return TRUE;
}

json_t *client_pages(Cli *cli, const char *service, const char *action, json_t *params,
                     const char *member, GError **error)
{
    /* ECS spells its members in lower case */
    const char *token_name = g_ascii_islower(*member) ? "nextToken" : "NextToken";
    json_auto_t *tree = params ? params : json_object();
    json_auto_t *all = json_array();

    for (;;) {
        json_auto_t *page = client_call(cli, service, action, json_deep_copy(tree), error);
        if (!page)
            return NULL;
        json_array_extend(all, json_object_get(page, member));
        const char *token = json_string_value(json_object_get(page, token_name));
        if (!token || !*token)
            return json_incref(all);
        json_object_set_new(tree, token_name, json_string(token));
    }
}
