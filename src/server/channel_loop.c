#include "server/channel_loop.h"
#include "server/channel_metrics.h"
#include "server/channel_pulls.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/log.h"
#include "server/channel_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX   256
#define TICK_MS      500
#define OPENING_MAX  512
#define CONNS_MAX    50000
#define FILES_APART  512 /* for the API, the database and the rest */
#define PENDING_MAX  (8 * 1024 * 1024)
#define KEEPALIVE_MS 60000
#define SILENT_MS    1000 /* until a peer that has said nothing makes room for those who wait */

/* Ids of what is not a connection, in epoll's data. */
enum { EVENT_LISTENER = 0, EVENT_JOBS = 1, FIRST_CONN = 2 };

ChannelConn *loop_conn(ChannelLoop *loop, guint64 id)
{
    return g_hash_table_lookup(loop->conns, &id);
}

ChannelConn *loop_by_ci(ChannelLoop *loop, gint64 ci_id)
{
    return g_hash_table_lookup(loop->by_ci, &ci_id);
}

/* Borrowed connections, so that they may end while they are gone through. */
static GPtrArray *all_conns(ChannelLoop *loop)
{
    GPtrArray *conns = g_ptr_array_sized_new(g_hash_table_size(loop->conns));
    GHashTableIter all;
    gpointer conn;

    g_hash_table_iter_init(&all, loop->conns);
    while (g_hash_table_iter_next(&all, NULL, &conn))
        g_ptr_array_add(conns, conn);
    return conns;
}

/* -- epoll */

static void watch(ChannelLoop *loop, ChannelConn *conn, int operation)
{
    guint32 wanted = EPOLLIN | (conn->wants_write ? EPOLLOUT : 0u);
    struct epoll_event event = { .events = wanted, .data.u64 = conn->id };

    if (operation == EPOLL_CTL_MOD && wanted == conn->events)
        return;
    conn->events = wanted;
    epoll_ctl(loop->epoll_fd, operation, conn->fd, &event);
}

static gboolean watch_fd(ChannelLoop *loop, int fd, guint64 id)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = id };

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* -- ends */

void loop_end(ChannelLoop *loop, ChannelConn *conn, const char *cause)
{
    if (!conn->cause)
        conn->cause = cause;
    if (conn->stage < CONN_OPEN)
        loop->opening--;
    session_ended(loop, conn);
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
    g_hash_table_remove(loop->conns, &conn->id);
}

void loop_flush(ChannelLoop *loop, ChannelConn *conn)
{
    if (!conn_flush(conn)) {
        loop_end(loop, conn, "closed");
        return;
    }
    if (conn_pending(conn) > PENDING_MAX) {
        loop_end(loop, conn, "the peer does not read");
        return;
    }
    watch(loop, conn, EPOLL_CTL_MOD);
}

/* -- beginnings */

/* A connection that nothing has been spent on yet. When everybody comes at once it waits here:
 * turned away it would come back later and later. */
typedef struct {
    int fd;
    struct sockaddr_in from;
} ChannelGuest;

static void begin_one(ChannelLoop *loop, const ChannelGuest *guest)
{
    char peer[INET_ADDRSTRLEN] = "-";
    int on = 1, patience = KEEPALIVE_MS;

    inet_ntop(AF_INET, &guest->from.sin_addr, peer, sizeof peer);
    setsockopt(guest->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(guest->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(guest->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    ChannelConn *conn = conn_new(++loop->last_id, guest->fd, peer, loop->tls);
    g_hash_table_insert(loop->conns, &conn->id, conn);
    loop->opening++;
    watch(loop, conn, EPOLL_CTL_ADD);
}

static void begin_waiting(ChannelLoop *loop)
{
    while (loop->opening < OPENING_MAX && loop->accepted.length > 0) {
        g_autofree ChannelGuest *guest = g_queue_pop_head(&loop->accepted);
        begin_one(loop, guest);
    }
}

static void accept_one(ChannelLoop *loop, ChannelGuest guest)
{
    if (g_hash_table_size(loop->conns) + loop->accepted.length >= loop->conns_max) {
        close(guest.fd);
        return;
    }
    g_queue_push_tail(&loop->accepted, g_memdup2(&guest, sizeof guest));
}

static void accept_all(ChannelLoop *loop)
{
    for (;;) {
        ChannelGuest guest = { 0 };
        socklen_t size = sizeof guest.from;
        guest.fd = accept4(loop->listen_fd, (struct sockaddr *)&guest.from, &size,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (guest.fd < 0)
            return;
        accept_one(loop, guest);
    }
}

static void conn_event(ChannelLoop *loop, ChannelConn *conn)
{
    g_autoptr(GError) error = NULL;
    gboolean alive = conn_read(conn, &error);

    if (error) {
        log_line(LOG_INFO, "channel", "%s: %s", conn->peer, error->message);
        if (conn->stage < CONN_OPEN)
            loop->opening--;
        conn_refuse(conn, 400, "BadRequestException", error->message);
    } else if (!alive) {
        conn_flush(conn);
        loop_end(loop, conn, "the connection broke");
        return;
    }
    if (conn->stage == CONN_REQUEST && conn->upgrade)
        session_request(loop, conn);
    loop_flush(loop, conn);
}

/* -- time */

static gboolean conn_tick(ChannelLoop *loop, ChannelConn *conn, gint64 now_ms)
{
    if (conn->stage == CONN_OPEN)
        return conn->kind == CHANNEL_ACS ? acs_tick(loop, conn, now_ms)
                                         : tcs_tick(loop, conn, now_ms);
    if (conn->stage == CONN_HANDSHAKE && loop->accepted.length > 0 && !conn_has_spoken(conn) &&
        now_ms - conn->begun_ms > SILENT_MS)
        return FALSE;
    return conn->stage == CONN_ADMITTING || now_ms < conn->deadline_ms;
}

static void tick(ChannelLoop *loop, gint64 now_ms)
{
    g_autoptr(GPtrArray) conns = all_conns(loop);

    for (guint i = 0; i < conns->len; i++) {
        ChannelConn *conn = conns->pdata[i];
        if (!conn_tick(loop, conn, now_ms))
            loop_end(loop, conn, "too slow");
        else if (conn_pending(conn) && !conn->wants_write)
            loop_flush(loop, conn);
    }
    session_tick(loop, now_ms);
    metrics_tick(loop, now_ms);
    pulls_tick(loop, now_ms);
    loop->tick_ms = now_ms + TICK_MS;
}

/* -- the loop itself */

static void take_jobs(ChannelLoop *loop)
{
    guint64 count;

    if (read(loop->event_fd, &count, sizeof count) < 0)
        return;
    channel_jobs_finish(loop->jobs, loop);
}

static void one_event(ChannelLoop *loop, const struct epoll_event *event)
{
    guint64 id = event->data.u64;

    if (id == EVENT_LISTENER)
        accept_all(loop);
    else if (id == EVENT_JOBS)
        take_jobs(loop);
    else {
        ChannelConn *conn = loop_conn(loop, id);
        if (conn)
            conn_event(loop, conn);
    }
}

static void say_goodbye(ChannelLoop *loop)
{
    g_autoptr(GPtrArray) conns = all_conns(loop);

    while (loop->accepted.length > 0) {
        g_autofree ChannelGuest *guest = g_queue_pop_head(&loop->accepted);
        close(guest->fd);
    }

    for (guint i = 0; i < conns->len; i++) {
        ChannelConn *conn = conns->pdata[i];
        if (conn->stage == CONN_OPEN)
            conn_close(conn, WS_CLOSE_AWAY, "the daemon ends");
        conn_flush(conn);
    }
}

void loop_run(ChannelLoop *loop)
{
    struct epoll_event events[EVENTS_MAX];

    while (!g_atomic_int_get(&loop->stopping)) {
        gint64 now_ms = clock_mono_ms();
        if (now_ms >= loop->tick_ms)
            tick(loop, now_ms);
        int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, TICK_MS);
        for (int i = 0; i < count; i++)
            one_event(loop, &events[i]);
        begin_waiting(loop);
    }
    say_goodbye(loop);
}

/* Agents never take the files that the API and the database need. */
static guint files_for_agents(void)
{
    struct rlimit files = { 0 };

    getrlimit(RLIMIT_NOFILE, &files);
    return (guint)MIN(files.rlim_cur - MIN(files.rlim_cur, FILES_APART), CONNS_MAX);
}

gboolean loop_watch_all(ChannelLoop *loop, GError **error)
{
    loop->conns_max = files_for_agents();
    loop->last_id = FIRST_CONN;
    if (loop->epoll_fd < 0 || loop->event_fd < 0 ||
        !watch_fd(loop, loop->listen_fd, EVENT_LISTENER) ||
        !watch_fd(loop, loop->event_fd, EVENT_JOBS))
        return fail(error, CONFIG, "cannot watch the channels' listener: %s", g_strerror(errno));
    return TRUE;
}
