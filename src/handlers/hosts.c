/* The admin service's zones and hosts. */
#include "handlers/ec2_common.h"
#include "handlers/table.h"
#include "base/errors.h"
#include "base/id.h"
#include "model/capacity.h"
#include "store/history.h"
#include "store/hosts.h"
#include "store/hosts_seen.h"

#include <string.h>

#define CPU_OVERCOMMIT    4.0
#define MEMORY_OVERCOMMIT 1.0
#define RESERVE_MIB       1024
#define OVERCOMMIT_MIN    0.1
#define CPU_MAX           64
#define MEMORY_MAX        8
#define LOOK_POLL_MS      500 /* while a host is looked for once more, before it is given up */
#define LOOK_WAIT_MS      30000

/* What the hosts of a zone add up to. */
typedef struct {
    gint hosts, instances;
    gint64 vcpus, memory_mib, used_vcpus, used_memory_mib;
} Sum;

static Sum sum_of(const GPtrArray *hosts, const char *zone_name)
{
    Sum sum = { 0 };

    for (guint n = 0; n < hosts->len; n++) {
        const Host *host = hosts->pdata[n];
        if (strcmp(host->zone_name, zone_name) != 0)
            continue;
        sum.hosts++;
        sum.instances += host->instances;
        sum.used_vcpus += host->used_vcpus;
        sum.used_memory_mib += host->used_memory_mib;
        if (strcmp(host->state, "up") == 0) {
            sum.vcpus += capacity_vcpus(host);
            sum.memory_mib += capacity_memory_mib(host);
        }
    }
    return sum;
}

static json_t *zone_json(const Request *rq, const Zone *z, const GPtrArray *hosts)
{
    Sum sum = sum_of(hosts, z->zone_name);

    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:i, s:I, s:i, s:I, s:I, s:I, s:I, s:i, s:I}",
                     "ZoneName", z->zone_name, "ZoneId", z->zone_id, "RegionName", rq->region,
                     "CpuOvercommit", z->cpu_overcommit, "MemoryOvercommit", z->memory_overcommit,
                     "ReserveVCpus", 0, "ReserveMemoryMiB", (json_int_t)z->reserve_mib, "Hosts",
                     sum.hosts, "CapacityVCpus", (json_int_t)sum.vcpus, "CapacityMemoryMiB",
                     (json_int_t)sum.memory_mib, "UsedVCpus", (json_int_t)sum.used_vcpus,
                     "UsedMemoryMiB", (json_int_t)sum.used_memory_mib, "Instances", sum.instances,
                     "CreatedAt", (json_int_t)z->created_us);
}

static json_t *zone_answer(Request *rq, const char *zone_name, GError **error)
{
    g_autoptr(Zone) zone = zones_get(rq->tx, zone_name, FALSE, error);
    g_autoptr(GPtrArray) hosts = zone ? hosts_list(rq->tx, zone_name, FALSE, error) : NULL;

    return hosts ? json_pack("{s:o}", "Zone", zone_json(rq, zone, hosts)) : NULL;
}

/* Takes what the request says over what zone has. */
static gboolean zone_read(const Request *rq, Zone *zone, GError **error)
{
    const json_t *cpu = request_member(rq, "CpuOvercommit");
    const json_t *memory = request_member(rq, "MemoryOvercommit");
    gint64 reserve = request_int(rq, "ReserveMemoryMiB", zone->reserve_mib);

    if (request_int(rq, "ReserveVCpus", 0) != 0)
        return fail(error, UNSUPPORTED, "ReserveVCpus is not supported here: only memory is kept");
    if (cpu)
        zone->cpu_overcommit = json_number_value(cpu);
    if (memory)
        zone->memory_overcommit = json_number_value(memory);
    if (zone->cpu_overcommit < OVERCOMMIT_MIN || zone->cpu_overcommit > CPU_MAX)
        return fail(error, INVALID_PARAMETER, "CpuOvercommit must be from %.1f to %d",
                    OVERCOMMIT_MIN, CPU_MAX);
    if (zone->memory_overcommit < OVERCOMMIT_MIN || zone->memory_overcommit > MEMORY_MAX)
        return fail(error, INVALID_PARAMETER, "MemoryOvercommit must be from %.1f to %d",
                    OVERCOMMIT_MIN, MEMORY_MAX);
    if (reserve < 0 || reserve > G_MAXINT)
        return fail(error, INVALID_PARAMETER, "ReserveMemoryMiB must not be negative");
    zone->reserve_mib = (gint)reserve;
    return TRUE;
}

/* A zone is its region's name and a letter, as clients cut the letter off to get the region. */
json_t *create_zone(Request *rq, GError **error)
{
    const char *name = request_text(rq, "ZoneName");
    g_autoptr(Zone) zone = g_new0(Zone, 1);
    gsize length = strlen(rq->region);

    if (strncmp(name, rq->region, length) != 0 || !g_ascii_islower(name[length]) ||
        name[length + 1])
        return fail_null(error, INVALID_PARAMETER,
                         "\"%s\" is no zone of region %s: it must be %s and one letter", name,
                         rq->region, rq->region);
    g_autoptr(DefaultNetwork) net = ec2_network(rq, error);
    g_autoptr(DefaultSubnet) subnet =
        net ? default_subnet_new(net, rq->account_id, rq->region, name, error) : NULL;
    if (!subnet)
        return NULL;
    zone->zone_name = g_strdup(name);
    zone->zone_id = zone_id_for(name);
    zone->cpu_overcommit = CPU_OVERCOMMIT;
    zone->memory_overcommit = MEMORY_OVERCOMMIT;
    zone->reserve_mib = RESERVE_MIB;
    if (!zone_read(rq, zone, error) || !zones_insert(rq->tx, zone, error))
        return NULL;
    return zone_answer(rq, name, error);
}

json_t *update_zone(Request *rq, GError **error)
{
    g_autoptr(Zone) zone = zones_get(rq->tx, request_text(rq, "ZoneName"), TRUE, error);

    if (!zone || !zone_read(rq, zone, error) || !zones_update(rq->tx, zone, error))
        return NULL;
    return zone_answer(rq, zone->zone_name, error);
}

json_t *describe_zones(Request *rq, GError **error)
{
    g_autofree const char **names = request_strings(rq, "ZoneNames");
    g_autoptr(GPtrArray) zones = zones_list(rq->tx, error);
    g_autoptr(GPtrArray) hosts = zones ? hosts_list(rq->tx, NULL, FALSE, error) : NULL;

    if (!hosts)
        return NULL;
    json_auto_t *items = json_array();
    for (guint n = 0; n < zones->len; n++) {
        const Zone *zone = zones->pdata[n];
        if (!names || g_strv_contains(names, zone->zone_name))
            json_array_append_new(items, zone_json(rq, zone, hosts));
    }
    for (const char **name = names; name && *name; name++) {
        g_autoptr(Zone) known = zones_get(rq->tx, *name, FALSE, error);
        if (!known)
            return NULL;
    }
    return json_pack("{s:O}", "Zones", items);
}

json_t *delete_zone(Request *rq, GError **error)
{
    g_autoptr(Zone) zone = zones_get(rq->tx, request_text(rq, "ZoneName"), TRUE, error);

    return zone && zones_delete(rq->tx, zone->zone_name, error) ? json_object() : NULL;
}

/* -- hosts */

static const char *health(const Host *host)
{
    if (strcmp(host->state, "up") == 0)
        return host->fault ? "DEGRADED" : "OK";
    return strcmp(host->state, "down") == 0 ? "DOWN" : "UNKNOWN";
}

static json_t *host_json(const Host *h)
{
    gboolean draining = strcmp(h->desired, "active") != 0;
    json_t *item = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:i, s:I}", "HostId", h->id,
        "Uri", h->uri, "ZoneName", h->zone_name, "State", draining ? "DRAINING" : "ACTIVE",
        "Health", health(h), "SharePercent", h->share_percent, "TotalVCpus", h->vcpus,
        "TotalMemoryMiB", (json_int_t)h->memory_mib, "CapacityVCpus", (json_int_t)capacity_vcpus(h),
        "CapacityMemoryMiB", (json_int_t)capacity_memory_mib(h), "UsedVCpus",
        (json_int_t)h->used_vcpus, "UsedMemoryMiB", (json_int_t)h->used_memory_mib, "Instances",
        h->instances, "CreatedAt", (json_int_t)h->created_us);

    if (h->fault)
        json_object_set_new(item, "Detail", json_string(h->fault));
    if (h->accelerator) {
        json_object_set_new(item, "Hypervisor", json_string(h->accelerator));
        json_object_set_new(item, "Accelerated", json_boolean(!strcmp(h->accelerator, "kvm")));
    }
    if (h->network)
        json_object_set_new(item, "Network",
                            json_string(strcmp(h->network, "here") == 0 ? "HERE" : "APART"));
    if (h->seen_us)
        json_object_set_new(item, "CheckedAt", json_integer(h->seen_us));
    return item;
}

static json_t *host_answer(Request *rq, const char *id, GError **error)
{
    g_autoptr(Host) host = hosts_get(rq->tx, id, FALSE, error);

    return host ? json_pack("{s:o}", "Host", host_json(host)) : NULL;
}

json_t *add_host(Request *rq, GError **error)
{
    g_autoptr(Zone) zone = zones_get(rq->tx, request_text(rq, "ZoneName"), FALSE, error);
    g_autofree char *fresh = id_ec2("h");

    if (!zone)
        return NULL;
    if (!strstr(request_text(rq, "Uri"), "://"))
        return fail_null(error, INVALID_PARAMETER,
                         "\"%s\" is no libvirt URI; a local host is qemu:///system",
                         request_text(rq, "Uri"));
    g_autofree char *id = hosts_insert(rq->tx, fresh, zone->zone_name, request_text(rq, "Uri"),
                                       (gint)request_int(rq, "SharePercent", 100), error);
    return id ? host_answer(rq, id, error) : NULL;
}

json_t *describe_hosts(Request *rq, GError **error)
{
    g_autofree const char **ids = request_strings(rq, "HostIds");
    g_autoptr(GPtrArray) hosts = hosts_list(rq->tx, request_text(rq, "ZoneName"), FALSE, error);

    if (!hosts)
        return NULL;
    json_auto_t *items = json_array();
    for (guint n = 0; n < hosts->len; n++) {
        const Host *host = hosts->pdata[n];
        if (!ids || g_strv_contains(ids, host->id))
            json_array_append_new(items, host_json(host));
    }
    for (const char **id = ids; id && *id; id++) {
        g_autoptr(Host) known = hosts_get(rq->tx, *id, FALSE, error);
        if (!known)
            return NULL;
    }
    return json_pack("{s:O}", "Hosts", items);
}

/* desired NULL: as it is, but looked at now. */
static json_t *desire(Request *rq, const char *desired, GError **error)
{
    g_autoptr(Host) host = hosts_get(rq->tx, request_text(rq, "HostId"), TRUE, error);

    if (!host)
        return NULL;
    if (strcmp(host->desired, "removed") == 0)
        return fail_null(error, ADMIN_IN_USE, "host \"%s\" is being removed", host->id);
    if (!hosts_desire(rq->tx, host->id, desired ? desired : host->desired, error))
        return NULL;
    return host_answer(rq, host->id, error);
}

json_t *check_host(Request *rq, GError **error)
{
    return desire(rq, NULL, error);
}

json_t *drain_host(Request *rq, GError **error)
{
    return desire(rq, "draining", error);
}

json_t *activate_host(Request *rq, GError **error)
{
    return desire(rq, "active", error);
}

/* Whether nothing on it can be reached, by a look that this call asked for; it is run anew until
 * there is the answer. */
static gboolean is_gone(Request *rq, const Host *host, gboolean *ret_gone, GError **error)
{
    *ret_gone = FALSE;
    if (!host->unreachable_us)
        return fail(error, ADMIN_IN_USE,
                    "host \"%s\" is %s and can be reached: terminate its instances instead",
                    host->id, host->state);
    if (rq->waited_ms >= LOOK_WAIT_MS)
        return fail(error, UNAVAILABLE, "nobody looked whether host \"%s\" is gone", host->id);
    if (!rq->waited_ms && !hosts_desire(rq->tx, host->id, host->desired, error))
        return FALSE;
    *ret_gone = rq->waited_ms && host->seen_generation >= host->check_generation;
    rq->again_ms = *ret_gone ? 0 : LOOK_POLL_MS;
    return TRUE;
}

/* Its instances end by their own steps, which know better than this call what they are doing. */
static gboolean lose(Request *rq, const Host *host, GError **error)
{
    g_autofree char *what =
        g_strdup_printf("given up as lost with %d instances by %s (request %s)", host->instances,
                        rq->identity->principal_arn, rq->request_id);
    gboolean gone = FALSE;

    if (strcmp(host->desired, "removed") == 0)
        return TRUE;
    if (!is_gone(rq, host, &gone, error))
        return FALSE;
    return !gone ||
           (hosts_lose(rq->tx, host->id, error) && hosts_wake_instances(rq->tx, host->id, error) &&
            history_add(rq->tx, "host", host->id, what, error));
}

json_t *remove_host(Request *rq, GError **error)
{
    g_autoptr(Host) host = hosts_get(rq->tx, request_text(rq, "HostId"), TRUE, error);

    if (!host)
        return NULL;
    if (request_bool(rq, "Lost", FALSE))
        return lose(rq, host, error) ? json_object() : NULL;
    g_autofree char *held = hosts_instances(rq->tx, host->id, error);
    if (!held)
        return NULL;
    if (*held)
        return fail_null(error, ADMIN_IN_USE, "host \"%s\" holds instances: %s", host->id, held);
    return hosts_desire(rq->tx, host->id, "removed", error) ? json_object() : NULL;
}
