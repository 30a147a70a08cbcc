#include "server/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/client_tokens.h"
#include "store/daemons.h"
#include "store/sessions.h"
#include "store/task_credentials.h"

#include <pthread.h>
#include <time.h>

#define PRUNE_EVERY_MS (3600 * 1000)
/* What ended since the last look, and a little before: a grant may have been under way. */
#define ENDED_OVERLAP_US (60 * CLOCK_SECOND_US)
#define ENDED_FIRST_US   (48 * 3600 * CLOCK_SECOND_US) /* longer than any credentials last */

struct Beat {
    DbPool *identity;
    DbPool *region;
    const char *daemon_id;
    const char *role;
    gboolean started;
    pthread_t thread;
    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t wake;
    gboolean stopping;
    gint64 ended_us; /* what ended before this has no credentials any more */
};

static gboolean beat_once(Beat *beat, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(beat->region, DB_MODE_WRITE, error);

    return tx && daemons_beat(tx, beat->daemon_id, beat->role, error) && daemons_bury(tx, error) &&
           db_commit(g_steal_pointer(&tx), error);
}

/* Credentials end with the instance or task that they were made for. */
static gboolean revoke_ended(Beat *beat, GError **error)
{
    gint64 now_us = clock_now_us();
    g_autoptr(DbTx) region = db_begin(beat->region, DB_MODE_READ, error);
    g_auto(GStrv) ids = region ? task_credentials_ended(region, beat->ended_us, error) : NULL;

    if (!ids)
        return FALSE;
    if (*ids) {
        g_autoptr(DbTx) identity = db_begin(beat->identity, DB_MODE_READ, error);
        if (!identity || !sessions_revoke(identity, (const char *const *)ids, error))
            return FALSE;
    }
    beat->ended_us = now_us - ENDED_OVERLAP_US;
    return TRUE;
}

static gboolean prune(Beat *beat, GError **error)
{
    g_autoptr(DbTx) region = db_begin(beat->region, DB_MODE_READ, error);
    if (!region || !client_tokens_prune(region, error))
        return FALSE;
    g_autoptr(DbTx) identity = db_begin(beat->identity, DB_MODE_READ, error);
    return identity && client_tokens_prune(identity, error) && sessions_prune(identity, error);
}

/* Waits for the next beat; FALSE when it is time to end. */
static gboolean wait_for_next(Beat *beat)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += DAEMON_BEAT_SECONDS;
    pthread_mutex_lock(&beat->lock);
    while (!beat->stopping && pthread_cond_timedwait(&beat->wake, &beat->lock, &until) == 0)
        ;
    gboolean go_on = !beat->stopping;
    pthread_mutex_unlock(&beat->lock);
    return go_on;
}

static void *beat_main(void *arg)
{
    Beat *beat = arg;
    gint64 prune_at = clock_mono_ms();

    while (wait_for_next(beat)) {
        g_autoptr(GError) error = NULL;
        gboolean done = beat_once(beat, &error) && revoke_ended(beat, &error);
        if (done && clock_mono_ms() >= prune_at) {
            prune_at = clock_mono_ms() + PRUNE_EVERY_MS;
            done = prune(beat, &error);
        }
        if (!done)
            log_line(LOG_WARN, "beat", "%s", error->message);
    }
    return NULL;
}

Beat *beat_start(DbPool *identity, DbPool *region, const char *daemon_id, const char *role,
                 GError **error)
{
    g_autoptr(Beat) beat = g_new0(Beat, 1);
    pthread_condattr_t monotonic;

    beat->identity = identity;
    beat->region = region;
    beat->daemon_id = daemon_id;
    beat->role = role;
    beat->ended_us = clock_now_us() - ENDED_FIRST_US;
    pthread_mutex_init(&beat->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&beat->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!beat_once(beat, error))
        return NULL;
    pthread_create(&beat->thread, NULL, beat_main, beat);
    beat->started = TRUE;
    return g_steal_pointer(&beat);
}

static void say_goodbye(Beat *beat)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(beat->region, DB_MODE_WRITE, &error);

    if (!tx || !daemons_remove(tx, beat->daemon_id, &error) ||
        !db_commit(g_steal_pointer(&tx), &error))
        log_line(LOG_WARN, "beat", "cannot sign off: %s", error->message);
}

void beat_stop(Beat *beat)
{
    if (!beat)
        return;
    if (beat->started) {
        pthread_mutex_lock(&beat->lock);
        beat->stopping = TRUE;
        pthread_cond_signal(&beat->wake);
        pthread_mutex_unlock(&beat->lock);
        pthread_join(beat->thread, NULL);
        say_goodbye(beat);
    }
    pthread_cond_destroy(&beat->wake);
    pthread_mutex_destroy(&beat->lock);
    g_free(beat);
}
