#include "server/api.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/log.h"
#include "catalog/catalog.h"
#include "model/policy.h"
#include "server/auth.h"
#include "server/perform.h"
#include "server/route.h"
#include "store/sessions.h"
#include "shape/check.h"
#include "wire/codec.h"

#include <string.h>

/* One call on its way through the gates. */
typedef struct {
    const Api *api;
    const ApiCall *call;
    Route route;
    const Operation *operation;
    KeyEntry *caller;
    json_t *params;
    ApiAnswer *answer;
    gint64 now_us;
} Passage;

static void passage_clear(Passage *passage)
{
    route_clear(&passage->route);
    key_entry_unref(passage->caller);
    json_decref(passage->params);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Passage, passage_clear)

/* The text of a member, or of the first element of a list. */
static const char *resource_word(const json_t *params, const char *name, gsize length)
{
    g_autofree char *member = g_strndup(name, length);
    const json_t *value = json_object_get(params, member);

    if (json_is_array(value))
        value = json_array_get(value, 0);
    return json_is_string(value) ? json_string_value(value) : "*";
}

/* "instance/${InstanceId}" with the request's values, as an ARN. Caller frees. */
static char *resource_arn(const Passage *passage, const char *tail)
{
    if (strcmp(tail, "*") == 0)
        return g_strdup("*");
    g_autoptr(GString) arn = g_string_new(NULL);
    g_string_printf(arn, "arn:aws:%s:%s:%s:", passage->route.service->name,
                    passage->api->context.config->region, passage->caller->identity.account_id);
    for (const char *p = tail; *p;) {
        const char *end = g_str_has_prefix(p, "${") ? strchr(p, '}') : NULL;
        if (end)
            g_string_append(arn, resource_word(passage->params, p + 2, (gsize)(end - p - 2)));
        else
            g_string_append_c(arn, *p);
        p = end ? end + 1 : p + 1;
    }
    return g_string_free(g_steal_pointer(&arn), FALSE);
}

static gboolean gate_policy(const Passage *passage, GError **error)
{
    const Identity *who = &passage->caller->identity;
    const Action *action = catalog_action(passage->route.service, passage->operation);
    PolicyPrincipal principal = {
        .session = who->session,
        .admin = who->is_admin,
        .principal_arn = who->principal_arn,
    };
    g_autofree char *resource = resource_arn(passage, action->resource);

    return policy_allow(&principal, passage->route.service->name,
                        operation_name(passage->operation), resource, error);
}

static gboolean encode_answer(const json_t *answer, gpointer user, GError **error)
{
    Passage *passage = user;
    const Service *service = passage->route.service;

    g_free(passage->answer->body); /* of a try that did not commit */
    passage->answer->body =
        codec_encode_answer(service, passage->operation, answer, passage->call->request_id,
                            &passage->answer->length, error);
    if (!passage->answer->body)
        return FALSE;
    return shape_check_output(answer, operation_output(passage->operation), error);
}

static gboolean run_action(Passage *passage, GError **error)
{
    Request rq = {
        .context = &passage->api->context,
        .identity = &passage->caller->identity,
        .account_id = passage->caller->identity.account_id,
        .region = passage->api->context.config->region,
        .request_id = passage->call->request_id,
        .client_address = passage->call->client_address,
        .now_us = passage->now_us,
        .params = passage->params,
    };

    return perform(&rq, passage->route.service, passage->operation, encode_answer, passage, error);
}

static gboolean pass_gates(Passage *passage, GError **error)
{
    const SigV4Request *http = &passage->call->http;
    Route *route = &passage->route;

    if (!route_service(http, passage->api->context.config->region, route, error))
        return FALSE;
    passage->caller = auth_prove(passage->api->keys, http, &route->claim, passage->now_us, error);
    if (!passage->caller || !route_action(http, route, error))
        return FALSE;
    passage->operation = catalog_require(route->service, route->action, error);
    if (!passage->operation)
        return FALSE;
    passage->params = codec_decode_request(route->service, passage->operation, route->payload,
                                           route->payload_length, error);
    return passage->params && gate_policy(passage, error) && run_action(passage, error);
}

/* The words that this dialect's clients know, where they differ from the error's own. */
static GError *error_for(const Service *service, const GError *cause)
{
    ErrorDialect dialect = service ? catalog_dialect(service) : ERROR_DIALECT_EC2;
    const char *sentence = auth_sentence(error_code(cause), dialect);

    if (sentence)
        return g_error_new_literal(cause->domain, cause->code, sentence);
    if (dialect == ERROR_DIALECT_EC2 && error_is(cause, ERROR_ACCESS_DENIED))
        return g_error_new(cause->domain, cause->code,
                           "You are not authorized to perform this operation. %s", cause->message);
    return g_error_copy(cause);
}

static void answer_error(Passage *passage, const GError *cause)
{
    ApiAnswer *answer = passage->answer;
    const Service *service = passage->route.service;
    g_autoptr(GError) told = error_for(service, cause);

    g_free(answer->body);
    answer->body = codec_encode_error(service, told, passage->call->request_id, &answer->status,
                                      &answer->code, &answer->length);
    answer->json = service && service->protocol == PROTOCOL_JSON;
    if (answer->status >= 500)
        log_line(LOG_ERROR, passage->call->request_id, "%s: %s", error_symbol(error_code(cause)),
                 cause->message);
}

static void log_call(const Passage *passage, gint64 took_us)
{
    const Service *service = passage->route.service;

    log_line(LOG_INFO, passage->call->request_id, "%s %s %s:%s %d %s %.1f ms",
             passage->call->client_address,
             passage->caller ? passage->caller->identity.account_id : "-",
             service ? service->name : "-",
             passage->operation ? operation_name(passage->operation) : "-", passage->answer->status,
             passage->answer->code ? passage->answer->code : "OK", (double)took_us / 1000);
}

void api_call(const Api *api, const ApiCall *call, ApiAnswer *ret_answer)
{
    g_auto(Passage)
        passage = { .api = api, .call = call, .answer = ret_answer, .now_us = clock_now_us() };
    g_autoptr(GError) error = NULL;

    *ret_answer = (ApiAnswer){ .status = 200 };
    if (!pass_gates(&passage, &error))
        answer_error(&passage, error);
    ret_answer->content_type = codec_content_type(passage.route.service);
    log_call(&passage, clock_now_us() - passage.now_us);
}
