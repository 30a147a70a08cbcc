#include "store/client_tokens.h"
#include "base/errors.h"

#include <stdlib.h>
#include <string.h>

static gboolean token_answer(DbTx *tx, const char *account_id, const char *action,
                             const char *token, const char *request_hash, json_t **ret_answer,
                             GError **error)
{
    g_autoptr(PGresult) res = db_query(tx, error,
                                       "SELECT request_hash, answer FROM client_tokens"
                                       " WHERE account_id = $1 AND action = $2 AND token = $3",
                                       DB_ARGS(account_id, action, token));
    if (!res)
        return FALSE;
    if (PQntuples(res) == 0)
        return fail(error, TX_CONFLICT, "client token \"%s\" was just forgotten", token);
    if (strcmp(db_text(res, 0, 0), request_hash) != 0)
        return fail(error, TOKEN_MISMATCH,
                    "The request uses the same client token as a previous, but non-identical "
                    "request. Do not reuse a client token with different requests, unless the "
                    "requests are identical");
    *ret_answer = json_loads(db_text(res, 0, 1), 0, NULL);
    if (!*ret_answer)
        return fail(error, INTERNAL, "the answer kept for client token \"%s\" is no JSON", token);
    return TRUE;
}

gboolean client_tokens_claim(DbTx *tx, const char *account_id, const char *action,
                             const char *token, const char *request_hash, json_t **ret_answer,
                             GError **error)
{
    guint rows = 0;

    *ret_answer = NULL;
    if (!db_exec(tx, error,
                 "INSERT INTO client_tokens (account_id, action, token, request_hash, answer)"
                 " VALUES ($1, $2, $3, $4, '{}') ON CONFLICT DO NOTHING",
                 DB_ARGS(account_id, action, token, request_hash), &rows))
        return FALSE;
    if (rows == 1)
        return TRUE;
    return token_answer(tx, account_id, action, token, request_hash, ret_answer, error);
}

gboolean client_tokens_keep(DbTx *tx, const char *account_id, const char *action, const char *token,
                            const json_t *answer, GError **error)
{
    char *text = json_dumps(answer, JSON_COMPACT);
    gboolean kept = db_exec(tx, error,
                            "UPDATE client_tokens SET answer = $4"
                            " WHERE account_id = $1 AND action = $2 AND token = $3",
                            DB_ARGS(account_id, action, token, text), NULL);

    free(text);
    return kept;
}

gboolean client_tokens_prune(DbTx *tx, GError **error)
{
    return db_exec(tx, error,
                   "DELETE FROM client_tokens"
                   " WHERE created_at < now() - make_interval(hours => $1::int)",
                   DB_ARGS(db_int(tx, CLIENT_TOKEN_HOURS)), NULL);
}
