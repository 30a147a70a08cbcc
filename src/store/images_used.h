/*
 * store/images_used.h - who still needs an image's files, for reconcile
 *
 * Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

/* Whether an instance that has not ended was made from it. */
gboolean images_used(DbTx *tx, const char *image_id, gboolean *ret_used, GError **error);
/* Digests of its files that no other image names which is still wanted or used. NULL-terminated;
 * caller frees with g_strfreev. */
char **images_orphaned_blobs(DbTx *tx, const char *image_id, GError **error);
/* Ids of images whose copies on hosts must stay: wanted, or used by an instance that has not
 * ended (a set). Caller frees. */
GHashTable *images_kept(DbTx *tx, GError **error);
