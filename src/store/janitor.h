/*
 * store/janitor.h - taking away rows that nobody needs any more, a bounded number at a time
 *
 * What goes, and after how long, is one table in janitor.c. Each statement is a transaction of its
 * own: safe to be killed anywhere, and repeated. Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

/* Of a region's database, as berth_reconcile, outside of a transaction (DB_MODE_READ). What ended
 * before history_us goes. *ret_more: a statement met its bound, so there may be more. */
gboolean janitor_region(DbTx *tx, const char *region, gint64 history_us, gboolean *ret_more,
                        GError **error);
/* Of the identity database: sessions that are over, answers of old calls. */
gboolean janitor_identity(DbTx *tx, gboolean *ret_more, GError **error);
