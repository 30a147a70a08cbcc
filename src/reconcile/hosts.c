#include "reconcile/hosts.h"
#include "base/clock.h"
#include "base/errors.h"
#include "reconcile/queue.h"

#include <pthread.h>
#include <string.h>

#define OPEN_WAIT_MS  15000 /* for the thread that is connecting */
#define DOWN_PAUSE_MS 5000
#define END_WAIT_MS   2000
#define IDLE_MAX      4 /* connections to one host that nobody uses */
#define BROKEN_MAX    3 /* connections in a row that broke while they were young */

typedef struct {
    GPtrArray *idle;   /* connections that nobody uses */
    GHashTable *young; /* made since one last broke, and nobody gave it back working yet */
    guint broken;      /* in a row while they were young */
    guint lent;        /* connections that workers have */
    gboolean opening;
    gint64 opening_until_ms; /* so long it is waited for */
    gint64 down_until_ms;
    char *down_cause; /* why the last try failed; NULL: it did not */
} HostEntry;

struct HostPool {
    const Config *config;
    DbPool *region;
    WakeQueue *wakes;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t opened;
    GHashTable *entries; /* uri -> HostEntry */
    guint openers;       /* threads that connect */
    gboolean closing;
    char *install_uuid;
    HyperSettings settings; /* install_uuid is NULL until it was read */
};

static void discard(Hyper *hyper)
{
    hyper_on_idle(hyper, NULL, NULL);
    hyper_release(hyper);
}

static void host_entry_free(HostEntry *entry)
{
    for (guint n = 0; n < entry->idle->len; n++)
        discard(entry->idle->pdata[n]);
    g_ptr_array_unref(entry->idle);
    g_hash_table_unref(entry->young);
    g_free(entry->down_cause);
    g_free(entry);
}

HostPool *host_pool_new(const Config *config, DbPool *region, WakeQueue *wakes)
{
    HostPool *pool = g_new0(HostPool, 1);
    pthread_condattr_t monotonic;

    pool->config = config;
    pool->region = region;
    pool->wakes = wakes;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->opened, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pool->entries =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)host_entry_free);
    pool->settings.name = config->name;
    pool->settings.bridge = config->bridge;
    pool->settings.cidr = config->network_cidr;
    return pool;
}

/* FALSE when a thread hangs in libvirt, which cannot be told to give up: what that thread uses is
 * left to the end of the process. */
static gboolean openers_gone(HostPool *pool)
{
    gint64 until_ms = clock_mono_ms() + END_WAIT_MS;
    struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };

    pthread_mutex_lock(&pool->lock);
    pool->closing = TRUE;
    while (pool->openers > 0 && clock_mono_ms() < until_ms)
        pthread_cond_timedwait(&pool->opened, &pool->lock, &until);
    gboolean gone = pool->openers == 0;
    pthread_mutex_unlock(&pool->lock);
    return gone;
}

void host_pool_free(HostPool *pool)
{
    if (!pool || !openers_gone(pool))
        return;
    g_hash_table_destroy(pool->entries);
    g_free(pool->install_uuid);
    pthread_cond_destroy(&pool->opened);
    pthread_mutex_destroy(&pool->lock);
    g_free(pool);
}

/* From libvirt's thread. A broken connection may have lost events: the host is looked over. */
static void on_event(const char *uri, const char *name, gpointer user)
{
    HostPool *pool = user;

    if (!name) {
        wake_push(pool->wakes, "hypervisor", uri);
        return;
    }
    gsize prefix = strlen(pool->config->name);
    if (strncmp(name, pool->config->name, prefix) == 0 && g_str_has_prefix(name + prefix, "-i-"))
        wake_push(pool->wakes, "instance", name + prefix + 1);
}

/* The installation's uuid is read once; it never changes. */
static gboolean settings_ready(HostPool *pool, GError **error)
{
    pthread_mutex_lock(&pool->lock);
    gboolean known = pool->settings.install_uuid != NULL;
    pthread_mutex_unlock(&pool->lock);
    if (known)
        return TRUE;
    g_autoptr(DbTx) tx = db_begin(pool->region, DB_MODE_READ, error);
    if (!tx)
        return FALSE;
    g_autoptr(PGresult) res = db_query(
        tx, error, "SELECT value FROM installation WHERE name = 'install_uuid'", DB_NO_ARGS);
    if (!res)
        return FALSE;
    if (PQntuples(res) == 0)
        return fail(error, INTERNAL, "table \"installation\" has no \"install_uuid\"");
    pthread_mutex_lock(&pool->lock);
    if (!pool->install_uuid)
        pool->install_uuid = g_strdup(db_text(res, 0, 0));
    pool->settings.install_uuid = pool->install_uuid;
    pthread_mutex_unlock(&pool->lock);
    return TRUE;
}

static HostEntry *entry_get(HostPool *pool, const char *uri)
{
    HostEntry *entry = g_hash_table_lookup(pool->entries, uri);

    if (!entry) {
        entry = g_new0(HostEntry, 1);
        entry->idle = g_ptr_array_new();
        entry->young = g_hash_table_new(NULL, NULL);
        g_hash_table_insert(pool->entries, g_strdup(uri), entry);
    }
    return entry;
}

/* With the lock held: it is not tried for a while. Takes cause. */
static void entry_down(HostEntry *entry, char *cause)
{
    g_free(entry->down_cause);
    entry->down_cause = cause;
    entry->down_until_ms = clock_mono_ms() + DOWN_PAUSE_MS;
}

/* With the lock held: the host may be tried, but for one whose connections break: not before one of
 * them worked, whoever made another meanwhile. */
static void entry_up(HostEntry *entry)
{
    if (entry->broken >= BROKEN_MAX)
        return;
    g_clear_pointer(&entry->down_cause, g_free);
    entry->down_until_ms = 0;
}

/* With the lock held: hyper is given back by somebody for whom it worked. */
static void entry_worked(HostEntry *entry, Hyper *hyper)
{
    gboolean rested = entry->broken >= BROKEN_MAX;

    g_hash_table_remove(entry->young, hyper);
    entry->broken = 0;
    if (rested)
        entry_up(entry);
}

/* With the lock held: hyper broke. A libvirt that restarts breaks many at the same time, which
 * count as one: the others were made before. One that breaks what is made after that, again and
 * again before it did any work, would be connected to without end. */
static void entry_broke(HostEntry *entry, Hyper *hyper)
{
    if (!g_hash_table_contains(entry->young, hyper))
        return;
    g_hash_table_remove_all(entry->young);
    if (++entry->broken >= BROKEN_MAX)
        entry_down(entry, g_strdup_printf("host \"%s\": its libvirt breaks each connection",
                                          hyper_uri(hyper)));
}

/* With the lock held: a connection that nobody uses, now the caller's; NULL: there is none. */
static Hyper *idle_take(HostPool *pool, HostEntry *entry, const char *uri)
{
    while (entry->idle->len > 0) {
        Hyper *hyper = g_ptr_array_steal_index(entry->idle, entry->idle->len - 1);
        if (hyper_alive(hyper))
            return hyper;
        entry_broke(entry, hyper);
        discard(hyper);
        wake_push(pool->wakes, "hypervisor", uri); /* libvirt need not have told */
    }
    return NULL;
}

/* A worker gives its connection back. */
static gboolean on_idle(Hyper *hyper, gpointer user)
{
    HostPool *pool = user;
    gboolean alive = hyper_alive(hyper);

    pthread_mutex_lock(&pool->lock);
    HostEntry *entry = entry_get(pool, hyper_uri(hyper));
    gboolean keep = alive && !pool->closing && entry->idle->len < IDLE_MAX;
    entry->lent--;
    if (alive)
        entry_worked(entry, hyper);
    else
        entry_broke(entry, hyper);
    if (keep)
        g_ptr_array_add(entry->idle, hyper);
    else if (!alive)
        wake_push(pool->wakes, "hypervisor", hyper_uri(hyper));
    pthread_cond_broadcast(&pool->opened);
    pthread_mutex_unlock(&pool->lock);
    return keep;
}

/* ---- connecting: in a thread of its own, for libvirt waits without end for a host whose kernel
 * answers and whose libvirtd does not */

typedef struct {
    HostPool *pool;
    char *uri;
} Opener;

/* Takes hyper; NULL: cause says why. */
static void entry_opened(HostPool *pool, const char *uri, Hyper *hyper, const GError *cause)
{
    pthread_mutex_lock(&pool->lock);
    HostEntry *entry = entry_get(pool, uri);
    gboolean back = hyper && entry->down_cause && !pool->closing;
    entry->opening = FALSE;
    pool->openers--;
    if (hyper)
        entry_up(entry);
    else
        entry_down(entry, g_strdup(cause->message));
    if (hyper && pool->closing) {
        discard(hyper);
    } else if (hyper) {
        g_hash_table_add(entry->young, hyper);
        g_ptr_array_add(entry->idle, hyper);
    }
    if (back)
        wake_push(pool->wakes, "hypervisor", uri); /* what happened there meanwhile nobody told */
    pthread_cond_broadcast(&pool->opened);
    pthread_mutex_unlock(&pool->lock);
}

static void *opener_main(void *arg)
{
    g_autofree Opener *opener = arg;
    g_autofree char *uri = opener->uri;
    g_autoptr(GError) cause = NULL;
    Hyper *hyper = hyper_open(uri, &opener->pool->settings, on_event, opener->pool, &cause);

    if (hyper)
        hyper_on_idle(hyper, on_idle, opener->pool);
    entry_opened(opener->pool, uri, hyper, cause);
    return NULL;
}

/* With the lock held. */
static gboolean opener_start(HostPool *pool, HostEntry *entry, const char *uri, GError **error)
{
    Opener *opener = g_new0(Opener, 1);
    pthread_t thread;

    opener->pool = pool;
    opener->uri = g_strdup(uri);
    int cause = pthread_create(&thread, NULL, opener_main, opener);
    if (cause) {
        g_free(opener->uri);
        g_free(opener);
        return fail(error, UNAVAILABLE, "cannot start a thread: %s", g_strerror(cause));
    }
    pthread_detach(thread);
    pool->openers++;
    entry->opening = TRUE;
    entry->opening_until_ms = clock_mono_ms() + OPEN_WAIT_MS;
    return TRUE;
}

/* With the lock held: waits for the thread that connects, or for a connection given back. The lock
 * is free meanwhile. */
static void entry_wait(HostPool *pool, const HostEntry *entry)
{
    gint64 ms = entry->opening_until_ms;
    struct timespec until = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    while (entry->opening && entry->idle->len == 0 && clock_mono_ms() < ms)
        pthread_cond_timedwait(&pool->opened, &pool->lock, &until);
}

/* With the lock held. Entries live as long as the pool. */
static Hyper *entry_take(HostPool *pool, const char *uri, GError **error)
{
    HostEntry *entry = entry_get(pool, uri);
    Hyper *hyper = NULL;

    while (!(hyper = idle_take(pool, entry, uri))) {
        if (!entry->opening && clock_mono_ms() < entry->down_until_ms)
            return fail_null(error, HOST_UNREACHABLE, "%s", entry->down_cause);
        if (!entry->opening && !opener_start(pool, entry, uri, error))
            return NULL;
        entry_wait(pool, entry);
        if (!entry->opening || entry->idle->len > 0)
            continue;
        if (!entry->down_cause)
            entry->down_cause = g_strdup_printf("host \"%s\": its libvirt does not answer", uri);
        return fail_null(error, HOST_UNREACHABLE, "%s", entry->down_cause);
    }
    entry->lent++;
    return hyper;
}

Hyper *host_pool_get(HostPool *pool, const char *uri, GError **error)
{
    if (!settings_ready(pool, error))
        return NULL;
    pthread_mutex_lock(&pool->lock);
    Hyper *hyper = entry_take(pool, uri, error);
    pthread_mutex_unlock(&pool->lock);
    return hyper;
}

gboolean host_pool_watches(HostPool *pool, const char *uri)
{
    pthread_mutex_lock(&pool->lock);
    const HostEntry *entry = g_hash_table_lookup(pool->entries, uri);
    gboolean watches = entry && (entry->opening || entry->idle->len + entry->lent > 0);
    pthread_mutex_unlock(&pool->lock);
    return watches;
}

Hyper *host_pool_by_id(HostPool *pool, const char *host_id, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(pool->region, DB_MODE_READ, error);

    if (!tx)
        return NULL;
    g_autoptr(PGresult) res =
        db_query(tx, error, "SELECT uri FROM hosts WHERE host_id = $1", DB_ARGS(host_id));
    if (!res)
        return NULL;
    db_rollback(g_steal_pointer(&tx));
    if (PQntuples(res) == 0)
        return fail_null(error, NOT_FOUND, "host \"%s\" does not exist", host_id);
    return host_pool_get(pool, db_text(res, 0, 0), error);
}
