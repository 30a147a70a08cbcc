#include "server/http_deadline.h"
#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

#define LOOK_SECONDS 1

struct HttpPeer {
    HttpDeadlines *deadlines;
    GList link;
    int fd;
    gint64 deadline_ms; /* 0: none */
};

struct HttpDeadlines {
    pthread_mutex_t lock; /* guards the peers, their deadlines and stopping */
    pthread_cond_t wake;
    pthread_t thread;
    GQueue peers;
    gboolean stopping;
};

/* The library hears of a shut socket as of one that its peer closed, and closes it itself. */
static void end_late(const HttpDeadlines *deadlines, gint64 now_ms)
{
    guint ended = 0;

    for (const GList *l = deadlines->peers.head; l; l = l->next) {
        HttpPeer *peer = l->data;
        if (!peer->deadline_ms || now_ms < peer->deadline_ms)
            continue;
        shutdown(peer->fd, SHUT_RDWR);
        peer->deadline_ms = 0;
        ended++;
    }
    if (ended)
        log_line(LOG_INFO, "http", "%u connections ended: their requests took too long", ended);
}

static void *watch(void *arg)
{
    HttpDeadlines *deadlines = arg;

    pthread_mutex_lock(&deadlines->lock);
    while (!deadlines->stopping) {
        struct timespec until;
        end_late(deadlines, clock_mono_ms());
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOOK_SECONDS;
        while (!deadlines->stopping &&
               pthread_cond_timedwait(&deadlines->wake, &deadlines->lock, &until) == 0)
            ;
    }
    pthread_mutex_unlock(&deadlines->lock);
    return NULL;
}

HttpDeadlines *http_deadlines_new(void)
{
    HttpDeadlines *deadlines = g_new0(HttpDeadlines, 1);
    pthread_condattr_t monotonic;

    pthread_mutex_init(&deadlines->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&deadlines->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    g_queue_init(&deadlines->peers);
    pthread_create(&deadlines->thread, NULL, watch, deadlines);
    return deadlines;
}

void http_deadlines_free(HttpDeadlines *deadlines)
{
    if (!deadlines)
        return;
    pthread_mutex_lock(&deadlines->lock);
    deadlines->stopping = TRUE;
    pthread_cond_signal(&deadlines->wake);
    pthread_mutex_unlock(&deadlines->lock);
    pthread_join(deadlines->thread, NULL);
    pthread_cond_destroy(&deadlines->wake);
    pthread_mutex_destroy(&deadlines->lock);
    g_free(deadlines);
}

HttpPeer *http_peer_new(HttpDeadlines *deadlines, int fd)
{
    HttpPeer *peer = g_new0(HttpPeer, 1);

    peer->deadlines = deadlines;
    peer->fd = fd;
    peer->link.data = peer;
    pthread_mutex_lock(&deadlines->lock);
    g_queue_push_tail_link(&deadlines->peers, &peer->link);
    pthread_mutex_unlock(&deadlines->lock);
    return peer;
}

void http_peer_free(HttpPeer *peer)
{
    if (!peer)
        return;
    pthread_mutex_lock(&peer->deadlines->lock);
    g_queue_unlink(&peer->deadlines->peers, &peer->link);
    pthread_mutex_unlock(&peer->deadlines->lock);
    g_free(peer);
}

void http_peer_expect(HttpPeer *peer, gint64 within_ms)
{
    if (!peer)
        return;
    pthread_mutex_lock(&peer->deadlines->lock);
    peer->deadline_ms = within_ms ? clock_mono_ms() + within_ms : 0;
    pthread_mutex_unlock(&peer->deadlines->lock);
}
