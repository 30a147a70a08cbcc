#include "reconcile/seed.h"
#include "drivers/seed_iso.h"
#include "model/default_network.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static char *host_name(const Instance *i, const char *region)
{
    char *name = default_network_dns_name(i->private_ip, region);

    name[strcspn(name, ".")] = '\0';
    return name;
}

/* JSON is YAML, so every reader of NoCloud takes it. */
static char *meta_data(const Instance *i, const char *region, const char *management_key)
{
    g_autofree char *host = host_name(i, region);
    json_auto_t *keys = json_array();

    if (i->public_key)
        json_array_append_new(keys, json_string(i->public_key));
    json_array_append_new(keys, json_string(management_key));
    json_auto_t *tree = json_pack("{s:s, s:s, s:O}", "instance-id", i->id, "local-hostname", host,
                                  "public-keys", keys);
    return json_dumps(tree, JSON_INDENT(1));
}

static char *network_config(const Instance *i)
{
    json_auto_t *tree = json_pack("{s:i, s:{s:{s:{s:s}, s:b}}}", "version", 2, "ethernets",
                                  "primary", "match", "macaddress", i->mac, "dhcp4", 1);

    return json_dumps(tree, JSON_INDENT(1));
}

guint8 *seed_build(const Instance *instance, const char *region, const char *management_key,
                   GBytes *user_data, gsize *ret_length)
{
    char *meta = meta_data(instance, region, management_key);
    char *network = network_config(instance);
    gsize length = 0;
    const void *data = user_data ? g_bytes_get_data(user_data, &length) : NULL;
    SeedFile files[] = {
        { "meta-data", meta, strlen(meta) },
        { "network-config", network, strlen(network) },
        { "user-data", data, length },
    };
    guint8 *disk = seed_iso("cidata", files, G_N_ELEMENTS(files), ret_length);

    free(meta);
    free(network);
    return disk;
}
