#include "agent/api.h"
#include "agent/pool.h"
#include "agent/role.h"
#include "agent/state.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/log.h"
#include "base/tree.h"
#include "drivers/http.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TARGET_PREFIX   "AmazonEC2ContainerServiceV20141113."
#define CALL_TIMEOUT_MS 10000
#define ANSWER_MAX      (1024 * 1024)
#define OTHERS_MAX      2
#define KEYS_FILE       "credentials.json"
#define ROLE_RETRY_US   (2 * CLOCK_SECOND_US)

struct AgentApi {
    const AgentConfig *config;
    const char *config_file;
    HttpClient *client; /* used by the one thread of the pool */
    Pool *pool;
    Pool *others;         /* calls in the name of tasks */
    pthread_mutex_t lock; /* of what follows */
    AgentSigner signer;
    char *first_key;         /* the configuration's; those that were handed over follow it */
    struct timespec read_at; /* the file's time when signer was read */
    gboolean by_role;        /* the file has no keys: the instance's role */
    gint64 renew_us;         /* of the role's */
};

typedef struct {
    AgentApi *api;
    const char *operation;
    json_t *request;
    AgentApiDone done;
    gpointer user;
    AgentSigner as; /* of a task; empty: the agent's */
    guint timeout_ms;
    json_t *tree;
    char *code;
    char *message;
} Call;

static void signer_from(AgentSigner *signer, const AgentConfig *config)
{
    agent_signer_clear(signer);
    *signer = (AgentSigner){ g_strdup(config->access_key_id), g_strdup(config->secret_access_key),
                             g_strdup(config->session_token), g_strdup(config->region) };
}

static gboolean is_text(const json_t *tree, const char *member)
{
    const char *text = json_string_value(json_object_get(tree, member));

    return text && *text;
}

/* Takes the keys of a message, or of the file that keeps them. */
static gboolean signer_from_tree(AgentSigner *signer, const char *region, const json_t *tree)
{
    if (!is_text(tree, "accessKeyId") || !is_text(tree, "secretAccessKey") ||
        !is_text(tree, "sessionToken"))
        return FALSE;
    agent_signer_clear(signer);
    *signer = (AgentSigner){ g_strdup(json_string_value(json_object_get(tree, "accessKeyId"))),
                             g_strdup(json_string_value(json_object_get(tree, "secretAccessKey"))),
                             g_strdup(json_string_value(json_object_get(tree, "sessionToken"))),
                             g_strdup(region) };
    return TRUE;
}

/* What was handed over in the place of the configuration's keys, if it was. */
static void signer_follow(AgentApi *api, const AgentConfig *config)
{
    json_auto_t *tree = agent_state_kept(config->data_dir, KEYS_FILE);
    const char *first = json_string_value(json_object_get(tree, "firstKeyId"));

    if (g_strcmp0(first, config->access_key_id) == 0)
        signer_from_tree(&api->signer, config->region, tree);
}

void agent_api_replace(AgentApi *api, const json_t *message)
{
    g_autoptr(GError) cause = NULL;

    pthread_mutex_lock(&api->lock);
    json_auto_t *kept = json_pack("{s:s, s:O*, s:O*, s:O*}", "firstKeyId", api->first_key,
                                  "accessKeyId", json_object_get(message, "accessKeyId"),
                                  "secretAccessKey", json_object_get(message, "secretAccessKey"),
                                  "sessionToken", json_object_get(message, "sessionToken"));
    gboolean taken = !api->by_role && signer_from_tree(&api->signer, api->config->region, kept);
    if (taken && !agent_state_keep(api->config->data_dir, KEYS_FILE, kept, &cause))
        log_warn("-", "new credentials are not kept: %s", cause->message);
    pthread_mutex_unlock(&api->lock);
    if (taken)
        log_info("-", "new credentials until %.40s",
                 json_string_value(json_object_get(message, "expiration")));
}

/* Called with the lock held, or before there are other threads. */
static void signer_take(AgentApi *api, const AgentConfig *config)
{
    gboolean by_role = !*config->access_key_id;

    if (!by_role || !api->by_role)
        signer_from(&api->signer, config);
    if (by_role && !api->by_role)
        api->renew_us = 0;
    api->by_role = by_role;
    g_free(api->first_key);
    api->first_key = g_strdup(config->access_key_id);
    if (!by_role)
        signer_follow(api, config);
}

AgentApi *agent_api_new(Loop *loop, const AgentConfig *config, const char *config_file,
                        GError **error)
{
    HttpClient *client =
        http_client_new(config->endpoint, *config->ca_file ? config->ca_file : NULL, error);
    if (!client)
        return NULL;
    AgentApi *api = g_new0(AgentApi, 1);
    struct stat file;

    api->config = config;
    api->config_file = config_file;
    api->client = client;
    api->pool = pool_new(loop, 1);
    api->others = pool_new(loop, OTHERS_MAX);
    pthread_mutex_init(&api->lock, NULL);
    signer_take(api, config);
    if (config_file && stat(config_file, &file) == 0)
        api->read_at = file.st_mtim;
    return api;
}

StreamTls *agent_api_tls(const AgentApi *api)
{
    return http_client_tls(api->client);
}

/* Called with the lock held. */
static void refresh_signer(AgentApi *api)
{
    struct stat file;

    if (!api->config_file || stat(api->config_file, &file) != 0 ||
        memcmp(&file.st_mtim, &api->read_at, sizeof file.st_mtim) == 0)
        return;
    g_autoptr(GError) cause = NULL;
    g_autoptr(AgentConfig) config = agent_config_load(api->config_file, &cause);
    api->read_at = file.st_mtim;
    if (config)
        signer_take(api, config);
    else
        log_warn("-", "credentials are not read again: %s", cause->message);
}

/* Whether the role's credentials must be got now; then nobody else does for a while. */
static gboolean renewal_due(AgentApi *api, gboolean rejected)
{
    gint64 now_us = clock_now_us();

    pthread_mutex_lock(&api->lock);
    refresh_signer(api);
    gboolean due = api->by_role && (rejected || now_us >= api->renew_us);
    if (due)
        api->renew_us = now_us + ROLE_RETRY_US;
    pthread_mutex_unlock(&api->lock);
    return due;
}

static void renew(AgentApi *api, gboolean rejected)
{
    g_auto(RoleKeys) keys = { 0 };
    g_autoptr(GError) cause = NULL;

    if (!renewal_due(api, rejected))
        return;
    if (!role_keys_fetch(api->config->metadata_url, &keys, &cause)) {
        log_warn("-", "no credentials of the instance's role: %s", cause->message);
        return;
    }
    pthread_mutex_lock(&api->lock);
    if (api->by_role) {
        agent_signer_clear(&api->signer);
        api->signer =
            (AgentSigner){ g_steal_pointer(&keys.access_key_id), g_steal_pointer(&keys.secret),
                           g_steal_pointer(&keys.token), g_strdup(api->config->region) };
        api->renew_us = role_keys_renew_us(&keys, clock_now_us());
    }
    pthread_mutex_unlock(&api->lock);
}

void agent_api_renew(AgentApi *api)
{
    renew(api, FALSE);
}

void agent_api_signer(AgentApi *api, AgentSigner *ret_signer)
{
    pthread_mutex_lock(&api->lock);
    refresh_signer(api);
    *ret_signer = (AgentSigner){ g_strdup(api->signer.access_key_id), g_strdup(api->signer.secret),
                                 g_strdup(api->signer.token), g_strdup(api->signer.region) };
    pthread_mutex_unlock(&api->lock);
}

void agent_signer_clear(AgentSigner *signer)
{
    g_free(signer->access_key_id);
    g_free(signer->secret);
    g_free(signer->token);
    g_free(signer->region);
    *signer = (AgentSigner){ 0 };
}

static void sign_for(const char *service, const AgentSigner *signer, const SigV4Request *request,
                     SigV4Signature *ret_signature)
{
    const SigV4Signer sign = { signer->access_key_id, signer->secret,
                               *signer->token ? signer->token : NULL, signer->region, service };

    sigv4_sign(request, &sign, clock_now_us(), ret_signature);
}

void agent_signer_sign(const AgentSigner *signer, const SigV4Request *request,
                       SigV4Signature *ret_signature)
{
    sign_for("ecs", signer, request, ret_signature);
}

/* The answer to a signed POST; NULL when none came. */
static HttpResponse *post(HttpClient *client, const char *service, const AgentSigner *signer,
                          guint timeout_ms, const char *target, const char *body, GError **error)
{
    g_auto(SigV4Signature) signature = { 0 };
    const SigV4Header signed_headers[] = {
        { "Host", http_client_authority(client) },
        { "Content-Type", "application/x-amz-json-1.1" },
        { "X-Amz-Target", target },
    };
    const SigV4Request sign = { .method = "POST",
                                .path = "/",
                                .query = "",
                                .headers = signed_headers,
                                .header_count = G_N_ELEMENTS(signed_headers),
                                .body = body,
                                .body_length = strlen(body),
                                .secure = TRUE };

    sign_for(service, signer, &sign, &signature);
    const char *headers[] = { "Content-Type",
                              "application/x-amz-json-1.1",
                              "X-Amz-Target",
                              target,
                              "User-Agent",
                              "berth-agent/" BERTH_VERSION,
                              "X-Amz-Date",
                              signature.date,
                              "Authorization",
                              signature.authorization,
                              *signer->token ? "X-Amz-Security-Token" : NULL,
                              signer->token,
                              NULL };
    const HttpRequest request = { .method = "POST",
                                  .target = "/",
                                  .headers = headers,
                                  .body = body,
                                  .body_length = strlen(body),
                                  .timeout_ms = timeout_ms,
                                  .max_body = ANSWER_MAX };
    return http_client_send(client, &request, error);
}

/* In the agent's name on the connection it keeps, or in a task's on a new one. */
static HttpResponse *post_call(const Call *call, const char *target, const char *body,
                               GError **error)
{
    const AgentConfig *config = call->api->config;
    g_auto(AgentSigner) signer = { 0 };

    if (!call->as.access_key_id) {
        agent_api_renew(call->api);
        agent_api_signer(call->api, &signer);
        if (!*signer.access_key_id)
            return fail_null(error, HTTP_CLIENT, "the instance's role has given no credentials");
        return post(call->api->client, "ecs", &signer, CALL_TIMEOUT_MS, target, body, error);
    }
    g_autoptr(HttpClient) client =
        http_client_new(config->endpoint, *config->ca_file ? config->ca_file : NULL, error);
    return client ? post(client, "ecs", &call->as, call->timeout_ms, target, body, error) : NULL;
}

/* __type without what stands before "#". Caller frees. */
static char *error_code_of(const json_t *tree, int status)
{
    const char *type = json_string_value(json_object_get(tree, "__type"));
    const char *hash = type ? strrchr(type, '#') : NULL;

    return type ? g_strdup(hash ? hash + 1 : type) : g_strdup_printf("HTTP%d", status);
}

static char *error_message_of(const json_t *tree)
{
    const char *message = json_string_value(json_object_get(tree, "message"));

    if (!message)
        message = json_string_value(json_object_get(tree, "Message"));
    return g_strndup(message ? message : "no message", 1000);
}

/* Refused for who signed: a role's credentials may have been taken back before their end. */
static gboolean is_of_keys(const char *code)
{
    return strcmp(code, "ExpiredTokenException") == 0 ||
           strcmp(code, "UnrecognizedClientException") == 0 ||
           strcmp(code, "InvalidClientTokenId") == 0;
}

static void call_run(gpointer user)
{
    Call *call = user;
    g_autofree char *target = g_strconcat(TARGET_PREFIX, call->operation, NULL);
    g_autoptr(JsonText) body = json_dumps(call->request, JSON_COMPACT);
    g_autoptr(GError) cause = NULL;

    g_autoptr(HttpResponse) response = post_call(call, target, body, &cause);
    if (!response) {
        call->message = g_strdup(cause->message);
        return;
    }
    json_auto_t *tree = json_loadb(response->body->str, response->body->len, 0, NULL);
    if (response->status / 100 == 2 && json_is_object(tree)) {
        call->tree = json_incref(tree);
        return;
    }
    call->code = error_code_of(tree, response->status);
    call->message = error_message_of(tree);
    if (!call->as.access_key_id && is_of_keys(call->code))
        renew(call->api, TRUE);
}

static void call_done(gpointer user)
{
    Call *call = user;
    const AgentAnswer answer = { call->tree, call->code, call->message };

    call->done(call->user, &answer);
    json_decref(call->request);
    json_decref(call->tree);
    agent_signer_clear(&call->as);
    g_free(call->code);
    g_free(call->message);
    g_free(call);
}

void agent_api_call(AgentApi *api, const char *operation, json_t *request, AgentApiDone done,
                    gpointer user)
{
    Call *call = g_new0(Call, 1);

    *call = (Call){
        .api = api, .operation = operation, .request = request, .done = done, .user = user
    };
    pool_push(api->pool, call_run, call_done, call);
}

void agent_api_call_as(AgentApi *api, const AgentSigner *signer, guint timeout_ms,
                       const char *operation, json_t *request, AgentApiDone done, gpointer user)
{
    Call *call = g_new0(Call, 1);

    *call = (Call){ .api = api,
                    .operation = operation,
                    .request = request,
                    .done = done,
                    .user = user,
                    .as = { g_strdup(signer->access_key_id), g_strdup(signer->secret),
                            g_strdup(signer->token), g_strdup(signer->region) },
                    .timeout_ms = timeout_ms };
    pool_push(api->others, call_run, call_done, call);
}

json_t *agent_api_call_now(const AgentConfig *config, const AgentSigner *signer,
                           const char *service, const char *target, const json_t *request,
                           GError **error)
{
    g_autoptr(JsonText) body = json_dumps(request, JSON_COMPACT);
    g_autoptr(HttpClient) client =
        http_client_new(config->endpoint, *config->ca_file ? config->ca_file : NULL, error);
    if (!client)
        return NULL;
    g_autoptr(HttpResponse) response =
        post(client, service, signer, CALL_TIMEOUT_MS, target, body, error);
    if (!response)
        return NULL;
    json_auto_t *tree = json_loadb(response->body->str, response->body->len, 0, NULL);
    if (response->status / 100 == 2 && json_is_object(tree))
        return json_incref(tree);
    g_autofree char *code = error_code_of(tree, response->status);
    g_autofree char *message = error_message_of(tree);
    if (response->status / 100 == 5 || g_str_has_prefix(code, "Throttling"))
        return fail_null(error, UNAVAILABLE, "%s: %s", code, message);
    return fail_null(error, API, "%s: %s", code, message);
}
