/*
 * store/console.h - rows of table "console_output": the tail of each instance's console
 *
 * handlers/ asks and gives what is there; reconcile/ reads the log on the host and stores it.
 * Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

#define CONSOLE_TAIL_MAX 65536

/* Asks for a fresh tail: raises the row's wanted and wakes the instance's step. */
gboolean console_want(DbTx *tx, const char *instance_id, GError **error);
/* The stored tail as base64 on one line; NULL when there is none yet. *ret_at_us: when it was read.
 * Caller frees. */
gboolean console_get(DbTx *tx, const char *instance_id, char **ret_base64, gint64 *ret_at_us,
                     GError **error);

/* The number that is wanted and not served yet; 0 when nothing is asked for. */
gboolean console_wanted(DbTx *tx, const char *instance_id, gint64 *ret_wanted, GError **error);
/* reconcile: stores the last CONSOLE_TAIL_MAX bytes of data as the answer to wanted (0: unasked).
 */
gboolean console_store(DbTx *tx, const char *instance_id, gint64 wanted, const void *data,
                       gsize length, GError **error);
