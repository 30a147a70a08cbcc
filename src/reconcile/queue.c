#include "reconcile/queue.h"
#include "base/clock.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

typedef enum { ENTRY_READY, ENTRY_DELAYED, ENTRY_WORKED, ENTRY_RESTING } EntryState;

#define NEVER G_MAXINT64

typedef struct {
    const StepKind *kind;
    char *id;
    char *key;
    EntryState state;
    gint64 due_ms;        /* when it is delayed or at rest */
    gint64 again_ms;      /* when it is worked on or at rest: woken for then, or NEVER */
    gint64 rested_ms;     /* no step before */
    GSequenceIter *place; /* when it is delayed or at rest */
} Entry;

struct WakeQueue {
    const StepKind *kinds;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed[LANE__COUNT];
    GHashTable *entries; /* key -> Entry, owned */
    GQueue ready[LANE__COUNT];
    GSequence *delayed[LANE__COUNT]; /* by due_ms; those at rest too */
    gboolean closed;
};

static void entry_free(Entry *entry)
{
    g_free(entry->id);
    g_free(entry->key);
    g_free(entry);
}

WakeQueue *wake_queue_new(const StepKind *kinds)
{
    WakeQueue *queue = g_new0(WakeQueue, 1);
    pthread_condattr_t monotonic;

    queue->kinds = kinds;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    queue->entries =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)entry_free);
    for (int lane = 0; lane < LANE__COUNT; lane++) {
        pthread_cond_init(&queue->changed[lane], &monotonic);
        g_queue_init(&queue->ready[lane]);
        queue->delayed[lane] = g_sequence_new(NULL);
    }
    pthread_condattr_destroy(&monotonic);
    return queue;
}

void wake_queue_free(WakeQueue *queue)
{
    if (!queue)
        return;
    for (int lane = 0; lane < LANE__COUNT; lane++) {
        g_queue_clear(&queue->ready[lane]);
        g_sequence_free(queue->delayed[lane]);
        pthread_cond_destroy(&queue->changed[lane]);
    }
    g_hash_table_destroy(queue->entries);
    pthread_mutex_destroy(&queue->lock);
    g_free(queue);
}

static int compare_due(gconstpointer a, gconstpointer b, gpointer user G_GNUC_UNUSED)
{
    const Entry *x = a, *y = b;

    return (x->due_ms > y->due_ms) - (x->due_ms < y->due_ms);
}

static void entry_delay(WakeQueue *queue, Entry *entry, EntryState state, gint64 due_ms)
{
    StepLane lane = entry->kind->lane;

    entry->state = state;
    entry->due_ms = due_ms;
    entry->place = g_sequence_insert_sorted(queue->delayed[lane], entry, compare_due, NULL);
    pthread_cond_signal(&queue->changed[lane]);
}

/* Puts an entry that is in no list where due_ms says. */
static void entry_place(WakeQueue *queue, Entry *entry, gint64 due_ms)
{
    StepLane lane = entry->kind->lane;

    entry->again_ms = NEVER;
    due_ms = MAX(due_ms, entry->rested_ms);
    if (due_ms > clock_mono_ms()) {
        entry_delay(queue, entry, ENTRY_DELAYED, due_ms);
        return;
    }
    entry->state = ENTRY_READY;
    g_queue_push_tail(&queue->ready[lane], entry);
    pthread_cond_signal(&queue->changed[lane]);
}

static void entry_hasten(WakeQueue *queue, Entry *entry, gint64 due_ms)
{
    if (entry->state == ENTRY_WORKED || entry->state == ENTRY_RESTING) {
        entry->again_ms = MIN(entry->again_ms, due_ms);
    } else if (entry->state == ENTRY_DELAYED && due_ms < entry->due_ms) {
        g_sequence_remove(entry->place);
        entry_place(queue, entry, due_ms);
    }
}

static const StepKind *kind_find(const WakeQueue *queue, const char *name)
{
    for (const StepKind *kind = queue->kinds; kind->kind; kind++)
        if (strcmp(kind->kind, name) == 0)
            return kind;
    return NULL;
}

static void push_at(WakeQueue *queue, const char *kind_name, const char *id, gint64 due_ms)
{
    const StepKind *kind = kind_find(queue, kind_name);

    if (!kind)
        return;
    g_autofree char *key = g_strconcat(kind_name, ":", id, NULL);
    pthread_mutex_lock(&queue->lock);
    Entry *entry = g_hash_table_lookup(queue->entries, key);
    if (entry) {
        entry_hasten(queue, entry, due_ms);
    } else {
        entry = g_new0(Entry, 1);
        entry->kind = kind;
        entry->id = g_strdup(id);
        entry->key = g_steal_pointer(&key);
        g_hash_table_insert(queue->entries, entry->key, entry);
        entry_place(queue, entry, due_ms);
    }
    pthread_mutex_unlock(&queue->lock);
}

void wake_push(WakeQueue *queue, const char *kind, const char *id)
{
    push_at(queue, kind, id, 0);
}

void wake_push_after(WakeQueue *queue, const char *kind, const char *id, gint64 delay_ms)
{
    push_at(queue, kind, id, clock_mono_ms() + MAX(delay_ms, 0));
}

/* Moves what is due to the ready list; returns when the next one will be due, or NEVER. */
static gint64 ripen(WakeQueue *queue, StepLane lane)
{
    gint64 now_ms = clock_mono_ms();

    while (!g_sequence_is_empty(queue->delayed[lane])) {
        GSequenceIter *first = g_sequence_get_begin_iter(queue->delayed[lane]);
        Entry *entry = g_sequence_get(first);
        if (entry->due_ms > now_ms)
            return entry->due_ms;
        g_sequence_remove(first);
        if (entry->state == ENTRY_RESTING && entry->again_ms == NEVER)
            g_hash_table_remove(queue->entries, entry->key);
        else
            entry_place(queue, entry, entry->state == ENTRY_RESTING ? entry->again_ms : 0);
    }
    return NEVER;
}

static void wait_until(WakeQueue *queue, StepLane lane, gint64 due_ms)
{
    struct timespec until = { .tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000 };

    if (due_ms == NEVER)
        pthread_cond_wait(&queue->changed[lane], &queue->lock);
    else
        pthread_cond_timedwait(&queue->changed[lane], &queue->lock, &until);
}

const StepKind *wake_take(WakeQueue *queue, StepLane lane, char **ret_id)
{
    const StepKind *kind = NULL;

    pthread_mutex_lock(&queue->lock);
    while (!queue->closed && !kind) {
        gint64 next_ms = ripen(queue, lane);
        Entry *entry = g_queue_pop_head(&queue->ready[lane]);
        if (!entry) {
            wait_until(queue, lane, next_ms);
            continue;
        }
        entry->state = ENTRY_WORKED;
        kind = entry->kind;
        entry->rested_ms = kind->rest_ms ? clock_mono_ms() + kind->rest_ms : 0;
        *ret_id = g_strdup(entry->id);
    }
    pthread_mutex_unlock(&queue->lock);
    return kind;
}

void wake_done(WakeQueue *queue, const StepKind *kind, const char *id)
{
    g_autofree char *key = g_strconcat(kind->kind, ":", id, NULL);

    pthread_mutex_lock(&queue->lock);
    Entry *entry = g_hash_table_lookup(queue->entries, key);
    if (entry->again_ms == NEVER && entry->rested_ms > clock_mono_ms())
        entry_delay(queue, entry, ENTRY_RESTING, entry->rested_ms);
    else if (entry->again_ms == NEVER)
        g_hash_table_remove(queue->entries, key);
    else
        entry_place(queue, entry, entry->again_ms);
    pthread_mutex_unlock(&queue->lock);
}

void wake_queue_close(WakeQueue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = TRUE;
    for (int lane = 0; lane < LANE__COUNT; lane++)
        pthread_cond_broadcast(&queue->changed[lane]);
    pthread_mutex_unlock(&queue->lock);
}
