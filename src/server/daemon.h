/*
 * server/daemon.h - berthd as a running process: API, agent channels and reconciler together
 *
 * Needs a migrated database; refuses any other. Writes RUN_DIR/berthd.pid and, when everything
 * listens, "berthd ready" on standard output. SIGTERM and SIGINT end it in order.
 * Errors: CONFIG, UNAVAILABLE.
 */
#pragma once

#include "base/config.h"

typedef enum {
    DAEMON_API = 1 << 0,
    DAEMON_RECONCILE = 1 << 1,
    DAEMON_ALL = DAEMON_API | DAEMON_RECONCILE,
} DaemonRole;

/* Runs until a signal ends it. */
gboolean daemon_run(const Config *config, DaemonRole role, GError **error);
