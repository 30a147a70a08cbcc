/*
 * server/beat.h - the daemon's sign of life, and the clearing away of what is over
 *
 * One thread: every DAEMON_BEAT_SECONDS it says that this daemon lives and buries dead ones;
 * once an hour it forgets old client tokens and ended sessions. Failures are logged.
 */
#pragma once

#include "store/db.h"

typedef struct Beat Beat;

/* The first beat is made before this returns, so that the daemon's row is there. Strings and pools
 * are borrowed. Errors: those of db.h. */
Beat *beat_start(DbPool *identity, DbPool *region, const char *daemon_id, const char *role,
                 GError **error);
/* Takes the daemon's row away. */
void beat_stop(Beat *beat);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Beat, beat_stop)
