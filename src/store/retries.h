/*
 * store/retries.h - rows of table "retries", as "berth why" reads them (reconcile/retry.c writes)
 *
 * Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

typedef struct {
    gint failures;
    char *last_error;
    gint64 failed_us;
    gint64 next_try_us;
} Retry;

void retry_free(Retry *retry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Retry, retry_free)

/* *ret_retry is NULL when the object has not failed lately. */
gboolean retries_find(DbTx *tx, const char *kind, const char *id, Retry **ret_retry,
                      GError **error);
