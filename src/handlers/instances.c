/* DescribeInstances and DescribeInstanceStatus. */
#include "handlers/ec2_common.h"
#include "handlers/ec2_page.h"
#include "handlers/filters.h"
#include "handlers/instance_json.h"
#include "handlers/table.h"
#include "base/errors.h"
#include "store/hosts_seen.h"
#include "store/instances.h"

#include <string.h>

#define CHUNK 1000 /* rows a statement reads while filters thin them out */

static const FilterName instance_filters[] = {
    { "architecture", "Architecture" },
    { "availability-zone", "Placement.AvailabilityZone" },
    { "block-device-mapping.attach-time", "@BlockDeviceMappings.Ebs.AttachTime" },
    { "block-device-mapping.delete-on-termination", "BlockDeviceMappings.Ebs.DeleteOnTermination" },
    { "block-device-mapping.device-name", "BlockDeviceMappings.DeviceName" },
    { "block-device-mapping.status", "BlockDeviceMappings.Ebs.Status" },
    { "block-device-mapping.volume-id", "BlockDeviceMappings.Ebs.VolumeId" },
    { "client-token", "ClientToken" },
    { "dns-name", "PublicDnsName" },
    { "group-id", "SecurityGroups.GroupId" },
    { "group-name", "SecurityGroups.GroupName" },
    { "hypervisor", "Hypervisor" },
    { "iam-instance-profile.arn", "IamInstanceProfile.Arn" },
    { "iam-instance-profile.id", "IamInstanceProfile.Id" },
    { "image-id", "ImageId" },
    { "instance-id", "InstanceId" },
    { "instance-lifecycle", "InstanceLifecycle" },
    { "instance-state-code", "State.Code" },
    { "instance-state-name", "State.Name" },
    { "instance-type", "InstanceType" },
    { "instance.group-id", "SecurityGroups.GroupId" },
    { "instance.group-name", "SecurityGroups.GroupName" },
    { "ip-address", "PublicIpAddress" },
    { "key-name", "KeyName" },
    { "launch-index", "AmiLaunchIndex" },
    { "launch-time", "@LaunchTime" },
    { "metadata-options.http-endpoint", "MetadataOptions.HttpEndpoint" },
    { "metadata-options.http-put-response-hop-limit", "MetadataOptions.HttpPutResponseHopLimit" },
    { "metadata-options.http-tokens", "MetadataOptions.HttpTokens" },
    { "metadata-options.instance-metadata-tags", "MetadataOptions.InstanceMetadataTags" },
    { "monitoring-state", "Monitoring.State" },
    { "network-interface.addresses.primary", "NetworkInterfaces.PrivateIpAddresses.Primary" },
    { "network-interface.addresses.private-ip-address",
      "NetworkInterfaces.PrivateIpAddresses.PrivateIpAddress" },
    { "network-interface.attachment.attach-time", "@NetworkInterfaces.Attachment.AttachTime" },
    { "network-interface.attachment.attachment-id", "NetworkInterfaces.Attachment.AttachmentId" },
    { "network-interface.attachment.delete-on-termination",
      "NetworkInterfaces.Attachment.DeleteOnTermination" },
    { "network-interface.attachment.device-index", "NetworkInterfaces.Attachment.DeviceIndex" },
    { "network-interface.attachment.status", "NetworkInterfaces.Attachment.Status" },
    { "network-interface.group-id", "NetworkInterfaces.Groups.GroupId" },
    { "network-interface.group-name", "NetworkInterfaces.Groups.GroupName" },
    { "network-interface.mac-address", "NetworkInterfaces.MacAddress" },
    { "network-interface.network-interface-id", "NetworkInterfaces.NetworkInterfaceId" },
    { "network-interface.owner-id", "NetworkInterfaces.OwnerId" },
    { "network-interface.private-dns-name", "NetworkInterfaces.PrivateDnsName" },
    { "network-interface.source-dest-check", "NetworkInterfaces.SourceDestCheck" },
    { "network-interface.status", "NetworkInterfaces.Status" },
    { "network-interface.subnet-id", "NetworkInterfaces.SubnetId" },
    { "network-interface.vpc-id", "NetworkInterfaces.VpcId" },
    { "owner-id", "^OwnerId" },
    { "placement-group-name", "Placement.GroupName" },
    { "platform", "Platform" },
    { "private-dns-name", "PrivateDnsName" },
    { "private-ip-address", "PrivateIpAddress" },
    { "product-code", "ProductCodes.ProductCodeId" },
    { "reason", "StateTransitionReason" },
    { "requester-id", "^RequesterId" },
    { "reservation-id", "^ReservationId" },
    { "root-device-name", "RootDeviceName" },
    { "root-device-type", "RootDeviceType" },
    { "source-dest-check", "SourceDestCheck" },
    { "state-reason-code", "StateReason.Code" },
    { "state-reason-message", "StateReason.Message" },
    { "subnet-id", "SubnetId" },
    { "tenancy", "Placement.Tenancy" },
    { "virtualization-type", "VirtualizationType" },
    { "vpc-id", "VpcId" },
    { NULL, NULL },
};

static const FilterName status_filters[] = {
    { "availability-zone", "AvailabilityZone" },
    { "event.code", "Events.Code" },
    { "event.description", "Events.Description" },
    { "event.instance-event-id", "Events.InstanceEventId" },
    { "event.not-after", "@Events.NotAfter" },
    { "event.not-before", "@Events.NotBefore" },
    { "event.not-before-deadline", "@Events.NotBeforeDeadline" },
    { "instance-state-code", "InstanceState.Code" },
    { "instance-state-name", "InstanceState.Name" },
    { "instance-status.reachability", "InstanceStatus.Details.Status" },
    { "instance-status.status", "InstanceStatus.Status" },
    { "system-status.reachability", "SystemStatus.Details.Status" },
    { "system-status.status", "SystemStatus.Status" },
    { NULL, NULL },
};

/* What a walk over the account's instances carries. */
typedef struct {
    Request *rq;
    const char *const *ids; /* NULL: all */
    Filters *filters;
    Ec2Page page;
    guint left;      /* items the page still takes */
    gboolean tagged; /* trees need tags */
    GHashTable *tags;
    DefaultNetwork *net;
    json_t *items; /* of the answer */
    /* Adds the instance to items if it is to be shown; TRUE when it was. */
    gboolean (*show)(const void *data, const Instance *i);
    gboolean all_states;
    GHashTable *troubled; /* hosts, when statuses are shown */
} Walk;

static void walk_clear(Walk *walk)
{
    g_clear_pointer(&walk->filters, filters_free);
    g_clear_pointer(&walk->tags, g_hash_table_destroy);
    g_clear_pointer(&walk->net, default_network_free);
    g_clear_pointer(&walk->items, json_decref);
    g_clear_pointer(&walk->troubled, g_hash_table_unref);
    ec2_page_clear(&walk->page);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Walk, walk_clear)

static gboolean walk_load_tags(Walk *walk, const GPtrArray *list, GError **error)
{
    g_autofree const char **ids = g_new0(const char *, list->len + 1);

    g_clear_pointer(&walk->tags, g_hash_table_destroy);
    if (!walk->tagged)
        return TRUE;
    for (guint n = 0; n < list->len; n++)
        ids[n] = ((Instance *)list->pdata[n])->id;
    walk->tags = ec2_tags_of(walk->rq, ids, error);
    return walk->tags != NULL;
}

/* Shows list until the page is full; *ret_last is the last instance looked at. */
static gboolean walk_show(Walk *walk, const GPtrArray *list, const Instance **ret_last,
                          GError **error)
{
    if (!walk_load_tags(walk, list, error))
        return FALSE;
    for (guint n = 0; n < list->len && walk->left > 0; n++) {
        *ret_last = list->pdata[n];
        if (walk->show(walk, *ret_last) && walk->left != EC2_PAGE_ALL)
            walk->left--;
    }
    return TRUE;
}

static gboolean after_read(const char *text, char **ret_reservation, InstancesAfter *ret)
{
    g_auto(GStrv) parts = g_strsplit(text, " ", 3);

    if (g_strv_length(parts) != 3)
        return FALSE;
    ret->launched_us = g_ascii_strtoll(parts[0], NULL, 10);
    *ret_reservation = g_strdup(parts[1]);
    ret->reservation_id = *ret_reservation;
    ret->launch_index = (gint)g_ascii_strtoll(parts[2], NULL, 10);
    return TRUE;
}

/* Reads the account's instances chunk by chunk: one or two statements each. */
static gboolean walk_pages(Walk *walk, char **ret_after, GError **error)
{
    g_autofree char *reservation = NULL;
    InstancesAfter after = { 0 };
    guint chunk = filters_none(walk->filters) && walk->all_states ? MIN(walk->left, CHUNK) : CHUNK;

    if (walk->page.after && !after_read(walk->page.after, &reservation, &after))
        return fail(error, INVALID_NEXT_TOKEN, "The token '%s' is invalid", walk->page.after);
    for (;;) {
        g_autoptr(GPtrArray) list =
            instances_page(walk->rq->tx, walk->rq->account_id, &after, chunk + 1, error);
        const Instance *last = NULL;
        if (!list)
            return FALSE;
        gboolean more = list->len > chunk;
        if (more)
            g_ptr_array_set_size(list, (gint)chunk);
        if (list->len == 0)
            return TRUE;
        if (!walk_show(walk, list, &last, error))
            return FALSE;
        more = more || last != list->pdata[list->len - 1];
        if (!more)
            return TRUE;
        g_free(reservation);
        reservation = g_strdup(last->reservation_id);
        after = (InstancesAfter){ last->launched_us, reservation, last->launch_index };
        if (walk->left == 0) {
            *ret_after = g_strdup_printf("%" G_GINT64_FORMAT " %s %d", after.launched_us,
                                         reservation, after.launch_index);
            return TRUE;
        }
    }
}

static gboolean walk_run(Walk *walk, const char *member, json_t **ret_answer, GError **error)
{
    g_autofree char *after = NULL;

    walk->net = ec2_network(walk->rq, error);
    if (!walk->net)
        return FALSE;
    if (walk->ids) {
        g_autoptr(GPtrArray) list =
            instances_get(walk->rq->tx, walk->rq->account_id, walk->ids, FALSE, error);
        const Instance *last = NULL;
        if (!list || !walk_show(walk, list, &last, error))
            return FALSE;
    } else if (!walk_pages(walk, &after, error)) {
        return FALSE;
    }
    *ret_answer = json_pack("{s:O}", member, walk->items);
    if (after)
        ec2_page_continue(walk->rq, &walk->page, after, *ret_answer);
    return TRUE;
}

static gboolean walk_open(Walk *walk, const char *what, const FilterName *names, gboolean tags,
                          GError **error)
{
    if (!ec2_check_instance_ids(walk->ids, error))
        return FALSE;
    if (walk->ids && request_member(walk->rq, "MaxResults"))
        return fail(error, INVALID_COMBINATION,
                    "The parameter instancesSet cannot be used with the parameter maxResults");
    walk->filters = filters_new(walk->rq, names, tags, error);
    if (!walk->filters || !ec2_page_open(walk->rq, what, 5, 1000, &walk->page, error))
        return FALSE;
    walk->left = walk->page.limit;
    walk->items = json_array();
    return TRUE;
}

static gboolean show_instance(const void *data, const Instance *i)
{
    const Walk *walk = data;
    json_t *outer = json_array_get(walk->items, json_array_size(walk->items) - 1);
    json_auto_t *item = instance_json(walk->rq, i, walk->net, walk->tags);
    json_auto_t *fresh = NULL;

    if (g_strcmp0(json_string_value(json_object_get(outer, "ReservationId")), i->reservation_id))
        outer = fresh = reservation_json(i);
    if (!filters_match(walk->filters, item, outer))
        return FALSE;
    json_array_append(json_object_get(outer, "Instances"), item);
    if (fresh)
        json_array_append(walk->items, fresh);
    return TRUE;
}

json_t *describe_instances(Request *rq, GError **error)
{
    g_autofree const char **ids = request_strings(rq, "InstanceIds");
    g_auto(Walk)
        walk = { .rq = rq, .ids = ids, .show = show_instance, .tagged = TRUE, .all_states = TRUE };
    json_t *answer = NULL;

    if (!EC2_ONLY(rq, error, "InstanceIds", "Filters", "MaxResults", "NextToken") ||
        !walk_open(&walk, "DescribeInstances", instance_filters, TRUE, error) ||
        !walk_run(&walk, "Reservations", &answer, error))
        return NULL;
    return answer;
}

/* -- status */

static json_t *health_json(const char *status, const char *reachability)
{
    return json_pack("{s:s, s:[{s:s, s:s}]}", "Status", status, "Details", "Name", "reachability",
                     "Status", reachability);
}

/* The instance's own health, and that of the system below it: its host. Of a guest on a host that
 * is away, or on a network that nothing here reaches, nothing is known. */
static void add_health(json_t *item, const Instance *i, HostTrouble trouble)
{
    gboolean blind = trouble != HOST_TROUBLE_NONE;

    if (blind && (trouble != HOST_TROUBLE_APART || !i->reachable_us))
        json_object_set_new(item, "InstanceStatus",
                            health_json("insufficient-data", "insufficient-data"));
    else if (i->reachable_us)
        json_object_set_new(item, "InstanceStatus", health_json("ok", "passed"));
    else
        json_object_set_new(item, "InstanceStatus", health_json("initializing", "initializing"));
    if (trouble == HOST_TROUBLE_DOWN)
        json_object_set_new(item, "SystemStatus", health_json("impaired", "failed"));
    else if (trouble == HOST_TROUBLE_UNKNOWN)
        json_object_set_new(item, "SystemStatus",
                            health_json("insufficient-data", "insufficient-data"));
    else
        json_object_set_new(item, "SystemStatus", health_json("ok", "passed"));
}

static json_t *status_json(const Instance *i, GHashTable *troubled)
{
    InstanceState state = instance_state(i);
    HostTrouble trouble = GPOINTER_TO_UINT(g_hash_table_lookup(troubled, i->host_id));
    json_t *item = json_pack("{s:s, s:s, s:o, s:[]}", "InstanceId", i->id, "AvailabilityZone",
                             i->zone_name, "InstanceState", instance_state_json(state), "Events");

    if (state == INSTANCE_RUNNING) {
        add_health(item, i, trouble);
    } else {
        json_object_set_new(item, "InstanceStatus", json_pack("{s:s}", "Status", "not-applicable"));
        json_object_set_new(item, "SystemStatus", json_pack("{s:s}", "Status", "not-applicable"));
    }
    return item;
}

static gboolean show_status(const void *data, const Instance *i)
{
    const Walk *walk = data;

    if (!walk->all_states && instance_state(i) != INSTANCE_RUNNING)
        return FALSE;
    json_auto_t *item = status_json(i, walk->troubled);
    if (!filters_match(walk->filters, item, NULL))
        return FALSE;
    json_array_append(walk->items, item);
    return TRUE;
}

json_t *describe_instance_status(Request *rq, GError **error)
{
    g_autofree const char **ids = request_strings(rq, "InstanceIds");
    g_auto(Walk) walk = { .rq = rq,
                          .ids = ids,
                          .show = show_status,
                          .all_states = request_bool(rq, "IncludeAllInstances", FALSE) };
    json_t *answer = NULL;

    walk.troubled = hosts_troubled(rq->tx, error);
    if (!walk.troubled ||
        !EC2_ONLY(rq, error, "InstanceIds", "Filters", "MaxResults", "NextToken",
                  "IncludeAllInstances") ||
        !walk_open(&walk, "DescribeInstanceStatus", status_filters, FALSE, error) ||
        !walk_run(&walk, "InstanceStatuses", &answer, error))
        return NULL;
    return answer;
}
