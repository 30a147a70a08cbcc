/*
 * server/perform.h - an action in its transaction: client token, handler, dry run, commit
 *
 * READ actions run without a transaction. A conflict reruns the action from its start, at most
 * PERFORM_TRIES times.
 * Errors: the handler's; DRY_RUN; TOKEN_MISMATCH; TX_CONFLICT (given up); UNAVAILABLE.
 */
#pragma once

#include "catalog/catalog.h"
#include "handlers/request.h"

#define PERFORM_TRIES 8

/* Makes the answer's bytes from its tree, before the commit; FALSE rolls back. */
typedef gboolean (*PerformEncode)(const json_t *answer, gpointer user, GError **error);

/* rq->tx is filled in here. */
gboolean perform(Request *rq, const Service *service, const Operation *operation,
                 PerformEncode encode, gpointer user, GError **error);
