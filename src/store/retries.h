/*
 * store/retries.h - table "retries": what failed, why, and when it is tried again
 *
 * reconcile/ writes it, "berth why" reads it. Delays are milliseconds.
 * Errors: UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "store/db.h"

/* The delay before try number failures + 1: 1 s doubling to 5 min; permanent failures 5 min. */
gint64 retries_delay_ms(gint64 failures, gboolean permanent);
/* Counts a failure with its cause and returns the delay before the next try in *ret_delay_ms. */
gboolean retries_record(DbPool *region, const char *kind, const char *id, const GError *cause,
                        gint64 *ret_delay_ms, GError **error);
gboolean retries_clear(DbPool *region, const char *kind, const char *id, GError **error);
/* "kind:id" of each object whose next try is not due yet (a set), for the sweep to leave out. */
GHashTable *retries_waiting(DbTx *tx, GError **error);
/* Calls due for each object whose next try is due. */
gboolean retries_each_due(DbTx *tx, void (*due)(const char *kind, const char *id, gpointer user),
                          gpointer user, GError **error);

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
