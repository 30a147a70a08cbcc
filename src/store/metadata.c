#include "store/metadata.h"
#include "model/default_network.h"
#include "store/ecs_rows.h"

#include <string.h>

/* The order of the facts that come from the row as they are. */
static const MetadataFact columns[] = {
    FACT_INSTANCE_ID,    FACT_ACCOUNT_ID,   FACT_IMAGE_ID,    FACT_LAUNCH_INDEX, FACT_INSTANCE_TYPE,
    FACT_RESERVATION_ID, FACT_ZONE_NAME,    FACT_ZONE_ID,     FACT_PRIVATE_IP,   FACT_MAC,
    FACT_ENI_ID,         FACT_SUBNET_ID,    FACT_ROOT_DEVICE, FACT_KEY_NAME,     FACT_PUBLIC_KEY,
    FACT_PROFILE,        FACT_ARCHITECTURE,
};
#define COLUMN_LAUNCHED  (int)G_N_ELEMENTS(columns)
#define COLUMN_USER_DATA (COLUMN_LAUNCHED + 1)
#define COLUMN_OPTIONS   (COLUMN_LAUNCHED + 2)
#define COLUMN_TAGS      (COLUMN_LAUNCHED + 3)

static gboolean add_network(MetadataFacts *facts, const char *cidr, GError **error)
{
    char **t = facts->text;
    g_autoptr(DefaultNetwork) net =
        default_network_new(t[FACT_ACCOUNT_ID], t[FACT_REGION], cidr, error);
    g_autoptr(DefaultSubnet) subnet =
        net ? default_subnet_new(net, t[FACT_ACCOUNT_ID], t[FACT_REGION], t[FACT_ZONE_NAME], error)
            : NULL;

    if (!subnet)
        return FALSE;
    t[FACT_SUBNET_CIDR] = g_strdup(subnet->cidr);
    t[FACT_VPC_ID] = g_strdup(net->vpc_id);
    t[FACT_VPC_CIDR] = g_strdup(net->cidr);
    t[FACT_GROUP_ID] = g_strdup(net->group_id);
    t[FACT_HOSTNAME] = default_network_dns_name(t[FACT_PRIVATE_IP], t[FACT_REGION]);
    return TRUE;
}

static MetadataFacts *facts_from_row(const PGresult *res, const char *region_name)
{
    MetadataFacts *facts = metadata_facts_new();
    json_auto_t *options = row_json(res, 0, COLUMN_OPTIONS);
    json_auto_t *tags = row_json(res, 0, COLUMN_TAGS);
    const char *user_data = db_text(res, 0, COLUMN_USER_DATA);

    for (guint i = 0; i < G_N_ELEMENTS(columns); i++)
        facts->text[columns[i]] = g_strdup(db_text(res, 0, (int)i));
    facts->text[FACT_REGION] = g_strdup(region_name);
    facts->pending_us = db_int64(res, 0, COLUMN_LAUNCHED);
    if (user_data) {
        gsize length = 0;
        guchar *data = g_base64_decode(user_data, &length);
        facts->user_data = g_bytes_new_take(data, length);
    }
    metadata_facts_set_options(facts, options, tags);
    return facts;
}

MetadataFacts *metadata_find_by_ip(DbTx *region, const char *region_name, const char *cidr,
                                   const char *private_ip, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(region, error,
                 "SELECT i.instance_id, i.account_id, i.image_id, i.launch_index, i.instance_type,"
                 " i.reservation_id, i.zone_name, z.zone_id, host(i.private_ip), i.mac, i.eni_id,"
                 " i.subnet_id, i.root_device_name, i.key_name, i.public_key, i.instance_profile,"
                 " m.architecture, " DB_US(
                     "i.launched_at") ", encode(i.user_data, 'base64'),"
                                      " i.details -> 'MetadataOptions',"
                                      " (SELECT jsonb_object_agg(t.key, t.value) FROM tags t WHERE "
                                      "t.resource_id = i.instance_id)"
                                      " FROM instances i JOIN images m USING (image_id) JOIN zones "
                                      "z USING (zone_name)"
                                      " WHERE i.private_ip = $1::inet AND i.terminated_at IS NULL"
                                      " AND NOT EXISTS (SELECT FROM hosts h WHERE h.host_id ="
                                      "  i.host_id AND h.network = 'apart')",
                 DB_ARGS(private_ip));

    if (!res || PQntuples(res) == 0)
        return NULL;
    g_autoptr(MetadataFacts) facts = facts_from_row(res, region_name);
    return add_network(facts, cidr, error) ? g_steal_pointer(&facts) : NULL;
}

gboolean metadata_add_profile(DbTx *identity, MetadataFacts *facts, GError **error)
{
    char **t = facts->text;

    if (!t[FACT_PROFILE])
        return TRUE;
    g_autoptr(PGresult) res =
        db_query(identity, error,
                 "SELECT 'arn:aws:iam::' || p.account_id || ':instance-profile' || p.path"
                 "  || p.profile_name, p.profile_id, p.role_name, r.role_id"
                 " FROM instance_profiles p LEFT JOIN roles r USING (account_id, role_name)"
                 " WHERE p.account_id = $1 AND p.profile_name = $2",
                 DB_ARGS(t[FACT_ACCOUNT_ID], t[FACT_PROFILE]));
    if (!res)
        return FALSE;
    if (PQntuples(res) == 0)
        return TRUE;
    t[FACT_PROFILE_ARN] = g_strdup(db_text(res, 0, 0));
    t[FACT_PROFILE_ID] = g_strdup(db_text(res, 0, 1));
    t[FACT_ROLE] = g_strdup(db_text(res, 0, 2));
    t[FACT_ROLE_ID] = g_strdup(db_text(res, 0, 3));
    return TRUE;
}
