/*
 * store/key_pairs.h - rows of table "key_pairs": public halves only
 *
 * Errors: KEY_PAIR_NOT_FOUND and KEY_PAIR_DUPLICATE in EC2's words, and those of store/db.h.
 */
#pragma once

#include "store/db.h"

typedef struct {
    char *id;
    char *name;
    char *type; /* "rsa", "ed25519" */
    char *fingerprint;
    char *public_key; /* one OpenSSH line */
    gint64 created_us;
} KeyPair;

void key_pair_free(KeyPair *pair);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeyPair, key_pair_free)

gboolean key_pairs_insert(DbTx *tx, const char *account_id, const KeyPair *pair, GError **error);
/* By name; names and ids (NULL: all) end with NULL. KEY_PAIR_NOT_FOUND names the first that is
 * not there. */
GPtrArray *key_pairs_list(DbTx *tx, const char *account_id, const char *const *names,
                          const char *const *ids, GError **error);
KeyPair *key_pairs_get(DbTx *tx, const char *account_id, const char *name, GError **error);
/* By name or, when it is NULL, by id. *ret_id (free it) is NULL when there was none. */
gboolean key_pairs_delete(DbTx *tx, const char *account_id, const char *name, const char *id,
                          char **ret_id, GError **error);
