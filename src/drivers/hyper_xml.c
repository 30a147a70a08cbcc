#include "drivers/hyper_xml.h"
#include "base/errors.h"
#include "drivers/hyper_internal.h"

#include <arpa/inet.h>
#include <libxml/parser.h>
#include <libxml/xmlwriter.h>
#include <stdarg.h>
#include <string.h>

#define TB_CACHE_MIB 256 /* QEMU's own default can grow to a quarter of the host */
#define PARSE_FLAGS  (XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING)

/* ---- writing */

typedef struct {
    xmlBufferPtr buffer;
    xmlTextWriterPtr writer;
} Xml;

static Xml xml_begin(void)
{
    Xml xml = { .buffer = xmlBufferCreate() };

    xml.writer = xmlNewTextWriterMemory(xml.buffer, 0);
    xmlTextWriterSetIndent(xml.writer, 1);
    return xml;
}

static char *xml_end(Xml *xml)
{
    xmlTextWriterEndDocument(xml->writer);
    xmlFreeTextWriter(xml->writer);
    char *text = g_strdup((const char *)xmlBufferContent(xml->buffer));
    xmlBufferFree(xml->buffer);
    return text;
}

/* Opens an element; then pairs of attribute and value up to NULL. A NULL value leaves its
 * attribute out. */
static void xml_attributes(Xml *xml, const char *name, va_list args)
{
    const char *key;

    xmlTextWriterStartElement(xml->writer, BAD_CAST name);
    while ((key = va_arg(args, const char *))) {
        const char *value = va_arg(args, const char *);
        if (value)
            xmlTextWriterWriteAttribute(xml->writer, BAD_CAST key, BAD_CAST value);
    }
}

static void open_element(Xml *xml, const char *name, ...) G_GNUC_NULL_TERMINATED;
static void open_element(Xml *xml, const char *name, ...)
{
    va_list args;

    va_start(args, name);
    xml_attributes(xml, name, args);
    va_end(args);
}

static void close_element(Xml *xml)
{
    xmlTextWriterEndElement(xml->writer);
}

static void empty_element(Xml *xml, const char *name, ...) G_GNUC_NULL_TERMINATED;
static void empty_element(Xml *xml, const char *name, ...)
{
    va_list args;

    va_start(args, name);
    xml_attributes(xml, name, args);
    va_end(args);
    close_element(xml);
}

static void text_element(Xml *xml, const char *name, const char *text, ...) G_GNUC_NULL_TERMINATED;
static void text_element(Xml *xml, const char *name, const char *text, ...)
{
    va_list args;

    va_start(args, text);
    xml_attributes(xml, name, args);
    va_end(args);
    xmlTextWriterWriteString(xml->writer, BAD_CAST text);
    close_element(xml);
}

static void number_element(Xml *xml, const char *name, guint64 number, const char *unit)
{
    char text[24];

    g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, number);
    text_element(xml, name, text, "unit", unit, NULL);
}

/* ---- domains */

static void write_owner(Xml *xml, const HyperSettings *settings, const char *name)
{
    open_element(xml, "metadata", NULL);
    empty_element(xml, "berth:owner", "xmlns:berth", HYPER_METADATA_URI, "installation",
                  settings->install_uuid, "name", name, NULL);
    close_element(xml);
}

/* A guest that looks like EC2's to cloud-init: serial equal to the uuid, which begins with ec2. */
static void write_sysinfo(Xml *xml, const HyperDomain *domain)
{
    open_element(xml, "sysinfo", "type", "smbios", NULL);
    open_element(xml, "system", NULL);
    text_element(xml, "entry", "Berth", "name", "manufacturer", NULL);
    text_element(xml, "entry", domain->uuid, "name", "serial", NULL);
    text_element(xml, "entry", domain->uuid, "name", "uuid", NULL);
    close_element(xml);
    open_element(xml, "chassis", NULL);
    text_element(xml, "entry", domain->name, "name", "asset", NULL);
    close_element(xml);
    close_element(xml);
}

static void write_boot(Xml *xml, const HyperDomain *domain, const HyperPaths *paths)
{
    open_element(xml, "os", NULL);
    text_element(xml, "type", "hvm", "arch", domain->architecture, "machine", "q35", NULL);
    if (paths->kernel_path) {
        text_element(xml, "kernel", paths->kernel_path, NULL);
        if (paths->initrd_path)
            text_element(xml, "initrd", paths->initrd_path, NULL);
        if (domain->cmdline)
            text_element(xml, "cmdline", domain->cmdline, NULL);
    } else {
        empty_element(xml, "boot", "dev", "hd", NULL);
    }
    empty_element(xml, "smbios", "mode", "sysinfo", NULL);
    close_element(xml);
}

static void write_features(Xml *xml, Accelerator accelerator)
{
    open_element(xml, "features", NULL);
    empty_element(xml, "acpi", NULL);
    empty_element(xml, "apic", NULL);
    if (accelerator == ACCELERATOR_TCG) {
        open_element(xml, "tcg", NULL);
        number_element(xml, "tb-cache", TB_CACHE_MIB, "MiB");
        close_element(xml);
    }
    close_element(xml);
    if (accelerator == ACCELERATOR_KVM)
        empty_element(xml, "cpu", "mode", "host-passthrough", NULL);
    else
        empty_element(xml, "cpu", "mode", "maximum", NULL);
}

static void write_disk(Xml *xml, const char *path, const char *format, const char *target,
                       gboolean read_only, const char *serial)
{
    open_element(xml, "disk", "type", "file", "device", "disk", NULL);
    empty_element(xml, "driver", "name", "qemu", "type", format, "discard",
                  read_only ? NULL : "unmap", NULL);
    empty_element(xml, "source", "file", path, NULL);
    empty_element(xml, "target", "dev", target, "bus", "virtio", NULL);
    if (read_only)
        empty_element(xml, "readonly", NULL);
    text_element(xml, "serial", serial, NULL);
    close_element(xml);
}

static void write_network(Xml *xml, const HyperSettings *settings, const HyperDomain *domain)
{
    g_autofree char *network = g_strconcat(settings->name, "-net", NULL);

    open_element(xml, "interface", "type", "network", NULL);
    empty_element(xml, "mac", "address", domain->mac, NULL);
    empty_element(xml, "source", "network", network, NULL);
    empty_element(xml, "model", "type", "virtio", NULL);
    if (domain->ip) {
        /* a guest sends from no address but its own: who asks for metadata is told by that */
        open_element(xml, "filterref", "filter", "clean-traffic", NULL);
        empty_element(xml, "parameter", "name", "IP", "value", domain->ip, NULL);
        close_element(xml);
    }
    close_element(xml);
}

/* The console's log and the host key's file: appended by virtlogd, which bounds them. */
static void write_ports(Xml *xml, const HyperPaths *paths)
{
    open_element(xml, "serial", "type", "file", NULL);
    empty_element(xml, "source", "path", paths->console_path, "append", "on", NULL);
    empty_element(xml, "target", "port", "0", NULL);
    close_element(xml);
    if (!paths->host_key_path)
        return;
    open_element(xml, "channel", "type", "file", NULL);
    empty_element(xml, "source", "path", paths->host_key_path, "append", "off", NULL);
    empty_element(xml, "target", "type", "virtio", "name", "org.berth.hostkey", NULL);
    close_element(xml);
}

static void write_devices(Xml *xml, const HyperSettings *settings, const HyperDomain *domain,
                          const HyperPaths *paths)
{
    open_element(xml, "devices", NULL);
    write_disk(xml, paths->disk_path, "qcow2", "vda", FALSE, "root");
    if (paths->seed_path)
        write_disk(xml, paths->seed_path, "raw", HYPER_SEED_DEVICE, TRUE, "seed");
    write_network(xml, settings, domain);
    write_ports(xml, paths);
    open_element(xml, "rng", "model", "virtio", NULL);
    text_element(xml, "backend", "/dev/urandom", "model", "random", NULL);
    close_element(xml);
    empty_element(xml, "memballoon", "model", "virtio", NULL);
    close_element(xml);
}

static const char *domain_type(Accelerator accelerator)
{
    return accelerator == ACCELERATOR_KVM ? "kvm" : "qemu";
}

char *hyper_domain_xml(const HyperSettings *settings, const HyperDomain *domain,
                       const HyperPaths *paths)
{
    g_autofree char *name = g_strjoin("-", settings->name, domain->name, NULL);
    Xml xml = xml_begin();

    open_element(&xml, "domain", "type", domain_type(domain->accelerator), NULL);
    text_element(&xml, "name", name, NULL);
    text_element(&xml, "uuid", domain->uuid, NULL);
    write_owner(&xml, settings, domain->name);
    number_element(&xml, "memory", domain->memory_mib, "MiB");
    number_element(&xml, "vcpu", domain->vcpus, NULL);
    write_sysinfo(&xml, domain);
    write_boot(&xml, domain, paths);
    write_features(&xml, domain->accelerator);
    empty_element(&xml, "clock", "offset", "utc", NULL);
    text_element(&xml, "on_poweroff", "destroy", NULL);
    text_element(&xml, "on_reboot", "restart", NULL);
    text_element(&xml, "on_crash", "destroy", NULL);
    write_devices(&xml, settings, domain, paths);
    close_element(&xml);
    return xml_end(&xml);
}

char *hyper_trial_xml(const HyperSettings *settings, const char *name, const char *image_path,
                      const char *log_path)
{
    HyperDomain domain = { .name = name, .architecture = "x86_64" };
    HyperPaths paths = { .console_path = log_path };
    g_autofree char *full = g_strjoin("-", settings->name, name, NULL);
    Xml xml = xml_begin();

    open_element(&xml, "domain", "type", "kvm", NULL);
    text_element(&xml, "name", full, NULL);
    write_owner(&xml, settings, name);
    number_element(&xml, "memory", 64, "MiB");
    number_element(&xml, "vcpu", 1, NULL);
    open_element(&xml, "os", NULL);
    text_element(&xml, "type", "hvm", "arch", domain.architecture, "machine", "q35", NULL);
    empty_element(&xml, "boot", "dev", "hd", NULL);
    close_element(&xml);
    write_features(&xml, ACCELERATOR_KVM);
    open_element(&xml, "devices", NULL);
    write_disk(&xml, image_path, "raw", "vda", TRUE, "trial");
    write_ports(&xml, &paths);
    empty_element(&xml, "memballoon", "model", "none", NULL);
    close_element(&xml);
    close_element(&xml);
    return xml_end(&xml);
}

/* ---- pools, volumes, networks */

char *hyper_pool_xml(const char *name, const char *uuid, const char *path)
{
    Xml xml = xml_begin();

    open_element(&xml, "pool", "type", "dir", NULL);
    text_element(&xml, "name", name, NULL);
    text_element(&xml, "uuid", uuid, NULL);
    open_element(&xml, "target", NULL);
    text_element(&xml, "path", path, NULL);
    open_element(&xml, "permissions", NULL);
    text_element(&xml, "mode", "0711", NULL);
    close_element(&xml);
    close_element(&xml);
    close_element(&xml);
    return xml_end(&xml);
}

char *hyper_volume_xml(const char *name, const char *format, guint64 bytes,
                       const char *backing_path, const char *backing_format)
{
    Xml xml = xml_begin();

    open_element(&xml, "volume", NULL);
    text_element(&xml, "name", name, NULL);
    number_element(&xml, "capacity", bytes, "bytes");
    if (strcmp(format, "raw") == 0)
        number_element(&xml, "allocation", 0, "bytes");
    open_element(&xml, "target", NULL);
    empty_element(&xml, "format", "type", format, NULL);
    close_element(&xml);
    if (backing_path) {
        open_element(&xml, "backingStore", NULL);
        text_element(&xml, "path", backing_path, NULL);
        empty_element(&xml, "format", "type", backing_format, NULL);
        close_element(&xml);
    }
    close_element(&xml);
    return xml_end(&xml);
}

static gboolean cidr_parse(const char *cidr, guint32 *ret_base, guint *ret_prefix)
{
    g_auto(GStrv) parts = g_strsplit(cidr, "/", 2);
    struct in_addr base;
    guint64 prefix = 0;

    if (g_strv_length(parts) != 2 || inet_pton(AF_INET, parts[0], &base) != 1 ||
        !g_ascii_string_to_unsigned(parts[1], 10, 8, 30, &prefix, NULL))
        return FALSE;
    *ret_base = ntohl(base.s_addr);
    *ret_prefix = (guint)prefix;
    return (*ret_base & (G_MAXUINT32 >> prefix)) == 0;
}

char *hyper_network_xml(const HyperSettings *settings, const char *name, const char *uuid,
                        GError **error)
{
    guint32 base = 0;
    guint prefix = 0;
    char gateway[INET_ADDRSTRLEN], digits[8];

    if (!cidr_parse(settings->cidr, &base, &prefix))
        return fail_null(error, CONFIG, "\"%s\" is not an IPv4 network from /8 to /30",
                         settings->cidr);
    struct in_addr address = { .s_addr = htonl(base + 1) };
    inet_ntop(AF_INET, &address, gateway, sizeof gateway);
    g_snprintf(digits, sizeof digits, "%u", prefix);
    Xml xml = xml_begin();
    open_element(&xml, "network", NULL);
    text_element(&xml, "name", name, NULL);
    text_element(&xml, "uuid", uuid, NULL);
    empty_element(&xml, "forward", "mode", "nat", NULL);
    empty_element(&xml, "bridge", "name", settings->bridge, "stp", "off", "delay", "0", NULL);
    open_element(&xml, "ip", "family", "ipv4", "address", gateway, "prefix", digits, NULL);
    /* the gateway's own entry: dnsmasq serves DHCP, and to nobody without an entry */
    open_element(&xml, "dhcp", NULL);
    empty_element(&xml, "host", "mac", HYPER_GATEWAY_MAC, "ip", gateway, NULL);
    close_element(&xml);
    close_element(&xml);
    empty_element(&xml, "ip", "family", "ipv4", "address", HYPER_METADATA_ADDRESS, "prefix", "32",
                  NULL);
    close_element(&xml);
    return xml_end(&xml);
}

char *hyper_dhcp_host_xml(const char *mac, const char *ip)
{
    Xml xml = xml_begin();

    empty_element(&xml, "host", "mac", mac, "ip", ip, NULL);
    return xml_end(&xml);
}

/* ---- reading what libvirt describes */

static xmlNode *child_named(xmlNode *parent, const char *name)
{
    for (xmlNode *node = parent ? parent->children : NULL; node; node = node->next)
        if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0)
            return node;
    return NULL;
}

static char *attribute(xmlNode *node, const char *name)
{
    xmlChar *value = xmlGetNoNsProp(node, BAD_CAST name);
    char *copy = g_strdup((const char *)value);

    xmlFree(value);
    return copy;
}

/* NULL for what is no XML. Caller frees with xmlFreeDoc. */
static xmlDoc *read_xml(const char *text)
{
    return xmlReadMemory(text, (int)strlen(text), NULL, NULL, PARSE_FLAGS);
}

char *hyper_domain_owner(const char *domain_xml, char **ret_name)
{
    xmlDoc *document = read_xml(domain_xml);
    xmlNode *owner = NULL;
    char *installation = NULL;

    if (!document)
        return NULL;
    owner = child_named(child_named(xmlDocGetRootElement(document), "metadata"), "owner");
    if (owner && owner->ns && strcmp((const char *)owner->ns->href, HYPER_METADATA_URI) == 0) {
        installation = attribute(owner, "installation");
        if (ret_name)
            *ret_name = attribute(owner, "name");
    }
    xmlFreeDoc(document);
    return installation;
}

char *hyper_capabilities_host(const char *capabilities_xml)
{
    xmlDoc *document = read_xml(capabilities_xml);
    xmlNode *host = document ? child_named(xmlDocGetRootElement(document), "host") : NULL;
    xmlNode *node = child_named(host, "uuid");
    xmlChar *text = node ? xmlNodeGetContent(node) : NULL;
    char *uuid = g_strdup((const char *)text);

    xmlFree(text);
    xmlFreeDoc(document);
    return uuid;
}

char *hyper_network_mac(const char *network_xml)
{
    xmlDoc *document = read_xml(network_xml);
    xmlNode *node = document ? child_named(xmlDocGetRootElement(document), "mac") : NULL;
    char *mac = node ? attribute(node, "address") : NULL;

    xmlFreeDoc(document);
    return mac;
}

GHashTable *hyper_network_hosts(const char *network_xml)
{
    GHashTable *hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    xmlDoc *document = read_xml(network_xml);
    xmlNode *dhcp = NULL;

    if (!document)
        return hosts;
    dhcp = child_named(child_named(xmlDocGetRootElement(document), "ip"), "dhcp");
    for (xmlNode *node = dhcp ? dhcp->children : NULL; node; node = node->next)
        if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, "host") == 0)
            g_hash_table_insert(hosts, attribute(node, "mac"), attribute(node, "ip"));
    xmlFreeDoc(document);
    return hosts;
}
