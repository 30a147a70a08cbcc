/*
 * cli/sweep.h - everything this installation has on its libvirt hosts, without berthd
 *
 * Only objects that carry the installation's uuid are touched. A host that fails does not keep the
 * others from their turn, and one that does not answer is waited for half a minute. Errors:
 * HOST_UNREACHABLE, HYPERVISOR, COMMAND.
 */
#pragma once

#include "cli/install.h"

/* Shuts every guest down, and powers off what has not listened after a minute. */
gboolean sweep_power_off(const Install *in, guint *ret_count, GError **error);
/* Destroys guests and removes them, their volumes, pools and networks. Each host that was not
 * reached is added to unreached (text: URI and cause), and is no error. */
gboolean sweep_remove(const Install *in, guint *ret_count, GPtrArray *unreached, GError **error);
/* What a person types on such a host to remove what is left of ours. Caller frees. */
char *sweep_by_hand(const Install *in);
/* Remembers the hosts for a time when nobody can be asked; uris ends with NULL. */
gboolean sweep_remember(const Install *in, const char *const *uris, GError **error);
