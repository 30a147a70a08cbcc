/*
 * store/task_protection.h - column "protected_until" of tasks
 *
 * Errors: TX_CONFLICT, UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "store/db.h"

typedef struct {
    gboolean exists;
    gboolean is_services; /* a service started it, and wants it to run */
    gint64 until_us;      /* UTC; 0: not protected */
} TaskProtection;

gboolean task_protection_get(DbTx *tx, gint64 cluster_id, const char *task_id,
                             TaskProtection *ret_protection, GError **error);
/* until_us 0 takes the protection away. Wakes the service. */
gboolean task_protection_set(DbTx *tx, gint64 cluster_id, const char *task_id, gint64 until_us,
                             GError **error);
