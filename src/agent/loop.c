#include "agent/loop.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A handful of descriptors: poll(2) is as good as epoll(7) and has no state to keep in step. */
typedef struct {
    int fd;
    short events;
    LoopCall call;
    gpointer user;
} Watch;

typedef struct {
    LoopCall call;
    gpointer user;
} Post;

struct Loop {
    GArray *watches; /* Watch */
    GPtrArray *timers;
    gboolean quit;
    LoopCall settle;
    gpointer settle_user;
    int signal_fd;
    int wake_fd;
    pthread_mutex_t lock; /* of posts */
    GArray *posts;        /* Post */
};

static void on_signal(gpointer user)
{
    Loop *loop = user;
    struct signalfd_siginfo info;

    if (read(loop->signal_fd, &info, sizeof info) == sizeof info)
        loop->quit = TRUE;
}

static void on_wake(gpointer user)
{
    Loop *loop = user;
    guint64 count = 0;

    if (read(loop->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        g_error("cannot read the loop's event counter: %s", g_strerror(errno));
    pthread_mutex_lock(&loop->lock);
    g_autoptr(GArray) posts = loop->posts;
    loop->posts = g_array_new(FALSE, FALSE, sizeof(Post));
    pthread_mutex_unlock(&loop->lock);
    for (guint i = 0; i < posts->len; i++) {
        Post *post = &g_array_index(posts, Post, i);
        post->call(post->user);
    }
}

Loop *loop_new(void)
{
    Loop *loop = g_new0(Loop, 1);
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&loop->lock, NULL);
    loop->watches = g_array_new(FALSE, FALSE, sizeof(Watch));
    loop->timers = g_ptr_array_new();
    loop->posts = g_array_new(FALSE, FALSE, sizeof(Post));
    loop->signal_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->signal_fd < 0 || loop->wake_fd < 0)
        g_error("cannot make the loop's descriptors: %s", g_strerror(errno));
    loop_watch(loop, loop->signal_fd, POLLIN, on_signal, loop);
    loop_watch(loop, loop->wake_fd, POLLIN, on_wake, loop);
    return loop;
}

void loop_free(Loop *loop)
{
    if (!loop)
        return;
    g_array_free(loop->watches, TRUE);
    g_array_free(loop->posts, TRUE);
    g_ptr_array_free(loop->timers, TRUE);
    close(loop->signal_fd);
    close(loop->wake_fd);
    pthread_mutex_destroy(&loop->lock);
    g_free(loop);
}

void loop_quit(Loop *loop)
{
    loop->quit = TRUE;
}

void loop_timer_init(LoopTimer *timer, LoopCall call, gpointer user)
{
    *timer = (LoopTimer){ .call = call, .user = user };
}

void loop_timer_set(Loop *loop, LoopTimer *timer, gint64 due_ms)
{
    timer->due_ms = MAX(due_ms, 1);
    if (!timer->added)
        g_ptr_array_add(loop->timers, timer);
    timer->added = TRUE;
}

void loop_timer_hasten(Loop *loop, LoopTimer *timer, gint64 due_ms)
{
    if (timer->due_ms == 0 || due_ms < timer->due_ms)
        loop_timer_set(loop, timer, due_ms);
}

void loop_timer_stop(Loop *loop, LoopTimer *timer)
{
    timer->due_ms = 0;
    if (timer->added)
        g_ptr_array_remove(loop->timers, timer);
    timer->added = FALSE;
}

void loop_watch(Loop *loop, int fd, short events, LoopCall call, gpointer user)
{
    for (guint i = 0; i < loop->watches->len; i++)
        if (g_array_index(loop->watches, Watch, i).fd == fd) {
            g_array_remove_index(loop->watches, i);
            break;
        }
    if (events) {
        Watch watch = { fd, events, call, user };
        g_array_append_val(loop->watches, watch);
    }
}

void loop_post(Loop *loop, LoopCall call, gpointer user)
{
    Post post = { call, user };
    guint64 one = 1;

    pthread_mutex_lock(&loop->lock);
    g_array_append_val(loop->posts, post);
    pthread_mutex_unlock(&loop->lock);
    if (write(loop->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        g_error("cannot wake the loop: %s", g_strerror(errno));
}

void loop_set_settle(Loop *loop, LoopCall call, gpointer user)
{
    loop->settle = call;
    loop->settle_user = user;
}

/* The armed timer that is due first, or NULL. */
static LoopTimer *first_timer(const Loop *loop)
{
    LoopTimer *first = NULL;

    for (guint i = 0; i < loop->timers->len; i++) {
        LoopTimer *timer = loop->timers->pdata[i];
        if (timer->due_ms && (!first || timer->due_ms < first->due_ms))
            first = timer;
    }
    return first;
}

static void run_timers(Loop *loop)
{
    gint64 now_ms = clock_mono_ms();
    LoopTimer *timer;

    while (!loop->quit && (timer = first_timer(loop)) && timer->due_ms <= now_ms) {
        timer->due_ms = 0;
        timer->call(timer->user);
    }
}

/* Calls the watchers of descriptors that are ready, unless an earlier call took them away. */
static void run_watches(Loop *loop, const struct pollfd *ready, guint count)
{
    for (guint i = 0; i < count && !loop->quit; i++) {
        if (!ready[i].revents)
            continue;
        for (guint n = 0; n < loop->watches->len; n++) {
            Watch watch = g_array_index(loop->watches, Watch, n);
            if (watch.fd == ready[i].fd) {
                watch.call(watch.user);
                break;
            }
        }
    }
}

static void wait_and_run(Loop *loop)
{
    g_autofree struct pollfd *fds = g_new0(struct pollfd, loop->watches->len);
    guint count = loop->watches->len;
    const LoopTimer *timer = first_timer(loop);
    int timeout_ms = -1;

    for (guint i = 0; i < count; i++) {
        fds[i].fd = g_array_index(loop->watches, Watch, i).fd;
        fds[i].events = g_array_index(loop->watches, Watch, i).events;
    }
    if (timer)
        timeout_ms = (int)CLAMP(timer->due_ms - clock_mono_ms(), 0, G_MAXINT);
    if (poll(fds, count, timeout_ms) > 0)
        run_watches(loop, fds, count);
}

void loop_run(Loop *loop)
{
    while (!loop->quit) {
        run_timers(loop);
        if (loop->settle)
            loop->settle(loop->settle_user);
        if (!loop->quit)
            wait_and_run(loop);
    }
}
