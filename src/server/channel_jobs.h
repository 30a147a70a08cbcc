/*
 * server/channel_jobs.h - database work of the channels, away from their loop
 *
 * The loop hands over jobs, a few workers do them, and the loop takes them back when its eventfd
 * says so. A job's record is touched by one thread at a time.
 */
#pragma once

#include "base/config.h"
#include "server/keycache.h"

/* What workers use; borrowed, thread-safe. */
typedef struct {
    const Config *config;
    DbPool *region;   /* as berth_api */
    DbPool *identity; /* as berth_api */
    KeyCache *keys;
    const char *daemon_id;
    const guint8 *master_key;
} ChannelWorld;

/* First member of every job's record, which was made by g_new. */
typedef struct ChannelJob ChannelJob;
struct ChannelJob {
    /* In a worker. It logs its own failures. NULL: nothing to do there. */
    void (*work)(ChannelJob *job, const ChannelWorld *world);
    /* Back in the loop; loop is what the loop made of itself. */
    void (*done)(ChannelJob *job, gpointer loop);
    /* Frees what the record holds; the record itself is freed after it. May be NULL. */
    void (*clear)(ChannelJob *job);
    ChannelJob *next;
};

typedef struct ChannelJobs ChannelJobs;

/* event_fd is written to whenever a job is done. */
ChannelJobs *channel_jobs_new(const ChannelWorld *world, guint workers, int event_fd);
/* Takes job. From any thread. */
void channel_jobs_submit(ChannelJobs *jobs, ChannelJob *job);
/* The same for one that needs no worker: it goes straight to the loop. From any thread. */
void channel_jobs_post(ChannelJobs *jobs, ChannelJob *job);
/* Calls done for every job that is. */
void channel_jobs_finish(ChannelJobs *jobs, gpointer loop);
/* Does what was submitted, calls no done any more, ends the workers. */
void channel_jobs_free(ChannelJobs *jobs);
