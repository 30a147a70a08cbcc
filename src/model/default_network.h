/*
 * model/default_network.h - the default VPC, its subnets and its security group: derived, never
 * stored
 *
 * Each account sees a VPC of its own ids over one flat block of addresses (config network_cidr).
 * A zone's subnet is the block's sixteenth that its last letter names (a: the first), so that a
 * zone which is added moves nobody's addresses. In each subnet the first four addresses and the
 * last are kept back; the first after the block's own is the gateway on every host.
 * Source: EC2 User Guide "Default VPCs"; VPC User Guide "Subnet CIDR blocks".
 */
#pragma once

#include <glib.h>

typedef struct {
    char *vpc_id;
    char *group_id; /* security group "default" */
    char *gateway_id;
    char *route_table_id;
    char *acl_id;
    char *dhcp_options_id;
    char *cidr;
    guint32 base; /* host byte order */
    guint prefix;
} DefaultNetwork;

typedef struct {
    char *id;
    char *zone_name;
    char *cidr;
    char *base; /* dotted */
    gint first; /* offsets from base that may be given to instances */
    gint last;
} DefaultSubnet;

void default_network_free(DefaultNetwork *net);
void default_subnet_free(DefaultSubnet *subnet);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DefaultNetwork, default_network_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DefaultSubnet, default_subnet_free)

/* Error: CONFIG when cidr is no block from /8 to /24. */
DefaultNetwork *default_network_new(const char *account_id, const char *region, const char *cidr,
                                    GError **error);
/* Error: INVALID_PARAMETER when the zone's letter has no place in the block. */
DefaultSubnet *default_subnet_new(const DefaultNetwork *net, const char *account_id,
                                  const char *region, const char *zone_name, GError **error);

/* The hosts' own address in the block: base + 1. Caller frees. */
char *default_network_gateway(const DefaultNetwork *net);
/* "06:be:ac:1f:00:04" for 172.31.0.4: unique as the address is. Caller frees; NULL for no address.
 */
char *default_network_mac(const char *ip);
/* "ip-172-31-0-4.home-1.compute.internal", as Amazon names them. Caller frees. */
char *default_network_dns_name(const char *ip, const char *region);
