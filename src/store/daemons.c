#include "store/daemons.h"
#include "base/errors.h"

gboolean daemons_beat(DbTx *tx, const char *daemon_id, const char *role, GError **error)
{
    return db_exec(tx, error,
                   "INSERT INTO daemons (daemon_id, role) VALUES ($1, $2)"
                   " ON CONFLICT (daemon_id) DO UPDATE SET seen_at = now()",
                   DB_ARGS(daemon_id, role), NULL);
}

/* A container instance whose channel went down is looked at again, as its cluster is. */
#define RELEASE_CHANNELS                                                                           \
    "WITH lost AS ("                                                                               \
    " UPDATE container_instances SET channel_owner = NULL, channel_session = NULL,"                \
    "  disconnected_at = now(), disconnect_cause = '" DAEMON_ENDED_CAUSE "'"                       \
    " WHERE channel_owner IS NOT NULL AND "

gboolean daemons_remove(DbTx *tx, const char *daemon_id, GError **error)
{
    return db_exec(tx, error,
                   RELEASE_CHANNELS "channel_owner = $1 RETURNING cluster_id)"
                                    " SELECT pg_notify('berth_wake', 'cluster:' || cluster_id)"
                                    " FROM lost GROUP BY cluster_id",
                   DB_ARGS(daemon_id), NULL) &&
           db_exec(tx, error, "DELETE FROM daemons WHERE daemon_id = $1", DB_ARGS(daemon_id), NULL);
}

gboolean daemons_bury(DbTx *tx, GError **error)
{
    return db_exec(tx, error,
                   "DELETE FROM daemons WHERE seen_at < now() - make_interval(secs => $1::int)",
                   DB_ARGS(db_int(tx, DAEMON_DEAD_SECONDS)), NULL) &&
           db_exec(tx, error,
                   RELEASE_CHANNELS "channel_owner NOT IN (SELECT daemon_id FROM daemons)"
                                    " RETURNING cluster_id)"
                                    " SELECT pg_notify('berth_wake', 'cluster:' || cluster_id)"
                                    " FROM lost GROUP BY cluster_id",
                   DB_NO_ARGS, NULL);
}
