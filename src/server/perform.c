#include "server/perform.h"
#include "base/errors.h"
#include "base/fault.h"
#include "base/id.h"
#include "handlers/agent_self.h"
#include "handlers/table.h"
#include "store/client_tokens.h"

#include <stdlib.h>
#include <string.h>

#define BACKOFF_FIRST_US 4000

typedef struct {
    Request *rq;
    const Service *service;
    const Operation *operation;
    const Action *action;
    ActionHandler handler;
    PerformEncode encode;
    gpointer user;
    const char *token; /* NULL: the call is not guarded by one */
    char *token_action;
    char request_hash[CRYPTO_SHA256_HEX_SIZE];
} Performance;

static gboolean is_write(const Action *action)
{
    return action->mode == ACTION_DB_WRITE || action->mode == ACTION_ID_WRITE;
}

static DbPool *pool_of(const Request *rq, const Action *action)
{
    gboolean identity = action->mode == ACTION_ID_READ || action->mode == ACTION_ID_WRITE;

    return identity ? rq->context->identity : rq->context->region;
}

/* The member that carries the idempotency token, and whether the request fills it. */
static const char *client_token(const Performance *p, const char **ret_member)
{
    const Shape *input = operation_input(p->operation);

    for (guint i = 0; input && i < input->count; i++) {
        const ShapeMember *member = &shape_member_rows(input)[i];
        *ret_member = shape_text(member->name);
        const char *token = request_text(p->rq, *ret_member);
        if (member->flags & MEMBER_TOKEN && token && *token)
            return token;
    }
    return NULL;
}

/* The digest of everything the request asks for but the token itself; keyed, as a request may carry
 * a secret that could be guessed. */
static void hash_request(Performance *p, const char *token_member)
{
    json_auto_t *rest = json_copy((json_t *)p->rq->params);
    guint8 mac[CRYPTO_SHA256_SIZE];

    json_object_del(rest, token_member);
    char *text = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
    crypto_hmac_sha256(p->rq->context->master_key, CRYPTO_KEY_SIZE, text, strlen(text), mac);
    crypto_hex(mac, sizeof mac, p->request_hash);
    free(text);
}

static json_t *run_handler(Performance *p, GError **error)
{
    if (!agent_check_self(p->rq, error))
        return NULL;
    json_t *answer = p->handler(p->rq, error);
    if (answer && request_bool(p->rq, "DryRun", FALSE)) {
        json_decref(answer);
        return fail_null(error, DRY_RUN, "Request would have succeeded, but DryRun flag is set.");
    }
    return answer;
}

/* The answer: that of an earlier call with the same token, or a new one. */
static json_t *make_answer(Performance *p, GError **error)
{
    Request *rq = p->rq;
    json_t *earlier = NULL;

    if (!p->token || request_bool(rq, "DryRun", FALSE))
        return run_handler(p, error);
    if (!client_tokens_claim(rq->tx, rq->account_id, p->token_action, p->token, p->request_hash,
                             &earlier, error))
        return NULL;
    if (earlier)
        return earlier;
    json_auto_t *answer = run_handler(p, error);
    if (!answer ||
        !client_tokens_keep(rq->tx, rq->account_id, p->token_action, p->token, answer, error))
        return NULL;
    return json_incref(answer);
}

static gboolean perform_once(Performance *p, GError **error)
{
    DbMode mode = is_write(p->action) ? DB_MODE_WRITE : DB_MODE_READ;
    g_autoptr(DbTx) tx = db_begin(pool_of(p->rq, p->action), mode, error);

    if (!tx)
        return FALSE;
    p->rq->tx = tx;
    p->rq->again_ms = 0;
    json_auto_t *answer = make_answer(p, error);
    p->rq->tx = NULL;
    if (!answer || (!p->rq->again_ms && !p->encode(answer, p->user, error)))
        return FALSE;
    if (mode == DB_MODE_READ)
        return db_commit(g_steal_pointer(&tx), error);
    FAULT_POINT("call.handled");
    if (!db_commit(g_steal_pointer(&tx), error))
        return FALSE;
    FAULT_POINT("call.committed");
    return TRUE;
}

/* Doubling, with up to as much again at random, so that two who met do not meet again. */
static void back_off(guint attempt)
{
    guint32 random;
    gulong base = BACKOFF_FIRST_US << MIN(attempt, 6);

    id_random(&random, sizeof random);
    g_usleep(base + random % base);
}

/* Until what the handler asked for is there; no session of the database is held meanwhile. */
static gboolean perform_waiting(Performance *p, GError **error)
{
    while (perform_once(p, error)) {
        if (!p->rq->again_ms)
            return TRUE;
        g_usleep((gulong)p->rq->again_ms * 1000);
        p->rq->waited_ms += p->rq->again_ms;
    }
    return FALSE;
}

static gboolean perform_tries(Performance *p, GError **error)
{
    for (guint attempt = 0;; attempt++) {
        g_autoptr(GError) cause = NULL;
        if (perform_waiting(p, &cause))
            return TRUE;
        if (!error_is(cause, ERROR_TX_CONFLICT) || attempt + 1 >= PERFORM_TRIES) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        back_off(attempt);
    }
}

gboolean perform(Request *rq, const Service *service, const Operation *operation,
                 PerformEncode encode, gpointer user, GError **error)
{
    Performance p = { .rq = rq,
                      .service = service,
                      .operation = operation,
                      .action = catalog_action(service, operation),
                      .handler = handler_find(service, operation),
                      .encode = encode,
                      .user = user };
    const char *member = NULL;

    if (!p.action || !p.handler)
        return fail(error, UNSUPPORTED, "operation \"%s\" of \"%s\" is not built here",
                    operation_name(operation), service->name);
    g_autofree char *token_action =
        g_strconcat(service->name, ":", operation_name(operation), NULL);
    p.token_action = token_action;
    p.token = is_write(p.action) ? client_token(&p, &member) : NULL;
    if (p.token)
        hash_request(&p, member);
    return perform_tries(&p, error);
}
