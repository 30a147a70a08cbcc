#include "store/health.h"
#include "base/errors.h"
#include "store/daemons.h"

RegionHealth *health_read(DbTx *tx, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT d.api, d.reconcile, d.started, (SELECT count(*) FROM zones), h.hosts, h.up,"
        " i.living, i.running, i.failed, a.agents, a.connected, (SELECT count(*) FROM retries)"
        " FROM (SELECT count(*) FILTER (WHERE role <> 'reconcile') AS api,"
        "   count(*) FILTER (WHERE role <> 'api') AS reconcile,"
        "   " DB_US(
            "min(started_at)") " AS started FROM daemons"
                               "   WHERE seen_at > now() - make_interval(secs => $1::int)) d,"
                               " (SELECT count(*) AS hosts, count(*) FILTER (WHERE state = 'up') "
                               "AS up FROM hosts"
                               "   WHERE state <> 'removed') h,"
                               " (SELECT count(*) FILTER (WHERE terminated_at IS NULL) AS living,"
                               "   count(*) FILTER (WHERE terminated_at IS NULL AND seen = "
                               "'running') AS running,"
                               "   count(*) FILTER (WHERE fault IS NOT NULL AND launched_at > "
                               "now() - interval '1 hour')"
                               "   AS failed FROM instances) i,"
                               " (SELECT count(*) AS agents, count(channel_owner) AS connected "
                               "FROM container_instances"
                               "   WHERE status <> 'INACTIVE') a",
        DB_ARGS(db_int(tx, DAEMON_DEAD_SECONDS)));
    if (!res)
        return NULL;
    RegionHealth *h = g_new0(RegionHealth, 1);
    gint64 *const fields[] = {
        &h->api_daemons,
        &h->reconcile_daemons,
        &h->started_us,
        &h->zones,
        &h->hosts,
        &h->hosts_up,
        &h->instances,
        &h->instances_running,
        &h->instances_failed,
        &h->agents,
        &h->agents_connected,
        &h->retries,
    };
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
        *fields[i] = db_int64(res, 0, (int)i);
    return h;
}
