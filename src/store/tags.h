/*
 * store/tags.h - rows of table "tags": of EC2 ids and ECS ARNs
 *
 * Errors: TAG_LIMIT in EC2's words, and those of store/db.h.
 */
#pragma once

#include "store/db.h"

#define TAGS_MAX 50

typedef struct {
    char *resource_id;
    char *resource_type; /* "instance", "image", "key-pair" ... */
    char *key;
    char *value;
} Tag;

void tag_free(Tag *tag);

/* Which of these ids are the account's instances, volumes, interfaces, images, snapshots,
 * reservations or key pairs: id -> type, a static text. ids ends with NULL. */
GHashTable *tags_owners(DbTx *tx, const char *account_id, const char *const *ids, GError **error);

/* Sets tags on resources: every key with every id. The arrays run in parallel (ids with types, keys
 * with values) and end with NULL. TAG_LIMIT when a resource would have more than TAGS_MAX. */
gboolean tags_set(DbTx *tx, const char *account_id, const char *const *ids,
                  const char *const *types, const char *const *keys, const char *const *values,
                  GError **error);
/* Takes tags away: those whose key is among keys with an equal value, NULL in values meaning any;
 * keys NULL: all. count is the length of keys and values. */
gboolean tags_remove(DbTx *tx, const char *account_id, const char *const *ids,
                     const char *const *keys, const char *const *values, guint count,
                     GError **error);
/* Forgets every tag of these resources. */
gboolean tags_forget(DbTx *tx, const char *const *ids, GError **error);

/* The account's tags of these ids, or all its tags when ids is NULL, by resource and key: an array
 * of Tag. after_id and after_key (NULL: start) say where to go on; limit 0: all. */
GPtrArray *tags_list(DbTx *tx, const char *account_id, const char *const *ids, const char *after_id,
                     const char *after_key, guint limit, GError **error);
