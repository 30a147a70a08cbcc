/*
 * store/history.h - rows of table "history": what happened to an object, appended only
 *
 * "berth why" shows them. Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

gboolean history_add(DbTx *tx, const char *kind, const char *id, const char *what, GError **error);
/* The same sentence for each of ids (ended by NULL), in one statement. */
gboolean history_add_all(DbTx *tx, const char *kind, const char *const *ids, const char *what,
                         GError **error);

/* When the newest entry of exactly this sentence was made; 0: never. */
gboolean history_find(DbTx *tx, const char *id, const char *what, gint64 *ret_at_us,
                      GError **error);

typedef struct {
    gint64 at_us;
    char *what;
} HistoryEntry;
void history_entry_free(HistoryEntry *entry);
/* The newest limit entries, newest first. Free with g_ptr_array_unref. */
GPtrArray *history_list(DbTx *tx, const char *id, guint limit, GError **error);
