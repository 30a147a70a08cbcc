#include "base/errors.h"
#include "drivers/hyper_internal.h"
#include "drivers/hyper_xml.h"

#include <string.h>

static char *network_name(const HyperSettings *settings)
{
    return g_strconcat(settings->name, "-net", NULL);
}

static gboolean network_is_ours(Hyper *hyper, virNetworkPtr network, const char *name,
                                GError **error)
{
    g_autofree char *expected = hyper_derived_uuid(hyper->settings, name);
    char uuid[VIR_UUID_STRING_BUFLEN];

    if (virNetworkGetUUIDString(network, uuid) < 0)
        return hyper_fail(hyper, error, "cannot read network \"%s\"", name);
    if (strcmp(uuid, expected) != 0)
        return fail(error, CONFIG,
                    "network \"%s\" on host \"%s\" was not made by this installation; choose "
                    "another name in [berth] name",
                    name, hyper->uri);
    return TRUE;
}

virNetworkPtr hyper_network(Hyper *hyper, GError **error)
{
    g_autofree char *name = network_name(hyper->settings);
    g_autoptr(virNetwork) network = virNetworkLookupByName(hyper->conn, name);

    if (!network) {
        hyper_fail(hyper, error, "cannot find network \"%s\"", name);
        return NULL;
    }
    if (!network_is_ours(hyper, network, name, error))
        return NULL;
    return g_steal_pointer(&network);
}

static virNetworkPtr network_define(Hyper *hyper, const char *name, GError **error)
{
    g_autofree char *uuid = hyper_derived_uuid(hyper->settings, name);
    g_autofree char *xml = hyper_network_xml(hyper->settings, name, uuid, error);

    if (!xml)
        return NULL;
    virNetworkPtr network = virNetworkDefineXML(hyper->conn, xml);
    if (!network)
        hyper_fail(hyper, error, "cannot make network \"%s\" on bridge \"%s\"", name,
                   hyper->settings->bridge);
    return network;
}

gboolean hyper_network_ensure(Hyper *hyper, GError **error)
{
    g_autofree char *name = network_name(hyper->settings);
    g_autoptr(virNetwork) network = virNetworkLookupByName(hyper->conn, name);

    if (!network && !hyper_last_is(VIR_ERR_NO_NETWORK))
        return hyper_fail(hyper, error, "cannot look for network \"%s\"", name);
    if (!network)
        network = network_define(hyper, name, error);
    if (!network || !network_is_ours(hyper, network, name, error))
        return FALSE;
    if (virNetworkSetAutostart(network, 1) < 0 ||
        (virNetworkIsActive(network) != 1 && virNetworkCreate(network) < 0 &&
         virNetworkIsActive(network) != 1)) /* another worker may start it first */
        return hyper_fail(hyper, error, "cannot start network \"%s\"", name);
    return TRUE;
}

gboolean hyper_network_remove(Hyper *hyper, GError **error)
{
    g_autofree char *name = network_name(hyper->settings);
    g_autoptr(virNetwork) network = virNetworkLookupByName(hyper->conn, name);

    if (!network && hyper_last_is(VIR_ERR_NO_NETWORK))
        return TRUE;
    if (!network)
        return hyper_fail(hyper, error, "cannot look for network \"%s\"", name);
    if (!network_is_ours(hyper, network, name, error))
        return FALSE;
    if (virNetworkIsActive(network) == 1 && virNetworkDestroy(network) < 0)
        return hyper_fail(hyper, error, "cannot stop network \"%s\"", name);
    return virNetworkUndefine(network) == 0 ||
           hyper_fail(hyper, error, "cannot undefine network \"%s\"", name);
}

gboolean hyper_network_here(Hyper *hyper, gboolean *ret_here, GError **error)
{
    g_autofree char *file =
        g_build_filename("/sys/class/net", hyper->settings->bridge, "address", NULL);
    g_autoptr(virNetwork) network = hyper_network(hyper, error);
    char *xml = network ? virNetworkGetXMLDesc(network, 0) : NULL;
    g_autofree char *mac = xml ? hyper_network_mac(xml) : NULL;
    g_autofree char *own = NULL;

    free(xml);
    if (!network)
        return FALSE;
    if (!xml)
        return hyper_fail(hyper, error, "cannot read the network's description");
    /* each host's libvirt chose the address of its bridge by chance */
    *ret_here = mac && g_file_get_contents(file, &own, NULL, NULL) &&
                g_ascii_strcasecmp(mac, g_strstrip(own)) == 0;
    return TRUE;
}

static GHashTable *network_hosts(Hyper *hyper, virNetworkPtr network, guint flags, GError **error)
{
    char *xml = virNetworkGetXMLDesc(network, flags);

    if (!xml) {
        hyper_fail(hyper, error, "cannot read the network's addresses");
        return NULL;
    }
    GHashTable *hosts = hyper_network_hosts(xml);
    free(xml);
    return hosts;
}

GHashTable *hyper_addresses(Hyper *hyper, GError **error)
{
    g_autoptr(virNetwork) network = hyper_network(hyper, error);

    return network ? network_hosts(hyper, network, 0, error) : NULL;
}

static gboolean host_update(Hyper *hyper, virNetworkPtr network, guint command, const char *mac,
                            const char *ip, GError **error)
{
    g_autofree char *xml = hyper_dhcp_host_xml(mac, ip);

    if (virNetworkUpdate(network, command, VIR_NETWORK_SECTION_IP_DHCP_HOST, -1, xml,
                         VIR_NETWORK_UPDATE_AFFECT_LIVE | VIR_NETWORK_UPDATE_AFFECT_CONFIG) == 0)
        return TRUE;
    return hyper_fail(hyper, error, "cannot change the DHCP entry of %s", mac);
}

/* Takes out an entry of this mac whatever its address, and one of this address. */
static gboolean hosts_clear(Hyper *hyper, virNetworkPtr network, const char *mac, const char *ip,
                            GError **error)
{
    g_autoptr(GHashTable) hosts = network_hosts(hyper, network, 0, error);
    GHashTableIter each;
    gpointer key, value;

    if (!hosts)
        return FALSE;
    g_hash_table_iter_init(&each, hosts);
    while (g_hash_table_iter_next(&each, &key, &value))
        if ((g_ascii_strcasecmp(key, mac) == 0 || (ip && g_strcmp0(value, ip) == 0)) &&
            !host_update(hyper, network, VIR_NETWORK_UPDATE_COMMAND_DELETE, key, value, error))
            return FALSE;
    return TRUE;
}

gboolean hyper_address_add(Hyper *hyper, const char *mac, const char *ip, GError **error)
{
    g_autoptr(virNetwork) network = hyper_network(hyper, error);
    g_autoptr(GHashTable) hosts = network ? network_hosts(hyper, network, 0, error) : NULL;

    if (!hosts)
        return FALSE;
    if (g_strcmp0(g_hash_table_lookup(hosts, mac), ip) == 0)
        return TRUE;
    return hosts_clear(hyper, network, mac, ip, error) &&
           host_update(hyper, network, VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, mac, ip, error);
}

gboolean hyper_address_remove(Hyper *hyper, const char *mac, GError **error)
{
    g_autoptr(virNetwork) network = hyper_network(hyper, error);

    return network && hosts_clear(hyper, network, mac, NULL, error);
}
