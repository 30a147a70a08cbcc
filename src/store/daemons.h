/*
 * store/daemons.h - rows of table "daemons": the running berthd processes of a region
 *
 * A daemon says every DAEMON_BEAT_SECONDS that it lives. One that was silent for
 * DAEMON_DEAD_SECONDS has lost its sockets: its agents count as disconnected.
 * Errors: those of db.h.
 */
#pragma once

#include "store/db.h"

#define DAEMON_BEAT_SECONDS 5
#define DAEMON_DEAD_SECONDS 20
/* disconnect_cause of agents whose channel ended with the daemon that held it: they come back. */
#define DAEMON_ENDED_CAUSE "the daemon that held the channel ended"

/* Records that the daemon lives now; the first call inserts it. */
gboolean daemons_beat(DbTx *tx, const char *daemon_id, const char *role, GError **error);
gboolean daemons_remove(DbTx *tx, const char *daemon_id, GError **error);
/* Removes dead daemons, and takes their channels from the container instances. */
gboolean daemons_bury(DbTx *tx, GError **error);
