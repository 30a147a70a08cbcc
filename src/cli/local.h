/*
 * cli/local.h - the libvirt that runs on this machine, and the daemons "berth up" left running
 *
 * Errors: COMMAND.
 */
#pragma once

#include "cli/install.h"

/* Whether libvirtd answers here. */
gboolean local_libvirt_runs(void);
/* Starts virtlogd and libvirtd, by systemd where that is PID 1; *ret_how says how. */
gboolean local_libvirt_start(const Install *in, const char **ret_how, GError **error);
/* Stops those that "berth up" started, unless a guest runs or somebody else's network or pool
 * does. *ret_why: what was done, or why not; static. */
gboolean local_libvirt_stop(const Install *in, const char **ret_why, GError **error);

/* Stops a daemon by its name; *ret_ran: whether it ran. */
gboolean local_stop(const Install *in, const char *name, gboolean *ret_ran, GError **error);
