/*
 * model/capacity.h - what a host may hold, and on which host an instance goes
 *
 * Pure: the caller reads the hosts under lock, so that what is decided here still holds when it
 * is written. Memory is MiB.
 */
#pragma once

#include "model/pool.h"

/* The host's share, after reserve and overcommit, rounded down. */
gint64 capacity_vcpus(const Host *host);
gint64 capacity_memory_mib(const Host *host);

/* What one instance needs. */
typedef struct {
    const char *architecture; /* "x86_64" */
    gint vcpus;
    gint memory_mib;
    gboolean agent; /* shall run the container agent, which must reach the API */
} CapacityNeed;

/* Why the host takes no instance of this need now; NULL when it takes one. Caller frees. */
char *capacity_refusal(const Host *host, const CapacityNeed *need);

/* Spreads up to count instances over hosts: each goes where the fuller of processors and memory
 * stays lowest, the first such host on a tie. Writes the chosen indexes and adds what they hold to
 * the hosts. Returns how many found a place; the rest did not fit. */
guint capacity_place(Host *const *hosts, guint host_count, const CapacityNeed *need, guint count,
                     guint *ret_choice);

/* How many instances of this need the hosts would take, up to limit; changes nothing. */
guint capacity_room(Host *const *hosts, guint host_count, const CapacityNeed *need, guint limit);

/* One sentence a host about why nothing fits, joined by "; ". Caller frees. */
char *capacity_explain(Host *const *hosts, guint host_count, const CapacityNeed *need);
