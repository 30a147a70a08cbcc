#include "reconcile/loop.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "base/log.h"
#include "reconcile/hosts.h"
#include "reconcile/queue.h"
#include "store/retries.h"

#include <pthread.h>
#include <string.h>

#define ROLE           "berth_reconcile"
#define BUSY_DELAY_MS  500 /* another process works on the object */
#define NO_DATABASE_MS 1000
#define LISTEN_WAIT_MS 500
#define CONFLICT_MS    50

struct Reconciler {
    const Config *config;
    World world;
    GPtrArray *threads;   /* pthread_t* */
    pthread_mutex_t lock; /* guards stopping, sweep_now */
    pthread_cond_t nudge;
    gboolean stopping;
    gboolean sweep_now;
};

typedef struct {
    Reconciler *reconciler;
    StepLane lane;
} WorkerArgs;

static gboolean stopping(Reconciler *r)
{
    pthread_mutex_lock(&r->lock);
    gboolean answer = r->stopping;
    pthread_mutex_unlock(&r->lock);
    return answer;
}

/* ---- workers */

static void after_failure(Reconciler *r, const StepKind *kind, const char *id, const GError *cause)
{
    g_autoptr(GError) error = NULL;
    gint64 delay_ms = NO_DATABASE_MS;

    if (error_is(cause, ERROR_TX_CONFLICT)) {
        guint8 jitter;
        id_random(&jitter, 1);
        wake_push_after(r->world.wakes, kind->kind, id, CONFLICT_MS + jitter);
        return;
    }
    if (!retries_record(r->world.region, kind->kind, id, cause, &delay_ms, &error))
        log_warn(id, "cannot record a failure: %s", error->message);
    log_warn(id, "%s: %s (%s; next try in %" G_GINT64_FORMAT " s)", kind->kind, cause->message,
             error_symbol(error_code(cause)), delay_ms / 1000);
    wake_push_after(r->world.wakes, kind->kind, id, delay_ms);
}

static void take_step(Reconciler *r, const StepKind *kind, const char *id)
{
    g_autoptr(GError) error = NULL;
    gint64 again_ms = 0;
    StepResult result = kind->step(&r->world, id, &again_ms, &error);

    if (result == STEP_FAILED) {
        after_failure(r, kind, id, error);
        return;
    }
    if (result == STEP_AGAIN)
        wake_push(r->world.wakes, kind->kind, id);
    else if (result == STEP_LATER)
        wake_push_after(r->world.wakes, kind->kind, id, again_ms);
    if (result != STEP_AGAIN && !retries_clear(r->world.region, kind->kind, id, &error))
        log_warn(id, "cannot clear retries: %s", error->message);
}

/* Claims, steps and releases. The claims' session is the worker's own; when it breaks the lock
 * is lost with it, and the object is looked at again by whoever comes first. */
static gboolean work_on(Reconciler *r, DbClaims **claims, const StepKind *kind, const char *id,
                        GError **error)
{
    gboolean taken = FALSE;

    if (!*claims)
        *claims = db_claims_new(r->config->region_dsn, ROLE, error);
    if (!*claims || !db_claim(*claims, kind->kind, id, &taken, error))
        return FALSE;
    if (!taken) {
        wake_push_after(r->world.wakes, kind->kind, id, BUSY_DELAY_MS);
        return TRUE;
    }
    take_step(r, kind, id);
    return db_release(*claims, kind->kind, id, error);
}

static void *worker_main(void *arg)
{
    g_autofree WorkerArgs *args = arg;
    Reconciler *r = args->reconciler;
    DbClaims *claims = NULL;
    const StepKind *kind;
    char *id = NULL;

    while ((kind = wake_take(r->world.wakes, args->lane, &id))) {
        g_autoptr(GError) error = NULL;
        if (!work_on(r, &claims, kind, id, &error)) {
            log_warn(id, "%s: %s", kind->kind, error->message);
            db_claims_free(g_steal_pointer(&claims));
            wake_push_after(r->world.wakes, kind->kind, id, NO_DATABASE_MS);
        }
        wake_done(r->world.wakes, kind, id);
        g_clear_pointer(&id, g_free);
    }
    db_claims_free(claims);
    return NULL;
}

/* ---- sweep */

static void push_due(const char *kind, const char *id, gpointer user)
{
    wake_push(user, kind, id);
}

static gboolean sweep_kind(Reconciler *r, DbTx *tx, const StepKind *kind, GHashTable *waiting,
                           GError **error)
{
    g_autoptr(PGresult) res = db_query(tx, error, kind->unsettled_sql, DB_NO_ARGS);

    if (!res)
        return FALSE;
    for (int i = 0; i < PQntuples(res); i++) {
        const char *id = db_text(res, i, 0);
        g_autofree char *key = g_strconcat(kind->kind, ":", id, NULL);
        if (!g_hash_table_contains(waiting, key) && (!kind->is_due || kind->is_due(&r->world, id)))
            wake_push(r->world.wakes, kind->kind, id);
    }
    return TRUE;
}

static gboolean sweep(Reconciler *r, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(r->world.region, DB_MODE_READ, error);

    if (!tx)
        return FALSE;
    g_autoptr(GHashTable) waiting = retries_waiting(tx, error);
    if (!waiting || !retries_each_due(tx, push_due, r->world.wakes, error))
        return FALSE;
    for (const StepKind *kind = step_kinds; kind->kind; kind++)
        if (kind->unsettled_sql && !sweep_kind(r, tx, kind, waiting, error))
            return FALSE;
    return TRUE;
}

/* Waits until the next sweep is due or somebody asks for one; FALSE when stopping. */
static gboolean wait_for_sweep(Reconciler *r, gint64 wait_ms)
{
    gint64 due_ms = clock_mono_ms() + wait_ms;
    struct timespec until = { .tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000 };

    pthread_mutex_lock(&r->lock);
    while (!r->stopping && !r->sweep_now && clock_mono_ms() < due_ms)
        pthread_cond_timedwait(&r->nudge, &r->lock, &until);
    r->sweep_now = FALSE;
    gboolean go_on = !r->stopping;
    pthread_mutex_unlock(&r->lock);
    return go_on;
}

static void *sweeper_main(void *arg)
{
    Reconciler *r = arg;
    gint64 wait_ms = 0;

    while (wait_for_sweep(r, wait_ms)) {
        g_autoptr(GError) error = NULL;
        wait_ms = (gint64)r->config->sweep_seconds * 1000;
        if (!sweep(r, &error)) {
            log_warn("sweep", "%s", error->message);
            wait_ms = NO_DATABASE_MS;
        }
    }
    return NULL;
}

static void ask_for_sweep(Reconciler *r)
{
    pthread_mutex_lock(&r->lock);
    r->sweep_now = TRUE;
    pthread_cond_signal(&r->nudge);
    pthread_mutex_unlock(&r->lock);
}

/* ---- listener */

static void push_payloads(Reconciler *r, char **payloads)
{
    for (char **payload = payloads; *payload; payload++) {
        char *colon = strchr(*payload, ':');
        if (!colon)
            continue;
        *colon = '\0';
        wake_push(r->world.wakes, *payload, colon + 1);
    }
}

/* Listens until the session breaks. Wakes from before it began are lost: sweep. */
static void listen_for_wakes(Reconciler *r, GError **error)
{
    DbListener *listener = db_listen(r->config->region_dsn, ROLE, "berth_wake", error);
    char **payloads = NULL;

    if (!listener)
        return;
    ask_for_sweep(r);
    while (!stopping(r) && (payloads = db_listener_wait(listener, LISTEN_WAIT_MS, error))) {
        push_payloads(r, payloads);
        g_strfreev(payloads);
    }
    db_listener_free(listener);
}

static void *listener_main(void *arg)
{
    Reconciler *r = arg;

    while (!stopping(r)) {
        g_autoptr(GError) error = NULL;
        listen_for_wakes(r, &error);
        if (!error)
            continue;
        log_warn("listen", "%s", error->message);
        g_usleep(NO_DATABASE_MS * 1000);
    }
    return NULL;
}

/* ---- start and stop */

static gboolean thread_start(Reconciler *r, const char *name, void *(*run)(void *), void *arg,
                             GError **error)
{
    g_autofree pthread_t *thread = g_new0(pthread_t, 1);
    int cause = pthread_create(thread, NULL, run, arg);

    if (cause)
        return fail(error, INTERNAL, "cannot start thread \"%s\": %s", name, g_strerror(cause));
    pthread_setname_np(*thread, name);
    g_ptr_array_add(r->threads, g_steal_pointer(&thread));
    return TRUE;
}

static guint lane_workers(const Config *config, StepLane lane)
{
    return lane == LANE_GUESTS ? config->reconcile_workers : config->reconcile_workers / 2 + 1;
}

static gboolean workers_start(Reconciler *r, StepLane lane, GError **error)
{
    static const char *const names[LANE__COUNT] = { "step", "guest-step", "slow-step" };

    for (guint i = 0; i < lane_workers(r->config, lane); i++) {
        g_autofree WorkerArgs *args = g_new0(WorkerArgs, 1);
        args->reconciler = r;
        args->lane = lane;
        if (!thread_start(r, names[lane], worker_main, args, error))
            return FALSE;
        g_steal_pointer(&args);
    }
    return TRUE;
}

static void world_open(World *world, const Config *config, const guint8 *master_key)
{
    guint sessions = 1; /* the sweep's */

    for (StepLane lane = 0; lane < LANE__COUNT; lane++)
        sessions += lane_workers(config, lane);

    world->config = config;
    memcpy(world->master_key, master_key, CRYPTO_KEY_SIZE);
    world->identity = db_pool_new(config->identity_dsn, ROLE, lane_workers(config, LANE_SLOW));
    world->region = db_pool_new(config->region_dsn, ROLE, sessions);
    world->wakes = wake_queue_new(step_kinds);
    world->hosts = host_pool_new(config, world->region, world->wakes);
}

Reconciler *reconcile_start(const Config *config, const guint8 master_key[CRYPTO_KEY_SIZE],
                            GError **error)
{
    g_autoptr(Reconciler) r = g_new0(Reconciler, 1);
    pthread_condattr_t monotonic;

    r->config = config;
    r->threads = g_ptr_array_new_with_free_func(g_free);
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->nudge, &monotonic);
    pthread_condattr_destroy(&monotonic);
    world_open(&r->world, config, master_key);
    if (!hyper_events_start(error) || !workers_start(r, LANE_ROWS, error) ||
        !workers_start(r, LANE_GUESTS, error) || !workers_start(r, LANE_SLOW, error) ||
        !thread_start(r, "sweep", sweeper_main, r, error) ||
        !thread_start(r, "listen", listener_main, r, error))
        return NULL;
    return g_steal_pointer(&r);
}

void reconcile_stop(Reconciler *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stopping = TRUE;
    pthread_cond_broadcast(&r->nudge);
    pthread_mutex_unlock(&r->lock);
    wake_queue_close(r->world.wakes);
    for (guint i = 0; i < r->threads->len; i++)
        pthread_join(*(pthread_t *)r->threads->pdata[i], NULL);
    host_pool_free(r->world.hosts);
    hyper_events_stop();
    wake_queue_free(r->world.wakes);
    db_pool_free(r->world.identity);
    db_pool_free(r->world.region);
    pthread_cond_destroy(&r->nudge);
    pthread_mutex_destroy(&r->lock);
    g_ptr_array_unref(r->threads);
    g_free(r);
}
