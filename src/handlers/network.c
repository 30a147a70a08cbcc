/* The default network and what hangs on instances, read-only: derived, so that stock tools work. */
#include "handlers/ec2_common.h"
#include "handlers/ec2_page.h"
#include "handlers/filters.h"
#include "handlers/instance_json.h"
#include "handlers/table.h"
#include "base/errors.h"
#include "base/id.h"
#include "store/hosts.h"
#include "store/instances.h"

#include <string.h>

static const FilterName vpc_filters[] = {
    { "cidr", "CidrBlock" },
    { "cidr-block-association.cidr-block", "CidrBlockAssociationSet.CidrBlock" },
    { "dhcp-options-id", "DhcpOptionsId" },
    { "is-default", "IsDefault" },
    { "isDefault", "IsDefault" },
    { "owner-id", "OwnerId" },
    { "state", "State" },
    { "vpc-id", "VpcId" },
    { NULL, NULL },
};

static const FilterName subnet_filters[] = {
    { "availability-zone", "AvailabilityZone" },
    { "availability-zone-id", "AvailabilityZoneId" },
    { "availabilityZone", "AvailabilityZone" },
    { "available-ip-address-count", "AvailableIpAddressCount" },
    { "cidr", "CidrBlock" },
    { "cidr-block", "CidrBlock" },
    { "cidrBlock", "CidrBlock" },
    { "default-for-az", "DefaultForAz" },
    { "defaultForAz", "DefaultForAz" },
    { "map-public-ip-on-launch", "MapPublicIpOnLaunch" },
    { "owner-id", "OwnerId" },
    { "state", "State" },
    { "subnet-arn", "SubnetArn" },
    { "subnet-id", "SubnetId" },
    { "vpc-id", "VpcId" },
    { NULL, NULL },
};

static const FilterName group_filters[] = {
    { "description", "Description" },
    { "egress.ip-permission.cidr", "IpPermissionsEgress.IpRanges.CidrIp" },
    { "egress.ip-permission.protocol", "IpPermissionsEgress.IpProtocol" },
    { "group-id", "GroupId" },
    { "group-name", "GroupName" },
    { "ip-permission.cidr", "IpPermissions.IpRanges.CidrIp" },
    { "ip-permission.protocol", "IpPermissions.IpProtocol" },
    { "owner-id", "OwnerId" },
    { "vpc-id", "VpcId" },
    { NULL, NULL },
};

static const FilterName gateway_filters[] = {
    { "attachment.state", "Attachments.State" },
    { "attachment.vpc-id", "Attachments.VpcId" },
    { "internet-gateway-id", "InternetGatewayId" },
    { "owner-id", "OwnerId" },
    { NULL, NULL },
};

static const FilterName table_filters[] = {
    { "association.main", "Associations.Main" },
    { "association.route-table-association-id", "Associations.RouteTableAssociationId" },
    { "association.route-table-id", "Associations.RouteTableId" },
    { "association.subnet-id", "Associations.SubnetId" },
    { "owner-id", "OwnerId" },
    { "route-table-id", "RouteTableId" },
    { "route.destination-cidr-block", "Routes.DestinationCidrBlock" },
    { "route.gateway-id", "Routes.GatewayId" },
    { "route.origin", "Routes.Origin" },
    { "route.state", "Routes.State" },
    { "vpc-id", "VpcId" },
    { NULL, NULL },
};

/* One item of a Describe answer: shown when ids are not given or have it, and filters match. */
typedef struct {
    const char *ids_member; /* of the request */
    const char *id_member;  /* of an item */
    const char *answer;
    const FilterName *filters;
    ErrorCode missing;
    const char *missing_words; /* before the quoted id */
} Derived;

static gboolean refuse_missing(const Derived *d, const json_t *items, const char *const *ids,
                               GError **error)
{
    for (; ids && *ids; ids++) {
        gboolean found = FALSE;
        const json_t *item;
        size_t n;
        json_array_foreach(items, n, item)
        {
            found = found || g_strcmp0(json_text_at(item, d->id_member), *ids) == 0;
        }
        if (!found)
            return error_fail(error, d->missing, "%s '%s' does not exist", d->missing_words, *ids);
    }
    return TRUE;
}

/* Takes items; the answer shows those that are asked for. */
static json_t *derived_answer(Request *rq, const Derived *d, json_t *items, GError **error)
{
    json_auto_t *all = items;
    g_autofree const char **ids = request_strings(rq, d->ids_member);
    g_auto(Ec2Page) page = { 0 };
    g_autoptr(Filters) filters = filters_new(rq, d->filters, TRUE, error);
    json_t *item;
    size_t n;

    if (!filters ||
        !EC2_ONLY(rq, error, d->ids_member, "Filters", "MaxResults", "NextToken", "GroupNames") ||
        !ec2_page_open(rq, d->answer, 5, 1000, &page, error) || !refuse_missing(d, all, ids, error))
        return NULL;
    json_t *shown = json_array();
    json_array_foreach(all, n, item)
    {
        const char *id = json_text_at(item, d->id_member);
        if ((!ids || (id && g_strv_contains(ids, id))) && filters_match(filters, item, NULL))
            json_array_append(shown, item);
    }
    return ec2_page_answer(rq, &page, d->answer, shown, error);
}

json_t *describe_vpcs(Request *rq, GError **error)
{
    static const Derived derived = { "VpcIds",    "VpcId", "Vpcs", vpc_filters, ERROR_VPC_NOT_FOUND,
                                     "The vpc ID" };
    g_autoptr(DefaultNetwork) net = ec2_network(rq, error);

    if (!net)
        return NULL;
    g_autofree char *association =
        id_ec2_derived("vpc-cidr-assoc", (const char *const[]){ net->vpc_id, NULL });
    return derived_answer(
        rq, &derived,
        json_pack("[{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:[{s:s, s:s, s:{s:s}}]}]", "VpcId",
                  net->vpc_id, "CidrBlock", net->cidr, "State", "available", "OwnerId",
                  rq->account_id, "DhcpOptionsId", net->dhcp_options_id, "InstanceTenancy",
                  "default", "IsDefault", 1, "CidrBlockAssociationSet", "AssociationId",
                  association, "CidrBlock", net->cidr, "CidrBlockState", "State", "associated"),
        error);
}

json_t *describe_vpc_attribute(Request *rq, GError **error)
{
    const char *attribute = request_text(rq, "Attribute"), *id = request_text(rq, "VpcId");
    g_autoptr(DefaultNetwork) net =
        EC2_ONLY(rq, error, "VpcId", "Attribute") ? ec2_network(rq, error) : NULL;

    if (!net)
        return NULL;
    if (g_strcmp0(id, net->vpc_id) != 0)
        return fail_null(error, VPC_NOT_FOUND, "The vpc ID '%s' does not exist", id ? id : "");
    if (g_strcmp0(attribute, "enableDnsSupport") == 0)
        return json_pack("{s:s, s:{s:b}}", "VpcId", id, "EnableDnsSupport", "Value", 1);
    if (g_strcmp0(attribute, "enableDnsHostnames") == 0)
        return json_pack("{s:s, s:{s:b}}", "VpcId", id, "EnableDnsHostnames", "Value", 1);
    return json_pack("{s:s, s:{s:b}}", "VpcId", id, "EnableNetworkAddressUsageMetrics", "Value", 0);
}

static json_t *subnet_json(const Request *rq, const DefaultNetwork *net, const DefaultSubnet *s,
                           const Zone *zone, gint used)
{
    g_autofree char *arn =
        g_strdup_printf("arn:aws:ec2:%s:%s:subnet/%s", rq->region, rq->account_id, s->id);

    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:b, s:b, s:[]}", "SubnetId", s->id,
        "SubnetArn", arn, "VpcId", net->vpc_id, "OwnerId", rq->account_id, "State", "available",
        "CidrBlock", s->cidr, "AvailabilityZone", zone->zone_name, "AvailabilityZoneId",
        zone->zone_id, "AvailableIpAddressCount", s->last - s->first + 1 - used, "DefaultForAz", 1,
        "MapPublicIpOnLaunch", 0, "AssignIpv6AddressOnCreation", 0, "Ipv6CidrBlockAssociationSet");
}

json_t *describe_subnets(Request *rq, GError **error)
{
    static const Derived derived = {
        "SubnetIds", "SubnetId", "Subnets", subnet_filters, ERROR_SUBNET_NOT_FOUND, "The subnet ID"
    };
    g_autoptr(DefaultNetwork) net = ec2_network(rq, error);
    g_autoptr(GPtrArray) zones = net ? zones_list(rq->tx, error) : NULL;
    g_autoptr(GHashTable) used = zones ? instances_in_zones(rq->tx, error) : NULL;

    if (!used)
        return NULL;
    json_t *items = json_array();
    for (guint n = 0; n < zones->len; n++) {
        const Zone *zone = zones->pdata[n];
        g_autoptr(DefaultSubnet) subnet =
            default_subnet_new(net, rq->account_id, rq->region, zone->zone_name, NULL);
        gint taken = GPOINTER_TO_INT(g_hash_table_lookup(used, zone->zone_name));
        if (subnet)
            json_array_append_new(items, subnet_json(rq, net, subnet, zone, taken));
    }
    return derived_answer(rq, &derived, items, error);
}

/* The flat network filters nothing, and the group says so. */
json_t *describe_security_groups(Request *rq, GError **error)
{
    static const Derived derived = {
        "GroupIds",          "GroupId", "SecurityGroups", group_filters, ERROR_GROUP_NOT_FOUND,
        "The security group"
    };
    g_autofree const char **names = request_strings(rq, "GroupNames");
    g_autoptr(DefaultNetwork) net = ec2_network(rq, error);

    if (!net)
        return NULL;
    for (const char **name = names; name && *name; name++)
        if (strcmp(*name, "default") != 0)
            return fail_null(error, GROUP_NOT_FOUND, "The security group '%s' does not exist",
                             *name);
    json_t *all =
        json_pack("[{s:s, s:[{s:s}], s:[], s:[], s:[]}]", "IpProtocol", "-1", "IpRanges", "CidrIp",
                  "0.0.0.0/0", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs");
    return derived_answer(
        rq, &derived,
        json_pack("[{s:s, s:s, s:s, s:s, s:s, s:o, s:O}]", "GroupId", net->group_id, "GroupName",
                  "default", "Description", "default VPC security group", "VpcId", net->vpc_id,
                  "OwnerId", rq->account_id, "IpPermissions", all, "IpPermissionsEgress", all),
        error);
}

json_t *describe_internet_gateways(Request *rq, GError **error)
{
    static const Derived derived = { "InternetGatewayIds", "InternetGatewayId",
                                     "InternetGateways",   gateway_filters,
                                     ERROR_INVALID_ID,     "The internetGateway ID" };
    g_autoptr(DefaultNetwork) net = ec2_network(rq, error);

    return net ? derived_answer(rq, &derived,
                                json_pack("[{s:s, s:s, s:[{s:s, s:s}]}]", "InternetGatewayId",
                                          net->gateway_id, "OwnerId", rq->account_id, "Attachments",
                                          "State", "available", "VpcId", net->vpc_id),
                                error)
               : NULL;
}

json_t *describe_route_tables(Request *rq, GError **error)
{
    static const Derived derived = { "RouteTableIds", "RouteTableId",   "RouteTables",
                                     table_filters,   ERROR_INVALID_ID, "The routeTable ID" };
    g_autoptr(DefaultNetwork) net = ec2_network(rq, error);

    if (!net)
        return NULL;
    g_autofree char *association =
        id_ec2_derived("rtbassoc", (const char *const[]){ net->route_table_id, NULL });
    return derived_answer(rq, &derived,
                          json_pack("[{s:s, s:s, s:s, s:[{s:b, s:s, s:s, s:{s:s}}], s:[],"
                                    " s:[{s:s, s:s, s:s, s:s}, {s:s, s:s, s:s, s:s}]}]",
                                    "RouteTableId", net->route_table_id, "VpcId", net->vpc_id,
                                    "OwnerId", rq->account_id, "Associations", "Main", 1,
                                    "RouteTableAssociationId", association, "RouteTableId",
                                    net->route_table_id, "AssociationState", "State", "associated",
                                    "PropagatingVgws", "Routes", "DestinationCidrBlock", net->cidr,
                                    "GatewayId", "local", "Origin", "CreateRouteTable", "State",
                                    "active", "DestinationCidrBlock", "0.0.0.0/0", "GatewayId",
                                    net->gateway_id, "Origin", "CreateRoute", "State", "active"),
                          error);
}
