/*
 * drivers/hyper_xml.h - the XML documents libvirt is given, written by libxml2
 *
 * Pure: records in, text out; every value goes through the writer, so no value can become an
 * element. Never qemu:commandline. Callers free results.
 * Source: libvirt "Domain XML format", "Network XML format", "Storage pool and volume XML format".
 */
#pragma once

#include "drivers/hyper.h"

#include <netinet/in.h>

#define HYPER_SEED_DEVICE "vdb"

/* Where a domain's parts lie on its host, as the driver looked them up. */
typedef struct {
    const char *disk_path;
    const char *seed_path;
    const char *kernel_path; /* NULL: boots from its disk */
    const char *initrd_path;
    const char *console_path;
    const char *host_key_path;
} HyperPaths;

char *hyper_domain_xml(const HyperSettings *settings, const HyperDomain *domain,
                       const HyperPaths *paths);
/* A guest that shows whether KVM works: boots image_path, writes its serial line to log_path. */
char *hyper_trial_xml(const HyperSettings *settings, const char *name, const char *image_path,
                      const char *log_path);
char *hyper_pool_xml(const char *name, const char *uuid, const char *path);
/* backing_path and backing_format may be NULL. */
char *hyper_volume_xml(const char *name, const char *format, guint64 bytes,
                       const char *backing_path, const char *backing_format);
/* NULL with CONFIG when the settings' CIDR is not an IPv4 network of 4 to 2^24 addresses. */
char *hyper_network_xml(const HyperSettings *settings, const char *name, const char *uuid,
                        GError **error);
char *hyper_dhcp_host_xml(const char *mac, const char *ip);

/* The install uuid in a domain's description, or NULL when the domain is not ours; *ret_name, may
 * be NULL, is what we called it. Both to be freed. */
char *hyper_domain_owner(const char *domain_xml, char **ret_name);
/* The uuid of a host's capabilities, or NULL. */
char *hyper_capabilities_host(const char *capabilities_xml);
/* The address of a network's bridge, or NULL. */
char *hyper_network_mac(const char *network_xml);
/* mac -> ip of a network description's host entries. */
GHashTable *hyper_network_hosts(const char *network_xml);
