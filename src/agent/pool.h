/*
 * agent/pool.h - a few threads for calls that block; they go away when idle
 *
 * A job runs in a thread of the pool and then, in the loop's thread, done is called: it owns the
 * job's record from then on. Jobs of one pool start in the order they were given, but for those
 * that are pushed first.
 */
#pragma once

#include "agent/loop.h"

typedef struct Pool Pool;

/* max threads at once. */
Pool *pool_new(Loop *loop, guint max);
/* Jobs that have not begun are dropped without done; threads that run are left to the process's
 * end. */
void pool_push(Pool *pool, LoopCall run, LoopCall done, gpointer job);
/* The same, before all jobs that wait: what ends something that has begun. */
void pool_push_first(Pool *pool, LoopCall run, LoopCall done, gpointer job);
