#include "store/health.h"
#include "base/errors.h"
#include "store/daemons.h"

#define STARTED_US DB_US("min(started_at)")
/* Those that should be connected: not of an instance that is to be stopped. */
#define AGENTS_WANTED                                                                              \
    "container_instances c LEFT JOIN instances i ON i.instance_id = c.ec2_instance_id"             \
    " WHERE c.status <> 'INACTIVE' AND coalesce(i.desired = 'running', true)"

static gboolean read_counts(DbTx *tx, RegionHealth *h, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT d.api, d.reconcile, d.started, (SELECT count(*) FROM zones), h.hosts, h.up, h.away,"
        " i.living, i.running, i.failed, a.agents, a.connected, (SELECT count(*) FROM retries)"
        " FROM (SELECT count(*) FILTER (WHERE role <> 'reconcile') AS api,"
        "   count(*) FILTER (WHERE role <> 'api') AS reconcile, " STARTED_US " AS started"
        "   FROM daemons WHERE seen_at > now() - make_interval(secs => $1::int)) d,"
        " (SELECT count(*) AS hosts, count(*) FILTER (WHERE state = 'up') AS up,"
        "   count(*) FILTER (WHERE unreachable_at IS NOT NULL AND EXISTS (SELECT FROM instances i"
        "    WHERE i.host_id = hosts.host_id AND i.terminated_at IS NULL)) AS away FROM hosts"
        "   WHERE state <> 'removed') h,"
        " (SELECT count(*) AS living, count(*) FILTER (WHERE seen = 'running') AS running,"
        "   count(*) FILTER (WHERE fault IS NOT NULL) AS failed"
        "   FROM instances WHERE terminated_at IS NULL) i,"
        " (SELECT count(*) AS agents, count(channel_owner) AS connected FROM " AGENTS_WANTED ") a",
        DB_ARGS(db_int(tx, DAEMON_DEAD_SECONDS)));
    gint64 *const fields[] = {
        &h->api_daemons,
        &h->reconcile_daemons,
        &h->started_us,
        &h->zones,
        &h->hosts,
        &h->hosts_up,
        &h->hosts_away,
        &h->instances,
        &h->instances_running,
        &h->instances_failed,
        &h->agents,
        &h->agents_connected,
        &h->retries,
    };

    for (gsize i = 0; res && i < G_N_ELEMENTS(fields); i++)
        *fields[i] = db_int64(res, 0, (int)i);
    return res != NULL;
}

/* Who is not well and why, the oldest trouble first. */
static gboolean read_ill(DbTx *tx, RegionHealth *h, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT (SELECT string_agg(host_id || ': ' || coalesce(fault, 'is ' || state), '; ') FROM"
        "   (SELECT * FROM hosts WHERE state NOT IN ('up', 'removed')"
        "    ORDER BY seen_at, host_id LIMIT " HEALTH_NAMED ") x),"
        " (SELECT string_agg(instance_id || ': ' || coalesce(fault_message, fault), '; ') FROM"
        "   (SELECT * FROM instances WHERE fault IS NOT NULL AND terminated_at IS NULL"
        "    ORDER BY launched_at, instance_id LIMIT " HEALTH_NAMED ") x),"
        " (SELECT string_agg(coalesce(ec2_instance_id, container_instance_id) || ': '"
        "     || coalesce(nullif(disconnect_cause, ''), 'has not connected'), '; ') FROM"
        "   (SELECT c.* FROM " AGENTS_WANTED " AND channel_owner IS NULL"
        "    ORDER BY ci_id LIMIT " HEALTH_NAMED ") x),"
        " (SELECT string_agg(object_id || ': ' || last_error, '; ') FROM"
        "   (SELECT * FROM retries ORDER BY failed_at, object_id LIMIT " HEALTH_NAMED ") x)",
        DB_NO_ARGS);
    char **const fields[] = { &h->hosts_ill, &h->instances_ill, &h->agents_ill, &h->retries_ill };

    for (gsize i = 0; res && i < G_N_ELEMENTS(fields); i++)
        *fields[i] = g_strdup(db_text(res, 0, (int)i));
    return res != NULL;
}

RegionHealth *health_read(DbTx *tx, GError **error)
{
    g_autoptr(RegionHealth) h = g_new0(RegionHealth, 1);

    return read_counts(tx, h, error) && read_ill(tx, h, error) ? g_steal_pointer(&h) : NULL;
}

void region_health_free(RegionHealth *health)
{
    if (!health)
        return;
    g_free(health->hosts_ill);
    g_free(health->instances_ill);
    g_free(health->agents_ill);
    g_free(health->retries_ill);
    g_free(health);
}
