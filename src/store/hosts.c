#include "store/hosts.h"
#include "base/errors.h"
#include "store/instances.h"

#define ZONE_COLUMNS                                                                               \
    "zone_name, zone_id, state, cpu_overcommit, memory_overcommit, host_reserve_mib, " DB_US(      \
        "created_at")
#define HOST_TIMES                                                                                 \
    DB_US("h.seen_at")                                                                             \
    ", " DB_US("h.unreachable_at") ", " DB_US("h.lost_at") ", " DB_US("h.created_at")
#define HOST_COLUMNS                                                                               \
    "h.host_id, h.zone_name, h.uri, h.share_percent, h.desired, h.check_generation,"               \
    " h.seen_generation, h.state, h.hostname, h.vcpus, h.memory_mib, h.architecture,"              \
    " h.accelerator, h.fault, h.network, " HOST_TIMES ","                                          \
    " z.cpu_overcommit, z.memory_overcommit, z.host_reserve_mib,"                                  \
    " coalesce(u.vcpus, 0), coalesce(u.memory_mib, 0), coalesce(u.count, 0)"
#define HOST_TABLES                                                                                \
    " FROM hosts h JOIN zones z USING (zone_name) LEFT JOIN LATERAL ("                             \
    "SELECT sum(i.vcpus) FILTER (WHERE " INSTANCE_HOLDS_SQL ") AS vcpus,"                          \
    " sum(i.memory_mib) FILTER (WHERE " INSTANCE_HOLDS_SQL ") AS memory_mib, count(*) AS count"    \
    " FROM instances i WHERE i.host_id = h.host_id AND i.terminated_at IS NULL) u ON true"

static double number(const PGresult *res, int row, int column)
{
    const char *text = db_text(res, row, column);

    return text ? g_ascii_strtod(text, NULL) : 0;
}

static Zone *zone_from_row(const PGresult *res, int row)
{
    Zone *z = g_new0(Zone, 1);

    z->zone_name = g_strdup(db_text(res, row, 0));
    z->zone_id = g_strdup(db_text(res, row, 1));
    z->state = g_strdup(db_text(res, row, 2));
    z->cpu_overcommit = number(res, row, 3);
    z->memory_overcommit = number(res, row, 4);
    z->reserve_mib = (gint)db_int64(res, row, 5);
    z->created_us = db_int64(res, row, 6);
    return z;
}

static Host *host_from_row(const PGresult *res, int row)
{
    Host *h = g_new0(Host, 1);
    int c = 0;

    h->id = g_strdup(db_text(res, row, c++));
    h->zone_name = g_strdup(db_text(res, row, c++));
    h->uri = g_strdup(db_text(res, row, c++));
    h->share_percent = (gint)db_int64(res, row, c++);
    h->desired = g_strdup(db_text(res, row, c++));
    h->check_generation = db_int64(res, row, c++);
    h->seen_generation = db_int64(res, row, c++);
    h->state = g_strdup(db_text(res, row, c++));
    h->hostname = g_strdup(db_text(res, row, c++));
    h->vcpus = (gint)db_int64(res, row, c++);
    h->memory_mib = (gint)db_int64(res, row, c++);
    h->architecture = g_strdup(db_text(res, row, c++));
    h->accelerator = g_strdup(db_text(res, row, c++));
    h->fault = g_strdup(db_text(res, row, c++));
    h->network = g_strdup(db_text(res, row, c++));
    h->seen_us = db_int64(res, row, c++);
    h->unreachable_us = db_int64(res, row, c++);
    h->lost_us = db_int64(res, row, c++);
    h->created_us = db_int64(res, row, c++);
    h->cpu_overcommit = number(res, row, c++);
    h->memory_overcommit = number(res, row, c++);
    h->reserve_mib = (gint)db_int64(res, row, c++);
    h->used_vcpus = db_int64(res, row, c++);
    h->used_memory_mib = db_int64(res, row, c++);
    h->instances = (gint)db_int64(res, row, c++);
    return h;
}

GPtrArray *zones_list(DbTx *tx, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error, "SELECT " ZONE_COLUMNS " FROM zones ORDER BY zone_name", DB_NO_ARGS);

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)zone_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, zone_from_row(res, row));
    return list;
}

Zone *zones_get(DbTx *tx, const char *zone_name, gboolean lock, GError **error)
{
    if (lock && !db_exec(tx, error, "SELECT 1 FROM zones WHERE zone_name = $1 FOR UPDATE",
                         DB_ARGS(zone_name), NULL))
        return NULL;
    g_autoptr(PGresult) res = db_query(
        tx, error, "SELECT " ZONE_COLUMNS " FROM zones WHERE zone_name = $1", DB_ARGS(zone_name));
    if (!res)
        return NULL;
    if (PQntuples(res) == 0)
        return fail_null(error, ADMIN_NOT_FOUND, "there is no zone \"%s\"", zone_name);
    return zone_from_row(res, 0);
}

static const char *decimal(DbTx *tx, double value)
{
    return db_int(tx, (gint64)(value * 10000 + 0.5));
}

gboolean zones_insert(DbTx *tx, const Zone *z, GError **error)
{
    guint rows = 0;

    if (!db_exec(tx, error,
                 "INSERT INTO zones (zone_name, zone_id, cpu_overcommit, memory_overcommit,"
                 " host_reserve_mib) VALUES ($1, $2, $3::numeric / 10000, $4::numeric / 10000,"
                 " $5::integer) ON CONFLICT DO NOTHING",
                 DB_ARGS(z->zone_name, z->zone_id, decimal(tx, z->cpu_overcommit),
                         decimal(tx, z->memory_overcommit), db_int(tx, z->reserve_mib)),
                 &rows))
        return FALSE;
    return rows ? TRUE
                : fail(error, ADMIN_EXISTS, "zone \"%s\", or one with its letter, is there already",
                       z->zone_name);
}

gboolean zones_update(DbTx *tx, const Zone *z, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE zones SET cpu_overcommit = $2::numeric / 10000,"
                   " memory_overcommit = $3::numeric / 10000, host_reserve_mib = $4::integer"
                   " WHERE zone_name = $1",
                   DB_ARGS(z->zone_name, decimal(tx, z->cpu_overcommit),
                           decimal(tx, z->memory_overcommit), db_int(tx, z->reserve_mib)),
                   NULL);
}

gboolean zones_delete(DbTx *tx, const char *zone_name, GError **error)
{
    guint rows = 0;

    if (!db_exec(tx, error,
                 "DELETE FROM zones z WHERE z.zone_name = $1"
                 " AND NOT EXISTS (SELECT 1 FROM hosts h WHERE h.zone_name = $1)"
                 " AND NOT EXISTS (SELECT 1 FROM instances i WHERE i.zone_name = $1)",
                 DB_ARGS(zone_name), &rows))
        return FALSE;
    return rows ? TRUE
                : fail(error, ADMIN_IN_USE,
                       "zone \"%s\" still has hosts, or instances that ended lately", zone_name);
}

static gboolean lock_hosts(DbTx *tx, const char *zone_name, GError **error)
{
    return db_exec(tx, error,
                   "SELECT 1 FROM hosts WHERE $1::text IS NULL OR zone_name = $1"
                   " ORDER BY host_id FOR UPDATE",
                   DB_ARGS(zone_name), NULL);
}

GPtrArray *hosts_list(DbTx *tx, const char *zone_name, gboolean lock, GError **error)
{
    if (lock && !lock_hosts(tx, zone_name, error))
        return NULL;
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " HOST_COLUMNS HOST_TABLES
                 " WHERE ($1::text IS NULL OR h.zone_name = $1) AND h.state <> 'removed'"
                 " ORDER BY h.host_id",
                 DB_ARGS(zone_name));
    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)host_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, host_from_row(res, row));
    return list;
}

Host *hosts_get(DbTx *tx, const char *id, gboolean lock, GError **error)
{
    if (lock &&
        !db_exec(tx, error, "SELECT 1 FROM hosts WHERE host_id = $1 FOR UPDATE", DB_ARGS(id), NULL))
        return NULL;
    g_autoptr(PGresult) res = db_query(
        tx, error, "SELECT " HOST_COLUMNS HOST_TABLES " WHERE h.host_id = $1", DB_ARGS(id));
    if (!res)
        return NULL;
    if (PQntuples(res) == 0)
        return fail_null(error, ADMIN_NOT_FOUND, "there is no host \"%s\"", id);
    return host_from_row(res, 0);
}

char *hosts_insert(DbTx *tx, const char *id, const char *zone_name, const char *uri,
                   gint share_percent, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "INSERT INTO hosts (host_id, zone_name, uri, share_percent)"
                 " VALUES ($1, $2, $3, $4::integer) ON CONFLICT (zone_name, uri) DO UPDATE"
                 " SET desired = 'active', share_percent = excluded.share_percent, lost_at = NULL,"
                 " check_generation = hosts.check_generation + 1 WHERE hosts.desired = 'removed'"
                 " AND (hosts.lost_at IS NULL OR hosts.state = 'removed')"
                 " RETURNING host_id, pg_notify('berth_wake', 'host:' || host_id)",
                 DB_ARGS(id, zone_name, uri, db_int(tx, share_percent)));

    if (!res)
        return NULL;
    if (PQntuples(res) == 0)
        return fail_null(error, ADMIN_EXISTS,
                         "zone \"%s\" has host \"%s\" already, or is not rid of it yet", zone_name,
                         uri);
    return g_strdup(db_text(res, 0, 0));
}

gboolean hosts_desire(DbTx *tx, const char *id, const char *desired, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE hosts SET desired = $2, check_generation = check_generation + 1"
                   " WHERE host_id = $1",
                   DB_ARGS(id, desired), NULL) &&
           db_wake(tx, "host", id, error);
}

gboolean hosts_lose(DbTx *tx, const char *id, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE hosts SET desired = 'removed', lost_at = now(),"
                   " check_generation = check_generation + 1 WHERE host_id = $1",
                   DB_ARGS(id), NULL) &&
           db_wake(tx, "host", id, error);
}

char *hosts_instances(DbTx *tx, const char *id, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT coalesce(string_agg(instance_id, ', ' ORDER BY instance_id), '')"
                 " FROM instances WHERE host_id = $1 AND terminated_at IS NULL",
                 DB_ARGS(id));

    return res ? g_strdup(db_text(res, 0, 0)) : NULL;
}

gboolean hosts_record_seen(DbTx *tx, const char *id, gint64 generation, const HostSeen *seen,
                           GError **error)
{
    return db_exec(
        tx, error,
        "UPDATE hosts SET state = $2, seen_generation = $3::bigint, seen_at = now(),"
        " hostname = coalesce($4, hostname),"
        " vcpus = coalesce(nullif($5::integer, 0), vcpus),"
        " memory_mib = coalesce(nullif($6::integer, 0), memory_mib),"
        " architecture = coalesce($7, architecture),"
        " accelerator = coalesce($8, accelerator), fault = $9,"
        " machine = CASE WHEN $2 <> 'removed' THEN coalesce($10, machine) END,"
        " network = coalesce($11, network),"
        " unreachable_at = CASE WHEN $12::boolean THEN coalesce(unreachable_at, now()) END"
        " WHERE host_id = $1",
        DB_ARGS(id, seen->state, db_int(tx, generation), seen->hostname, db_int(tx, seen->vcpus),
                db_int(tx, seen->memory_mib), seen->architecture, seen->accelerator, seen->fault,
                seen->machine, seen->network, db_bool(seen->unreachable)),
        NULL);
}
