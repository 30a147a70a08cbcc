/*
 * agent/loop.h - the main loop: sockets, timers, and what other threads hand over
 *
 * One thread runs it and owns everything of the agent; worker threads see only their job.
 * Times are clock_mono_ms().
 */
#pragma once

#include <glib.h>

typedef struct Loop Loop;

typedef void (*LoopCall)(gpointer user);

/* A timer lies in its owner's record and is armed and disarmed by the loop's thread. */
typedef struct LoopTimer LoopTimer;
struct LoopTimer {
    LoopCall call;
    gpointer user;
    gint64 due_ms; /* 0: not armed */
    gboolean added;
};

/* SIGTERM and SIGINT end loop_run; call it before any thread is made. */
Loop *loop_new(void);
void loop_free(Loop *loop);
void loop_run(Loop *loop);
void loop_quit(Loop *loop);

void loop_timer_init(LoopTimer *timer, LoopCall call, gpointer user);
void loop_timer_set(Loop *loop, LoopTimer *timer, gint64 due_ms);
/* Leaves an earlier time in place. */
void loop_timer_hasten(Loop *loop, LoopTimer *timer, gint64 due_ms);
void loop_timer_stop(Loop *loop, LoopTimer *timer);

/* Watches fd for POLLIN and POLLOUT; calling it again changes events. events 0: no longer. */
void loop_watch(Loop *loop, int fd, short events, LoopCall call, gpointer user);

/* Runs call in the loop's thread, soon. Any thread may call it. */
void loop_post(Loop *loop, LoopCall call, gpointer user);
/* Runs at the end of each turn of the loop, before it waits. */
void loop_set_settle(Loop *loop, LoopCall call, gpointer user);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Loop, loop_free)
