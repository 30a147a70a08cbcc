#include "handlers/instance_json.h"
#include "handlers/ec2_common.h"
#include "base/id.h"

#include <string.h>

json_t *instance_state_json(InstanceState state)
{
    return json_pack("{s:i, s:s}", "Code", (int)state, "Name", instance_state_name(state));
}

json_t *reservation_json(const Instance *i)
{
    return json_pack("{s:s, s:s, s:[], s:[]}", "OwnerId", i->account_id, "ReservationId",
                     i->reservation_id, "Groups", "Instances");
}

json_t *state_change_json(const char *id, InstanceState before, InstanceState now)
{
    return json_pack("{s:s, s:o, s:o}", "InstanceId", id, "CurrentState", instance_state_json(now),
                     "PreviousState", instance_state_json(before));
}

json_t *instance_reason_json(const Instance *i)
{
    const char *code = NULL, *message = NULL;
    InstanceState state = instance_state(i);

    if (i->fault) {
        code = i->fault;
        message = i->fault_message;
    } else if (state == INSTANCE_PENDING) {
        code = message = "pending";
    } else if (i->desired == DESIRE_RUNNING && state != INSTANCE_RUNNING) {
        code = "Client.InstanceInitiatedShutdown";
        message = "Client.InstanceInitiatedShutdown: Instance initiated shutdown";
    } else if (state != INSTANCE_RUNNING) {
        code = "Client.UserInitiatedShutdown";
        message = "Client.UserInitiatedShutdown: User initiated shutdown";
    }
    return code ? json_pack("{s:s, s:s}", "Code", code, "Message", message) : NULL;
}

json_t *instance_groups_json(const DefaultNetwork *net)
{
    return json_pack("[{s:s, s:s}]", "GroupId", net->group_id, "GroupName", "default");
}

static void default_text(json_t *object, const char *name, const char *value)
{
    if (!json_object_get(object, name))
        json_object_set_new(object, name, json_string(value));
}

json_t *metadata_options_json(const json_t *details)
{
    const json_t *given = json_object_get(details, "MetadataOptions");
    json_t *options = given ? json_copy((json_t *)given) : json_object();

    json_object_set_new(options, "State", json_string("applied"));
    default_text(options, "HttpTokens", "required");
    default_text(options, "HttpEndpoint", "enabled");
    default_text(options, "HttpProtocolIpv6", "disabled");
    default_text(options, "InstanceMetadataTags", "disabled");
    if (!json_object_get(options, "HttpPutResponseHopLimit"))
        json_object_set_new(options, "HttpPutResponseHopLimit", json_integer(1));
    return options;
}

static json_t *interface_json(const Request *rq, const Instance *i, const DefaultNetwork *net)
{
    g_autofree char *dns = default_network_dns_name(i->private_ip, rq->region);
    g_autofree char *attachment =
        id_ec2_derived("eni-attach", (const char *const[]){ i->eni_id, NULL });

    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:o, s:[], s:[{s:s, s:b, s:s}],"
        " s:{s:s, s:i, s:s, s:b, s:I}}",
        "NetworkInterfaceId", i->eni_id, "SubnetId", i->subnet_id, "VpcId", net->vpc_id, "OwnerId",
        i->account_id, "Status", "in-use", "MacAddress", i->mac, "PrivateIpAddress", i->private_ip,
        "PrivateDnsName", dns, "SourceDestCheck", 1, "InterfaceType", "interface", "Groups",
        instance_groups_json(net), "Ipv6Addresses", "PrivateIpAddresses", "PrivateIpAddress",
        i->private_ip, "Primary", 1, "PrivateDnsName", dns, "Attachment", "AttachmentId",
        attachment, "DeviceIndex", 0, "Status", "attached", "DeleteOnTermination", 1, "AttachTime",
        (json_int_t)i->launched_us);
}

/* What an instance has only until it has ended. */
static void add_living(const Request *rq, const Instance *i, const DefaultNetwork *net,
                       json_t *item)
{
    g_autofree char *dns = default_network_dns_name(i->private_ip, rq->region);

    json_object_update_new(
        item,
        json_pack("{s:s, s:s, s:s, s:s, s:o, s:[o], s:[{s:s, s:{s:s, s:s, s:b, s:I}}]}", "SubnetId",
                  i->subnet_id, "VpcId", net->vpc_id, "PrivateIpAddress", i->private_ip,
                  "PrivateDnsName", dns, "SecurityGroups", instance_groups_json(net),
                  "NetworkInterfaces", interface_json(rq, i, net), "BlockDeviceMappings",
                  "DeviceName", i->root_device_name, "Ebs", "VolumeId", i->root_volume_id, "Status",
                  "attached", "DeleteOnTermination", 1, "AttachTime", (json_int_t)i->launched_us));
}

static void add_details(const Instance *i, json_t *item)
{
    json_auto_t *details = i->details ? json_loads(i->details, 0, NULL) : NULL;
    gboolean monitored = json_is_true(json_object_get(details, "Monitoring"));

    json_object_update_new(item,
                           json_pack("{s:{s:s}, s:b, s:o}", "Monitoring", "State",
                                     monitored ? "enabled" : "disabled", "EbsOptimized",
                                     (int)json_is_true(json_object_get(details, "EbsOptimized")),
                                     "MetadataOptions", metadata_options_json(details)));
    if (json_object_get(details, "IamInstanceProfile"))
        json_object_set(item, "IamInstanceProfile", json_object_get(details, "IamInstanceProfile"));
}

static void add_optional(const Instance *i, json_t *item)
{
    json_t *reason = instance_reason_json(i);

    if (reason)
        json_object_set_new(item, "StateReason", reason);
    if (i->key_name)
        json_object_set_new(item, "KeyName", json_string(i->key_name));
    if (i->client_token)
        json_object_set_new(item, "ClientToken", json_string(i->client_token));
}

json_t *instance_json(const Request *rq, const Instance *i, const DefaultNetwork *net,
                      GHashTable *tags)
{
    InstanceState state = instance_state(i);
    json_t *item = json_pack(
        "{s:s, s:s, s:s, s:i, s:I, s:o, s:s, s:{s:s, s:s, s:s}, s:s, s:s, s:s, s:s, s:s, s:s, s:b,"
        " s:b, s:[], s:{s:i, s:i}, s:[], s:[], s:[], s:s}",
        "InstanceId", i->id, "ImageId", i->image_id, "InstanceType", i->instance_type,
        "AmiLaunchIndex", i->launch_index, "LaunchTime", (json_int_t)i->launched_us, "State",
        instance_state_json(state), "StateTransitionReason", i->transition_reason, "Placement",
        "AvailabilityZone", i->zone_name, "GroupName", "", "Tenancy", "default", "Architecture",
        i->architecture, "Hypervisor", "xen", "VirtualizationType", "hvm", "RootDeviceName",
        i->root_device_name, "RootDeviceType", "ebs", "PublicDnsName", "", "EnaSupport", 1,
        "SourceDestCheck", 1, "ProductCodes", "CpuOptions", "CoreCount", i->vcpus, "ThreadsPerCore",
        1, "NetworkInterfaces", "BlockDeviceMappings", "SecurityGroups", "PrivateDnsName", "");

    if (state != INSTANCE_TERMINATED)
        add_living(rq, i, net, item);
    add_details(i, item);
    add_optional(i, item);
    ec2_tags_add(tags, i->id, item);
    return item;
}
