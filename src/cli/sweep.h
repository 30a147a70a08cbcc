/*
 * cli/sweep.h - everything this installation has on its libvirt hosts, without berthd
 *
 * Only objects that carry the installation's uuid are touched. Errors: HOST_UNREACHABLE,
 * HYPERVISOR, COMMAND.
 */
#pragma once

#include "cli/install.h"

/* Shuts every guest down, and powers off what has not listened after a minute. */
gboolean sweep_power_off(const Install *in, guint *ret_count, GError **error);
/* Destroys guests and removes them, their volumes, pools and networks. */
gboolean sweep_remove(const Install *in, guint *ret_count, GError **error);
/* Remembers the hosts for a time when nobody can be asked; uris ends with NULL. */
gboolean sweep_remember(const Install *in, const char *const *uris, GError **error);
