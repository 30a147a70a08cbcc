/*
 * server/keycache.h - access keys and who they belong to, for a few seconds
 *
 * A small signed read shall cost no statement for its caller: keys are kept KEYCACHE_TTL_US, keys
 * that do not exist a shorter time, both bounded in number. A change of a key takes effect
 * within that time. Signing keys derived from a secret are kept with the key. Thread-safe.
 * Errors: those of store/db.h.
 */
#pragma once

#include "handlers/request.h"
#include "wire/sigv4.h"

#define KEYCACHE_TTL_US     (5 * G_GINT64_CONSTANT(1000000))
#define KEYCACHE_MISS_US    (2 * G_GINT64_CONSTANT(1000000))
#define KEYCACHE_KEYS_MAX   8192
#define KEYCACHE_MISSES_MAX 4096

typedef struct KeyCache KeyCache;

/* A key as one call needs it. */
typedef struct {
    Identity identity; /* strings are owned */
    char *secret;
    gboolean active;
    char token_sha256[CRYPTO_SHA256_HEX_SIZE]; /* "" when no session token goes with it */
    gint64 expires_us;                         /* 0: never */
} KeyEntry;

KeyCache *keycache_new(DbPool *identity, const guint8 master_key[CRYPTO_KEY_SIZE]);
void keycache_free(KeyCache *cache);

/* The key; NULL without an error when it does not exist. Give it back with key_entry_unref. */
KeyEntry *keycache_get(KeyCache *cache, const char *access_key_id, gint64 now_us, GError **error);
void key_entry_unref(KeyEntry *entry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeyEntry, key_entry_unref)

/* The signing key of entry for the claim's date, region and service; TRUE when it was kept. */
gboolean keycache_signing_key(KeyCache *cache, const KeyEntry *entry, const SigV4Claim *claim,
                              guint8 ret_key[SIGV4_KEY_SIZE]);
/* Keeps it; to be called only after a signature made with it was right, so that strangers cannot
 * fill the cache. */
void keycache_remember(KeyCache *cache, const SigV4Claim *claim, const guint8 key[SIGV4_KEY_SIZE]);
