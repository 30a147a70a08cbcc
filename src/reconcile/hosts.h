/*
 * reconcile/hosts.h - open connections to libvirt hosts
 *
 * A connection is one worker's alone until it is given back, made when there is none to be had, and
 * made anew after it broke. A host that could not be reached, or that broke a few connections in a
 * row before they did any work, is not tried again for some seconds, and one that does not answer
 * is waited for once: steps fail at once with HOST_UNREACHABLE instead of holding a worker. When it
 * is reached again, a step of kind "hypervisor" is asked for. Locks itself; no lock is held while
 * connecting.
 */
#pragma once

#include "drivers/hyper.h"
#include "reconcile/step.h"

HostPool *host_pool_new(const Config *config, DbPool *region, WakeQueue *wakes);
/* Closes all connections; no worker may be left. */
void host_pool_free(HostPool *pool);

/* A connection to uri; caller gives it back with hyper_release (g_autoptr(Hyper)). */
Hyper *host_pool_get(HostPool *pool, const char *uri, GError **error);
/* The same by the host's row, whose URI it reads. */
Hyper *host_pool_by_id(HostPool *pool, const char *host_id, GError **error);
/* Whether a connection by which libvirt tells what happens at uri is there or being made. */
gboolean host_pool_watches(HostPool *pool, const char *uri);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(HostPool, host_pool_free)
