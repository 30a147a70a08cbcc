/*
 * reconcile/queue.h - objects that deserve a step: each at most once, soonest first
 *
 * An object (kind, id) is waiting (ready or due later), being worked on, at rest, or not here. A
 * wake of an object that is being worked on is kept until wake_done, and one of an object at rest
 * (step.h: rest_ms) until its rest is over, so no change is missed and no two steps of this process
 * overlap. Each lane is a queue of its own. Locks itself; any thread may
 * push, libvirt's callbacks too. Delays are milliseconds.
 */
#pragma once

#include "reconcile/step.h"

/* kinds ends with a NULL kind and outlives the queue. */
WakeQueue *wake_queue_new(const StepKind *kinds);
/* No thread may be inside wake_take any more. */
void wake_queue_free(WakeQueue *queue);

/* A step as soon as a worker is free and the object rested. A kind that is not in the table is
 * somebody else's: ignored.
 */
void wake_push(WakeQueue *queue, const char *kind, const char *id);
/* A step after delay_ms, or earlier if something wakes the object before. */
void wake_push_after(WakeQueue *queue, const char *kind, const char *id, gint64 delay_ms);

/* Waits for an object of this lane; NULL when the queue was closed. Caller frees *ret_id and
 * says wake_done when the step is over. */
const StepKind *wake_take(WakeQueue *queue, StepLane lane, char **ret_id);
void wake_done(WakeQueue *queue, const StepKind *kind, const char *id);

/* wake_take returns NULL from now on. */
void wake_queue_close(WakeQueue *queue);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(WakeQueue, wake_queue_free)
