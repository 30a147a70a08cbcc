#include "model/default_network.h"
#include "base/errors.h"
#include "base/id.h"

#include <arpa/inet.h>
#include <string.h>

#define ZONE_BITS       4 /* sixteen zones */
#define RESERVED_FIRST  4
#define SMALLEST_PREFIX 8
#define LARGEST_PREFIX  24

void default_network_free(DefaultNetwork *net)
{
    if (!net)
        return;
    g_free(net->vpc_id);
    g_free(net->group_id);
    g_free(net->gateway_id);
    g_free(net->route_table_id);
    g_free(net->acl_id);
    g_free(net->dhcp_options_id);
    g_free(net->cidr);
    g_free(net);
}

void default_subnet_free(DefaultSubnet *subnet)
{
    if (!subnet)
        return;
    g_free(subnet->id);
    g_free(subnet->zone_name);
    g_free(subnet->cidr);
    g_free(subnet->base);
    g_free(subnet);
}

static char *dotted(guint32 address)
{
    struct in_addr in = { .s_addr = htonl(address) };
    char text[INET_ADDRSTRLEN];

    return g_strdup(inet_ntop(AF_INET, &in, text, sizeof text));
}

static gboolean parse_cidr(const char *cidr, guint32 *ret_base, guint *ret_prefix)
{
    g_auto(GStrv) parts = g_strsplit(cidr, "/", 2);
    struct in_addr in;
    guint64 prefix = 0;

    if (!parts[0] || !parts[1] || inet_pton(AF_INET, parts[0], &in) != 1 ||
        !g_ascii_string_to_unsigned(parts[1], 10, SMALLEST_PREFIX, LARGEST_PREFIX, &prefix, NULL))
        return FALSE;
    *ret_prefix = (guint)prefix;
    *ret_base = ntohl(in.s_addr) & (0xffffffffu << (32 - prefix));
    return TRUE;
}

static char *derived(const char *prefix, const char *account_id, const char *region,
                     const char *what)
{
    return id_ec2_derived(prefix, (const char *const[]){ account_id, region, what, NULL });
}

DefaultNetwork *default_network_new(const char *account_id, const char *region, const char *cidr,
                                    GError **error)
{
    g_autoptr(DefaultNetwork) net = g_new0(DefaultNetwork, 1);

    if (!parse_cidr(cidr, &net->base, &net->prefix))
        return fail_null(error, CONFIG, "network_cidr \"%s\" is no block from /%d to /%d", cidr,
                         SMALLEST_PREFIX, LARGEST_PREFIX);
    g_autofree char *base = dotted(net->base);
    net->cidr = g_strdup_printf("%s/%u", base, net->prefix);
    net->vpc_id = derived("vpc", account_id, region, "default");
    net->group_id = derived("sg", account_id, region, "default");
    net->gateway_id = derived("igw", account_id, region, "default");
    net->route_table_id = derived("rtb", account_id, region, "default");
    net->acl_id = derived("acl", account_id, region, "default");
    net->dhcp_options_id = derived("dopt", account_id, region, "default");
    return g_steal_pointer(&net);
}

DefaultSubnet *default_subnet_new(const DefaultNetwork *net, const char *account_id,
                                  const char *region, const char *zone_name, GError **error)
{
    gsize length = strlen(zone_name);
    gint place = length ? zone_name[length - 1] - 'a' : -1;
    guint prefix = net->prefix + ZONE_BITS;

    if (place < 0 || place >= 1 << ZONE_BITS)
        return fail_null(error, INVALID_PARAMETER,
                         "zone \"%s\" must end in a letter from a to %c: %s has room for %d zones",
                         zone_name, 'a' + (1 << ZONE_BITS) - 1, net->cidr, 1 << ZONE_BITS);
    DefaultSubnet *subnet = g_new0(DefaultSubnet, 1);
    subnet->id = derived("subnet", account_id, region, zone_name);
    subnet->zone_name = g_strdup(zone_name);
    subnet->base = dotted(net->base + ((guint32)place << (32 - prefix)));
    subnet->cidr = g_strdup_printf("%s/%u", subnet->base, prefix);
    subnet->first = RESERVED_FIRST;
    subnet->last = (1 << (32 - prefix)) - 2;
    return subnet;
}

char *default_network_gateway(const DefaultNetwork *net)
{
    return dotted(net->base + 1);
}

char *default_network_mac(const char *ip)
{
    guint8 b[4];

    if (inet_pton(AF_INET, ip, b) != 1)
        return NULL;
    return g_strdup_printf("06:be:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3]);
}

char *default_network_dns_name(const char *ip, const char *region)
{
    g_autofree char *dashed = g_strdelimit(g_strdup(ip), ".", '-');

    if (strcmp(region, "us-east-1") == 0)
        return g_strdup_printf("ip-%s.ec2.internal", dashed);
    return g_strdup_printf("ip-%s.%s.compute.internal", dashed, region);
}
