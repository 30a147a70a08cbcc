/*
 * reconcile/retry.h - table "retries": what failed, why, and when it is tried again
 *
 * reconcile/ writes it, "berth why" reads it. Delays are milliseconds.
 * Errors: UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "store/db.h"

/* The delay before try number failures + 1: 1 s doubling to 5 min; permanent failures 5 min. */
gint64 retry_delay_ms(gint64 failures, gboolean permanent);
/* Counts a failure with its cause and returns the delay before the next try in *ret_delay_ms. */
gboolean retry_record(DbPool *region, const char *kind, const char *id, const GError *cause,
                      gint64 *ret_delay_ms, GError **error);
gboolean retry_clear(DbPool *region, const char *kind, const char *id, GError **error);
/* "kind:id" of each object whose next try is not due yet (a set), for the sweep to leave out. */
GHashTable *retry_waiting(DbTx *tx, GError **error);
/* Calls due for each object whose next try is due. */
gboolean retry_each_due(DbTx *tx, void (*due)(const char *kind, const char *id, gpointer user),
                        gpointer user, GError **error);
