#include "server/keycache.h"
#include "base/errors.h"
#include "store/accounts.h"
#include "store/sessions.h"

#include <pthread.h>
#include <string.h>

typedef struct {
    KeyEntry *entry; /* NULL: there is no such key */
    gint64 until_us;
} Cached;

typedef struct {
    guint8 key[SIGV4_KEY_SIZE];
} SigningKey;

struct KeyCache {
    DbPool *identity;
    guint8 master_key[CRYPTO_KEY_SIZE];
    pthread_mutex_t lock; /* guards the three tables; never held over a statement */
    GHashTable *keys;     /* access key id -> Cached */
    GHashTable *misses;   /* the same for keys that do not exist */
    GHashTable *signing;  /* "id/date/region/service" -> SigningKey */
};

static void key_entry_clear(gpointer data)
{
    KeyEntry *entry = data;

    g_free(entry->identity.account_id);
    g_free(entry->identity.access_key_id);
    g_free(entry->identity.principal_arn);
    g_free(entry->identity.principal_id);
    g_free(entry->identity.role_name);
    g_free(entry->identity.subject);
    if (entry->secret)
        explicit_bzero(entry->secret, strlen(entry->secret));
    g_free(entry->secret);
}

void key_entry_unref(KeyEntry *entry)
{
    if (entry)
        g_atomic_rc_box_release_full(entry, key_entry_clear);
}

static void cached_free(gpointer data)
{
    Cached *cached = data;

    key_entry_unref(cached->entry);
    g_free(cached);
}

KeyCache *keycache_new(DbPool *identity, const guint8 master_key[CRYPTO_KEY_SIZE])
{
    KeyCache *cache = g_new0(KeyCache, 1);

    cache->identity = identity;
    memcpy(cache->master_key, master_key, CRYPTO_KEY_SIZE);
    pthread_mutex_init(&cache->lock, NULL);
    cache->keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, cached_free);
    cache->misses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, cached_free);
    cache->signing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return cache;
}

void keycache_free(KeyCache *cache)
{
    if (!cache)
        return;
    g_hash_table_destroy(cache->keys);
    g_hash_table_destroy(cache->misses);
    g_hash_table_destroy(cache->signing);
    pthread_mutex_destroy(&cache->lock);
    explicit_bzero(cache->master_key, CRYPTO_KEY_SIZE);
    g_free(cache);
}

static KeyEntry *entry_from_access_key(KeyCache *cache, const AccessKey *key, GError **error)
{
    g_autoptr(KeyEntry) entry = g_atomic_rc_box_new0(KeyEntry);
    Identity *who = &entry->identity;

    entry->secret = crypto_unseal(cache->master_key, key->sealed_secret, error);
    if (!entry->secret)
        return NULL;
    entry->active = key->active;
    who->kind = key->user_name ? PRINCIPAL_USER : PRINCIPAL_ROOT;
    who->account_id = g_strdup(key->account_id);
    who->access_key_id = g_strdup(key->access_key_id);
    who->principal_arn = key->user_name
                             ? g_strdup_printf("arn:aws:iam::%s:user%s%s", key->account_id,
                                               key->user_path, key->user_name)
                             : g_strdup_printf("arn:aws:iam::%s:root", key->account_id);
    who->principal_id = g_strdup(key->user_name ? key->user_id : key->account_id);
    who->is_admin = key->is_admin;
    return g_steal_pointer(&entry);
}

static KeyEntry *entry_from_session(KeyCache *cache, const RoleSession *session, GError **error)
{
    g_autoptr(KeyEntry) entry = g_atomic_rc_box_new0(KeyEntry);
    Identity *who = &entry->identity;

    entry->secret = crypto_unseal(cache->master_key, session->sealed_secret, error);
    if (!entry->secret)
        return NULL;
    entry->active = TRUE;
    entry->expires_us = session->expires_us;
    memcpy(entry->token_sha256, session->token_sha256, sizeof entry->token_sha256);
    who->kind = PRINCIPAL_SESSION;
    who->account_id = g_strdup(session->account_id);
    who->access_key_id = g_strdup(session->access_key_id);
    who->principal_arn = g_strdup_printf("arn:aws:sts::%s:assumed-role/%s/%s", session->account_id,
                                         session->role_name, session->session_name);
    who->principal_id = g_strdup_printf("%s:%s", session->role_id, session->session_name);
    who->role_name = g_strdup(session->role_name);
    who->session = session->kind;
    who->subject = g_strdup(session->subject);
    who->is_admin = session->is_admin;
    return g_steal_pointer(&entry);
}

/* NULL with *error unset when the key does not exist. */
static KeyEntry *entry_load(KeyCache *cache, const char *access_key_id, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(cache->identity, DB_MODE_READ, error);
    GError *cause = NULL;
    KeyEntry *entry = NULL;

    if (!tx)
        return NULL;
    if (g_str_has_prefix(access_key_id, "ASIA")) {
        g_autoptr(RoleSession) session = sessions_find(tx, access_key_id, &cause);
        entry = session ? entry_from_session(cache, session, &cause) : NULL;
    } else {
        g_autoptr(AccessKey) key = access_keys_find(tx, access_key_id, &cause);
        entry = key ? entry_from_access_key(cache, key, &cause) : NULL;
    }
    if (cause)
        g_propagate_error(error, cause);
    return entry;
}

/* Looks in one table; TRUE when it knows the answer. The lock is held. */
static gboolean cached_lookup(GHashTable *table, const char *access_key_id, gint64 now_us,
                              KeyEntry **ret_entry)
{
    const Cached *cached = g_hash_table_lookup(table, access_key_id);

    if (!cached || cached->until_us <= now_us)
        return FALSE;
    *ret_entry = cached->entry ? g_atomic_rc_box_acquire(cached->entry) : NULL;
    return TRUE;
}

/* A full table is emptied: that is rare, and costs one statement for each key in use. */
static void cached_store(GHashTable *table, guint limit, const char *access_key_id, KeyEntry *entry,
                         gint64 until_us)
{
    Cached *cached = g_new0(Cached, 1);

    cached->entry = entry ? g_atomic_rc_box_acquire(entry) : NULL;
    cached->until_us = until_us;
    if (g_hash_table_size(table) >= limit)
        g_hash_table_remove_all(table);
    g_hash_table_replace(table, g_strdup(access_key_id), cached);
}

KeyEntry *keycache_get(KeyCache *cache, const char *access_key_id, gint64 now_us, GError **error)
{
    KeyEntry *entry = NULL;
    GError *cause = NULL;

    pthread_mutex_lock(&cache->lock);
    gboolean known = cached_lookup(cache->keys, access_key_id, now_us, &entry) ||
                     cached_lookup(cache->misses, access_key_id, now_us, &entry);
    pthread_mutex_unlock(&cache->lock);
    if (known)
        return entry;
    entry = entry_load(cache, access_key_id, &cause);
    if (cause) {
        g_propagate_error(error, cause);
        return NULL;
    }
    pthread_mutex_lock(&cache->lock);
    if (entry)
        cached_store(cache->keys, KEYCACHE_KEYS_MAX, access_key_id, entry,
                     now_us + KEYCACHE_TTL_US);
    else
        cached_store(cache->misses, KEYCACHE_MISSES_MAX, access_key_id, NULL,
                     now_us + KEYCACHE_MISS_US);
    pthread_mutex_unlock(&cache->lock);
    return entry;
}

static char *scope_name(const SigV4Claim *claim)
{
    return g_strconcat(claim->access_key_id, "/", claim->date, "/", claim->region, "/",
                       claim->service, NULL);
}

gboolean keycache_signing_key(KeyCache *cache, const KeyEntry *entry, const SigV4Claim *claim,
                              guint8 ret_key[SIGV4_KEY_SIZE])
{
    g_autofree char *name = scope_name(claim);

    pthread_mutex_lock(&cache->lock);
    const SigningKey *known = g_hash_table_lookup(cache->signing, name);
    if (known)
        memcpy(ret_key, known->key, SIGV4_KEY_SIZE);
    pthread_mutex_unlock(&cache->lock);
    if (!known)
        sigv4_signing_key(entry->secret, claim->date, claim->region, claim->service, ret_key);
    return known != NULL;
}

void keycache_remember(KeyCache *cache, const SigV4Claim *claim, const guint8 key[SIGV4_KEY_SIZE])
{
    SigningKey *made = g_new(SigningKey, 1);

    memcpy(made->key, key, SIGV4_KEY_SIZE);
    pthread_mutex_lock(&cache->lock);
    if (g_hash_table_size(cache->signing) >= KEYCACHE_KEYS_MAX)
        g_hash_table_remove_all(cache->signing);
    g_hash_table_replace(cache->signing, scope_name(claim), made);
    pthread_mutex_unlock(&cache->lock);
}
