/* DescribeVolumes, DescribeNetworkInterfaces: what instances carry until they end. */
#include "handlers/ec2_common.h"
#include "handlers/ec2_page.h"
#include "handlers/filters.h"
#include "handlers/instance_json.h"
#include "handlers/table.h"
#include "base/errors.h"
#include "store/instances.h"

static const FilterName volume_filters[] = {
    { "attachment.attach-time", "@Attachments.AttachTime" },
    { "attachment.delete-on-termination", "Attachments.DeleteOnTermination" },
    { "attachment.device", "Attachments.Device" },
    { "attachment.instance-id", "Attachments.InstanceId" },
    { "attachment.status", "Attachments.State" },
    { "availability-zone", "AvailabilityZone" },
    { "create-time", "@CreateTime" },
    { "encrypted", "Encrypted" },
    { "size", "Size" },
    { "snapshot-id", "SnapshotId" },
    { "status", "State" },
    { "volume-id", "VolumeId" },
    { "volume-type", "VolumeType" },
    { NULL, NULL },
};

static const FilterName interface_filters[] = {
    { "addresses.private-ip-address", "PrivateIpAddresses.PrivateIpAddress" },
    { "attachment.attachment-id", "Attachment.AttachmentId" },
    { "attachment.device-index", "Attachment.DeviceIndex" },
    { "attachment.instance-id", "Attachment.InstanceId" },
    { "attachment.instance-owner-id", "Attachment.InstanceOwnerId" },
    { "attachment.status", "Attachment.Status" },
    { "availability-zone", "AvailabilityZone" },
    { "description", "Description" },
    { "group-id", "Groups.GroupId" },
    { "group-name", "Groups.GroupName" },
    { "interface-type", "InterfaceType" },
    { "mac-address", "MacAddress" },
    { "network-interface-id", "NetworkInterfaceId" },
    { "owner-id", "OwnerId" },
    { "private-dns-name", "PrivateDnsName" },
    { "private-ip-address", "PrivateIpAddress" },
    { "source-dest-check", "SourceDestCheck" },
    { "status", "Status" },
    { "subnet-id", "SubnetId" },
    { "vpc-id", "VpcId" },
    { NULL, NULL },
};

/* One of the two kinds of thing an instance has one of. */
typedef struct {
    const char *ids_member, *id_member, *answer, *tags_member;
    const FilterName *filters;
    ErrorCode missing;
    const char *missing_format_head, *missing_format_tail;
    json_t *(*make)(const Request *rq, const Instance *i, const DefaultNetwork *net);
} Carried;

static json_t *volume_json(const Request *rq G_GNUC_UNUSED, const Instance *i,
                           const DefaultNetwork *net G_GNUC_UNUSED)
{
    json_auto_t *details = i->details ? json_loads(i->details, 0, NULL) : NULL;
    const char *kind = json_text_at(details, "VolumeType");

    return json_pack("{s:s, s:s, s:s, s:i, s:I, s:b, s:s, s:b, s:[{s:s, s:s, s:s, s:s, s:b, s:I}]}",
                     "VolumeId", i->root_volume_id, "AvailabilityZone", i->zone_name, "State",
                     "in-use", "Size", i->root_volume_gib, "CreateTime", (json_int_t)i->launched_us,
                     "Encrypted", 0, "VolumeType", kind ? kind : "gp2", "MultiAttachEnabled", 0,
                     "Attachments", "VolumeId", i->root_volume_id, "InstanceId", i->id, "Device",
                     i->root_device_name, "State", "attached", "DeleteOnTermination", 1,
                     "AttachTime", (json_int_t)i->launched_us);
}

/* The interface as its instance shows it, with what only this answer has. */
static json_t *eni_json(const Request *rq, const Instance *i, const DefaultNetwork *net)
{
    g_autoptr(GHashTable) none = g_hash_table_new(g_str_hash, g_str_equal);
    json_auto_t *instance = instance_json(rq, i, net, none);
    json_t *item = json_copy(json_array_get(json_object_get(instance, "NetworkInterfaces"), 0));
    json_t *attachment = json_object_get(item, "Attachment");

    json_object_update_new(
        attachment, json_pack("{s:s, s:s}", "InstanceId", i->id, "InstanceOwnerId", i->account_id));
    json_object_update_new(item, json_pack("{s:s, s:s, s:b}", "AvailabilityZone", i->zone_name,
                                           "Description", "", "RequesterManaged", 0));
    return item;
}

static const Carried volumes = { "VolumeIds",    "VolumeId",          "Volumes",
                                 "Tags",         volume_filters,      ERROR_VOLUME_NOT_FOUND,
                                 "The volume '", "' does not exist.", volume_json };
static const Carried interfaces = { "NetworkInterfaceIds",
                                    "NetworkInterfaceId",
                                    "NetworkInterfaces",
                                    "TagSet",
                                    interface_filters,
                                    ERROR_INTERFACE_NOT_FOUND,
                                    "The networkInterface ID '",
                                    "' does not exist",
                                    eni_json };

/* All of the account's, with tags under member Tags. */
static json_t *all_carried(Request *rq, const Carried *c, GError **error)
{
    InstancesAfter from_start = { 0 };
    g_autoptr(DefaultNetwork) net = ec2_network(rq, error);
    g_autoptr(GPtrArray) list =
        net ? instances_page(rq->tx, rq->account_id, &from_start, G_MAXINT, error) : NULL;
    g_autoptr(GPtrArray) ids = g_ptr_array_new();

    if (!list)
        return NULL;
    json_auto_t *items = json_array();
    for (guint n = 0; n < list->len; n++) {
        if (instance_state(list->pdata[n]) == INSTANCE_TERMINATED)
            continue;
        json_t *item = c->make(rq, list->pdata[n], net);
        g_ptr_array_add(ids, (gpointer)json_text_at(item, c->id_member));
        json_array_append_new(items, item);
    }
    g_ptr_array_add(ids, NULL);
    g_autoptr(GHashTable) tags = ec2_tags_of(rq, (const char *const *)ids->pdata, error);
    for (gsize n = 0; tags && n < json_array_size(items); n++)
        ec2_tags_add(tags, ids->pdata[n], json_array_get(items, n));
    return tags ? json_incref(items) : NULL;
}

static gboolean refuse_missing(const Carried *c, const json_t *items, const char *const *ids,
                               GError **error)
{
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    const json_t *item;
    size_t n;

    json_array_foreach(items, n, item)
    {
        g_hash_table_add(known, (gpointer)json_text_at(item, c->id_member));
    }
    for (; ids && *ids; ids++)
        if (!g_hash_table_contains(known, *ids))
            return error_fail(error, c->missing, "%s%s%s", c->missing_format_head, *ids,
                              c->missing_format_tail);
    return TRUE;
}

static json_t *carried_answer(Request *rq, const Carried *c, GError **error)
{
    g_autofree const char **ids = request_strings(rq, c->ids_member);
    g_auto(Ec2Page) page = { 0 };
    g_autoptr(Filters) filters = NULL;
    json_t *item;
    size_t n;

    if (!EC2_ONLY(rq, error, c->ids_member, "Filters", "MaxResults", "NextToken") ||
        !ec2_page_open(rq, c->answer, 5, 1000, &page, error) ||
        !(filters = filters_new(rq, c->filters, TRUE, error)))
        return NULL;
    json_auto_t *all = all_carried(rq, c, error);
    if (!all || !refuse_missing(c, all, ids, error))
        return NULL;
    json_t *shown = json_array();
    json_array_foreach(all, n, item)
    {
        if ((ids && !g_strv_contains(ids, json_text_at(item, c->id_member))) ||
            !filters_match(filters, item, NULL))
            continue;
        json_t *tags = json_object_get(item, "Tags");
        if (tags && g_strcmp0(c->tags_member, "Tags") != 0) {
            json_object_set(item, c->tags_member, tags);
            json_object_del(item, "Tags");
        }
        json_array_append(shown, item);
    }
    return ec2_page_answer(rq, &page, c->answer, shown, error);
}

json_t *describe_volumes(Request *rq, GError **error)
{
    return carried_answer(rq, &volumes, error);
}

json_t *describe_network_interfaces(Request *rq, GError **error)
{
    return carried_answer(rq, &interfaces, error);
}
