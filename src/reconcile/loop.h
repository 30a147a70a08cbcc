/*
 * reconcile/loop.h - the threads that turn wakes into steps
 *
 * Workers (config reconcile.workers for guests, half as many for each other lane), one thread that
 * LISTENs for "berth_wake", one that sweeps, and libvirt's event loop. Several processes may run
 * against one database: claims keep their steps apart. A step that fails is tried again after 1 s,
 * doubling to 5 min (table "retries"); a permanent failure at once waits 5 min. Logs failures.
 */
#pragma once

#include "base/config.h"
#include "base/crypto.h"

typedef struct Reconciler Reconciler;

/* Starts all threads and returns; the databases need not be there yet. config is borrowed until
 * reconcile_stop. */
Reconciler *reconcile_start(const Config *config, const guint8 master_key[CRYPTO_KEY_SIZE],
                            GError **error);
/* Lets steps that run end, joins all threads, closes hosts and sessions. */
void reconcile_stop(Reconciler *reconciler);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Reconciler, reconcile_stop)
