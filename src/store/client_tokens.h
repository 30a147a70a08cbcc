/*
 * store/client_tokens.h - rows of table "client_tokens": answers that a repeated call gets again
 *
 * (account, action, token) is unique. The row is inserted first thing in the transaction of the
 * call it guards, so a second call with the token waits for the first one's end, and a call that
 * failed leaves none. Both databases have the table; tx says which.
 * Errors: TOKEN_MISMATCH (the token came with another request); those of db.h.
 * Source: EC2 API Reference, "Ensuring idempotency".
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

/* How long a token is remembered. */
#define CLIENT_TOKEN_HOURS 24

/* Claims the token for this request. *ret_answer: NULL, and the call is to be made and its answer
 * kept by client_tokens_keep in the same transaction; or the answer of the call that was made
 * before (caller owns it). */
gboolean client_tokens_claim(DbTx *tx, const char *account_id, const char *action,
                             const char *token, const char *request_hash, json_t **ret_answer,
                             GError **error);
gboolean client_tokens_keep(DbTx *tx, const char *account_id, const char *action, const char *token,
                            const json_t *answer, GError **error);
/* Forgets tokens older than CLIENT_TOKEN_HOURS. */
gboolean client_tokens_prune(DbTx *tx, GError **error);
