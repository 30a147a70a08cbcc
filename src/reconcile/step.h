/*
 * reconcile/step.h - one pass over one object, and the table of kinds
 *
 * A step looks, records what it saw, and does at most one act. It runs under the object's claim
 * (an advisory lock), so two passes over one object never overlap; it may be killed anywhere and
 * run again. Wakes ("KIND:ID") come by NOTIFY, from libvirt events, from due retries and from
 * the sweep, which asks each kind for the ids of rows that are not settled.
 */
#pragma once

#include "base/config.h"
#include "base/crypto.h"
#include "store/db.h"

typedef struct HostPool HostPool;   /* reconcile/hosts.h: open hypervisor connections */
typedef struct WakeQueue WakeQueue; /* reconcile/queue.h */

/* What a step may use; shared by all workers, read-only but for what locks itself. */
typedef struct {
    const Config *config;
    DbPool *identity; /* as berth_reconcile */
    DbPool *region;   /* as berth_reconcile */
    guint8 master_key[CRYPTO_KEY_SIZE];
    HostPool *hosts;
    WakeQueue *wakes;
} World;

typedef enum {
    STEP_SETTLED, /* nothing more to do until something changes */
    STEP_AGAIN,   /* an act was done: look again at once */
    STEP_LATER,   /* look again after *ret_again_ms */
    STEP_FAILED,  /* *error says why: tried again after 1 s doubling to 5 min */
} StepResult;

typedef StepResult (*StepFunction)(World *world, const char *id, gint64 *ret_again_ms,
                                   GError **error);

/* Workers of one lane never wait for what another's do: a hypervisor that stands still holds up no
 * task, and a copy no start. */
typedef enum {
    LANE_ROWS,   /* touches the database alone */
    LANE_GUESTS, /* short calls of libvirt */
    LANE_SLOW,   /* may take seconds: SSH, copying, a look at a whole host */
    LANE__COUNT
} StepLane;

typedef struct {
    const char *kind; /* "instance" */
    StepFunction step;
    const char *unsettled_sql; /* ids (text) of rows the sweep must look at */
    StepLane lane;
    guint rest_ms; /* between the beginnings of two steps of one object: a burst of wakes is one */
    /* which of those rows the sweep must look at, by what this process knows; NULL: all */
    gboolean (*is_due)(World *world, const char *id);
} StepKind;

/* reconcile/kinds.c: every kind there is; ends with a NULL kind. */
extern const StepKind step_kinds[];
