#include "store/instances.h"
#include "base/errors.h"

#include <string.h>

#define LAUNCHED_US   DB_US("i.launched_at")
#define HOST_KEYS_US  DB_US("i.host_keys_at")
#define REACHABLE_US  DB_US("i.reachable_at")
#define SEEN_US       DB_US("i.seen_at")
#define TERMINATED_US DB_US("i.terminated_at")
#define COLUMNS                                                                                    \
    "i.instance_id, i.account_id, i.reservation_id, i.launch_index, i.image_id, m.architecture,"   \
    " m.ssh_user, i.instance_type, i.vcpus, i.memory_mib, i.key_name, i.public_key, i.zone_name,"  \
    " i.host_id, i.subnet_id, host(i.private_ip), i.mac, i.domain_uuid, i.eni_id,"                 \
    " i.root_volume_id, i.root_volume_gib, i.root_device_name, i.instance_profile,"                \
    " i.client_token, i.details, " LAUNCHED_US ", i.desired, i.generation,"                        \
    " i.reboot_generation, i.disable_api_termination, i.shutdown_behavior = 'terminate',"          \
    " i.transition_reason, i.seen, i.seen_generation, i.rebooted_generation, i.ever_defined,"      \
    " i.fault, i.fault_message, i.host_keys, " HOST_KEYS_US ", " REACHABLE_US ", " SEEN_US         \
    ", " TERMINATED_US
#define FROM " FROM instances i JOIN images m USING (image_id) "

static char *take_text(const PGresult *res, int row, int *column)
{
    return g_strdup(db_text(res, row, (*column)++));
}

static gint64 take_int(const PGresult *res, int row, int *column)
{
    return db_int64(res, row, (*column)++);
}

static void read_launch(Instance *i, const PGresult *res, int row, int *c)
{
    i->id = take_text(res, row, c);
    i->account_id = take_text(res, row, c);
    i->reservation_id = take_text(res, row, c);
    i->launch_index = (gint)take_int(res, row, c);
    i->image_id = take_text(res, row, c);
    i->architecture = take_text(res, row, c);
    i->ssh_user = take_text(res, row, c);
    i->instance_type = take_text(res, row, c);
    i->vcpus = (gint)take_int(res, row, c);
    i->memory_mib = (gint)take_int(res, row, c);
    i->key_name = take_text(res, row, c);
    i->public_key = take_text(res, row, c);
    i->zone_name = take_text(res, row, c);
    i->host_id = take_text(res, row, c);
    i->subnet_id = take_text(res, row, c);
    i->private_ip = take_text(res, row, c);
    i->mac = take_text(res, row, c);
    i->domain_uuid = take_text(res, row, c);
    i->eni_id = take_text(res, row, c);
    i->root_volume_id = take_text(res, row, c);
    i->root_volume_gib = (gint)take_int(res, row, c);
    i->root_device_name = take_text(res, row, c);
    i->instance_profile = take_text(res, row, c);
    i->client_token = take_text(res, row, c);
    i->details = take_text(res, row, c);
    i->launched_us = take_int(res, row, c);
}

static void read_facts(Instance *i, const PGresult *res, int row, int *c)
{
    i->desired = instance_desire_from(db_text(res, row, (*c)++));
    i->generation = take_int(res, row, c);
    i->reboot_generation = take_int(res, row, c);
    i->disable_api_termination = db_truth(res, row, (*c)++);
    i->shutdown_terminates = db_truth(res, row, (*c)++);
    i->transition_reason = take_text(res, row, c);
    i->seen = instance_seen_from(db_text(res, row, (*c)++));
    i->seen_generation = take_int(res, row, c);
    i->rebooted_generation = take_int(res, row, c);
    i->ever_defined = db_truth(res, row, (*c)++);
    i->fault = take_text(res, row, c);
    i->fault_message = take_text(res, row, c);
    i->host_keys = take_text(res, row, c);
    i->host_keys_us = take_int(res, row, c);
    i->reachable_us = take_int(res, row, c);
    i->seen_us = take_int(res, row, c);
    i->terminated_us = take_int(res, row, c);
}

static Instance *instance_from_row(const PGresult *res, int row)
{
    Instance *i = g_new0(Instance, 1);
    int column = 0;

    read_launch(i, res, row, &column);
    read_facts(i, res, row, &column);
    return i;
}

static GPtrArray *instances_from(const PGresult *res)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)instance_free);

    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, instance_from_row(res, row));
    return list;
}

Instance *instances_load(DbTx *tx, const char *id, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error, "SELECT " COLUMNS FROM "WHERE i.instance_id = $1", DB_ARGS(id));

    if (!res)
        return NULL;
    if (PQntuples(res) == 0)
        return fail_null(error, NOT_FOUND, "there is no instance \"%s\"", id);
    return instance_from_row(res, 0);
}

/* EC2's sentence about the ids that are not in list. */
static gboolean refuse_missing(const GPtrArray *list, const char *const *ids, GError **error)
{
    g_autoptr(GHashTable) found = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) missing = g_ptr_array_new();

    for (guint n = 0; n < list->len; n++)
        g_hash_table_add(found, ((Instance *)list->pdata[n])->id);
    for (; *ids; ids++)
        if (g_hash_table_add(found, (gpointer)*ids))
            g_ptr_array_add(missing, (gpointer)*ids);
    if (missing->len == 0)
        return TRUE;
    if (missing->len == 1)
        return fail(error, INSTANCE_NOT_FOUND, "The instance ID '%s' does not exist",
                    (char *)missing->pdata[0]);
    g_ptr_array_add(missing, NULL);
    g_autofree char *names = g_strjoinv(", ", (char **)missing->pdata);
    return fail(error, INSTANCE_NOT_FOUND, "The instance IDs '%s' do not exist", names);
}

GPtrArray *instances_get(DbTx *tx, const char *account_id, const char *const *ids, gboolean lock,
                         GError **error)
{
    const char *wanted = db_text_array(tx, ids, -1);

    if (lock && !db_exec(tx, error,
                         "SELECT 1 FROM instances WHERE account_id = $1"
                         " AND instance_id = ANY ($2::text[]) ORDER BY instance_id FOR UPDATE",
                         DB_ARGS(account_id, wanted), NULL))
        return NULL;
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT " COLUMNS FROM "WHERE i.account_id = $1 AND i.instance_id = ANY ($2::text[])"
        " ORDER BY i.launched_at, i.reservation_id, i.launch_index",
        DB_ARGS(account_id, wanted));
    if (!res)
        return NULL;
    g_autoptr(GPtrArray) list = instances_from(res);
    if (!refuse_missing(list, ids, error))
        return NULL;
    return g_steal_pointer(&list);
}

GPtrArray *instances_page(DbTx *tx, const char *account_id, const InstancesAfter *after,
                          guint limit, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " COLUMNS FROM
                 "WHERE i.account_id = $1 AND (i.launched_at, i.reservation_id, i.launch_index)"
                 " > ($2::timestamptz, $3, $4::integer)"
                 " ORDER BY i.launched_at, i.reservation_id, i.launch_index LIMIT $5::bigint",
                 DB_ARGS(account_id, db_time(tx, after->launched_us),
                         after->reservation_id ? after->reservation_id : "",
                         db_int(tx, after->launch_index), db_int(tx, limit)));

    return res ? instances_from(res) : NULL;
}

gboolean instances_user_data(DbTx *tx, const char *id, GBytes **ret_data, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error, "SELECT encode(user_data, 'base64') FROM instances WHERE instance_id = $1",
        DB_ARGS(id));

    if (!res)
        return FALSE;
    const char *text = PQntuples(res) ? db_text(res, 0, 0) : NULL;
    gsize length = 0;
    guchar *data = text ? g_base64_decode(text, &length) : NULL;
    *ret_data = data ? g_bytes_new_take(data, length) : NULL;
    return TRUE;
}

gboolean instances_insert(DbTx *tx, const InstanceLaunch *l, const InstanceLaunchRows *rows,
                          GError **error)
{
    gssize count = rows->count;

    if (!db_exec(tx, error, "INSERT INTO reservations (reservation_id, account_id) VALUES ($1, $2)",
                 DB_ARGS(l->reservation_id, l->account_id), NULL))
        return FALSE;
    return db_exec(
        tx, error,
        "WITH new AS (INSERT INTO instances (instance_id, host_id, private_ip, mac, domain_uuid,"
        " eni_id, root_volume_id, launch_index, account_id, reservation_id, image_id,"
        " instance_type, vcpus, memory_mib, key_name, public_key, zone_name, subnet_id,"
        " root_volume_gib, root_device_name, user_data, instance_profile, client_token, details,"
        " disable_api_termination, shutdown_behavior)"
        " SELECT r.id, r.host, r.ip::inet, r.mac::macaddr, r.uuid::uuid, r.eni, r.volume,"
        " r.n - 1, $8, $9, $10, $11, $12::integer, $13::integer, $14, $15, $16, $17,"
        " $18::integer, $19, $20::bytea, $21, $22, $23::jsonb, $24::boolean, $25"
        " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],"
        " $7::text[]) WITH ORDINALITY AS r (id, host, ip, mac, uuid, eni, volume, n)"
        " RETURNING instance_id)"
        " SELECT pg_notify('berth_wake', 'instance:' || instance_id) FROM new",
        DB_ARGS(
            db_text_array(tx, rows->ids, count), db_text_array(tx, rows->host_ids, count),
            db_text_array(tx, rows->private_ips, count), db_text_array(tx, rows->macs, count),
            db_text_array(tx, rows->domain_uuids, count), db_text_array(tx, rows->eni_ids, count),
            db_text_array(tx, rows->root_volume_ids, count), l->account_id, l->reservation_id,
            l->image_id, l->instance_type, db_int(tx, l->vcpus), db_int(tx, l->memory_mib),
            l->key_name, l->public_key, l->zone_name, l->subnet_id, db_int(tx, l->root_volume_gib),
            l->root_device_name, l->user_data, l->instance_profile, l->client_token, l->details,
            db_bool(l->disable_api_termination), l->shutdown_terminates ? "terminate" : "stop"),
        NULL);
}

gboolean instances_desire(DbTx *tx, const char *const *ids, InstanceDesire desired,
                          const char *reason, GError **error)
{
    return db_exec(tx, error,
                   "WITH changed AS (UPDATE instances SET desired = $2,"
                   " generation = generation + 1, transition_reason = $3"
                   " WHERE instance_id = ANY ($1::text[]) RETURNING instance_id)"
                   " SELECT pg_notify('berth_wake', 'instance:' || instance_id) FROM changed",
                   DB_ARGS(db_text_array(tx, ids, -1), instance_desire_name(desired), reason),
                   NULL);
}

gboolean instances_ask_reboot(DbTx *tx, const char *const *ids, GError **error)
{
    return db_exec(tx, error,
                   "WITH changed AS (UPDATE instances SET generation = generation + 1,"
                   " reboot_generation = generation + 1"
                   " WHERE instance_id = ANY ($1::text[]) RETURNING instance_id)"
                   " SELECT pg_notify('berth_wake', 'instance:' || instance_id) FROM changed",
                   DB_ARGS(db_text_array(tx, ids, -1)), NULL);
}

gboolean instances_set_protection(DbTx *tx, const char *id, gboolean on, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE instances SET disable_api_termination = $2::boolean"
                   " WHERE instance_id = $1",
                   DB_ARGS(id, db_bool(on)), NULL);
}

gboolean instances_set_shutdown(DbTx *tx, const char *id, gboolean terminates, GError **error)
{
    return db_exec(tx, error, "UPDATE instances SET shutdown_behavior = $2 WHERE instance_id = $1",
                   DB_ARGS(id, terminates ? "terminate" : "stop"), NULL);
}

gboolean instances_set_type(DbTx *tx, const char *id, const char *type, gint vcpus, gint memory_mib,
                            GError **error)
{
    return db_exec(tx, error,
                   "UPDATE instances SET instance_type = $2, vcpus = $3::integer,"
                   " memory_mib = $4::integer WHERE instance_id = $1",
                   DB_ARGS(id, type, db_int(tx, vcpus), db_int(tx, memory_mib)), NULL);
}

gboolean instances_set_user_data(DbTx *tx, const char *id, const char *data, GError **error)
{
    return db_exec(tx, error, "UPDATE instances SET user_data = $2::bytea WHERE instance_id = $1",
                   DB_ARGS(id, data), NULL);
}

gboolean instances_set_details(DbTx *tx, const char *id, const char *details, GError **error)
{
    return db_exec(tx, error, "UPDATE instances SET details = $2::jsonb WHERE instance_id = $1",
                   DB_ARGS(id, details), NULL);
}

GPtrArray *instances_free_addresses(DbTx *tx, const char *base, gint first, gint last, guint count,
                                    GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT host($1::inet + o) FROM generate_series($2::integer, $3::integer) o"
                 " WHERE NOT EXISTS (SELECT 1 FROM instances i WHERE i.terminated_at IS NULL"
                 " AND i.private_ip = $1::inet + o) ORDER BY o LIMIT $4::bigint",
                 DB_ARGS(base, db_int(tx, first), db_int(tx, last), db_int(tx, count)));

    return res ? db_texts(res, 0) : NULL;
}

GHashTable *instances_in_zones(DbTx *tx, GError **error)
{
    g_autoptr(PGresult) res = db_query(tx, error,
                                       "SELECT zone_name, count(*) FROM instances"
                                       " WHERE terminated_at IS NULL GROUP BY zone_name",
                                       DB_NO_ARGS);

    if (!res)
        return NULL;
    GHashTable *counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int row = 0; row < PQntuples(res); row++)
        g_hash_table_insert(counts, g_strdup(db_text(res, row, 0)),
                            GINT_TO_POINTER((gint)db_int64(res, row, 1)));
    return counts;
}
