#include "agent/pool.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <time.h>

#define STACK_SIZE   (1024 * 1024) /* jansson recurses up to 2048 deep; only touched pages count */
#define IDLE_SECONDS 2

typedef struct {
    LoopCall run;
    LoopCall done;
    gpointer job;
} Work;

struct Pool {
    Loop *loop;
    guint max;
    pthread_mutex_t lock;
    pthread_cond_t more;
    GQueue queue; /* Work */
    guint threads;
    guint idle;
};

Pool *pool_new(Loop *loop, guint max)
{
    Pool *pool = g_new0(Pool, 1);
    pthread_condattr_t monotonic;

    pool->loop = loop;
    pool->max = max;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->more, &monotonic);
    pthread_condattr_destroy(&monotonic);
    g_queue_init(&pool->queue);
    return pool;
}

/* The next job, or NULL after being idle for a while; called with the lock held. */
static Work *next_work(Pool *pool)
{
    struct timespec until;
    int waited = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_SECONDS;
    while (g_queue_is_empty(&pool->queue) && waited != ETIMEDOUT) {
        pool->idle++;
        waited = pthread_cond_timedwait(&pool->more, &pool->lock, &until);
        pool->idle--;
    }
    return g_queue_pop_head(&pool->queue);
}

static void *pool_thread(void *user)
{
    Pool *pool = user;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        g_autofree Work *work = next_work(pool);
        if (!work)
            break;
        pthread_mutex_unlock(&pool->lock);
        work->run(work->job);
        loop_post(pool->loop, work->done, work->job);
        pthread_mutex_lock(&pool->lock);
    }
    pool->threads--;
    pthread_mutex_unlock(&pool->lock);
    malloc_trim(0); /* work is over for now: what it took goes back to the system */
    return NULL;
}

/* Called with the lock held. */
static void add_thread(Pool *pool)
{
    pthread_attr_t small;
    pthread_t thread;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK_SIZE);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &small, pool_thread, pool) == 0)
        pool->threads++;
    else if (pool->threads == 0)
        g_error("cannot make a thread: %s", g_strerror(errno));
    pthread_attr_destroy(&small);
}

static void push(Pool *pool, const Work *job, void (*enqueue)(GQueue *queue, gpointer data))
{
    pthread_mutex_lock(&pool->lock);
    enqueue(&pool->queue, g_memdup2(job, sizeof *job));
    if (g_queue_get_length(&pool->queue) > pool->idle && pool->threads < pool->max)
        add_thread(pool);
    pthread_cond_signal(&pool->more);
    pthread_mutex_unlock(&pool->lock);
}

void pool_push(Pool *pool, LoopCall run, LoopCall done, gpointer job)
{
    push(pool, &(Work){ run, done, job }, g_queue_push_tail);
}

void pool_push_first(Pool *pool, LoopCall run, LoopCall done, gpointer job)
{
    push(pool, &(Work){ run, done, job }, g_queue_push_head);
}
