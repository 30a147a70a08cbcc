/* Explain of an instance type or a zone: how many more would fit on each host now, or why none. */
#include "handlers/explain.h"
#include "base/errors.h"
#include "model/capacity.h"
#include "store/hosts.h"
#include "store/instance_types.h"

#include <string.h>

#define ROOM_MAX 1000000

/* A section for the zone: a fact a host. Returns how many fit in all. */
static guint zone_room(Explanation *e, const GPtrArray *hosts, const char *zone_name,
                       const CapacityNeed *need)
{
    guint all = 0;

    explanation_section(e, zone_name);
    for (guint n = 0; n < hosts->len; n++) {
        Host *host = hosts->pdata[n];
        if (strcmp(host->zone_name, zone_name) != 0)
            continue;
        guint room = capacity_room(&host, 1, need, ROOM_MAX);
        g_autofree char *why = capacity_refusal(host, need);
        g_autofree char *text = why ? g_strdup(why) : g_strdup_printf("takes %u more", room);
        explanation_fact(e, host->id, text);
        all += room;
    }
    return all;
}

gboolean explain_type(Request *rq, const char *id, Explanation *e, gboolean *ret_mine,
                      GError **error)
{
    g_autoptr(InstanceType) type = NULL;
    guint all = 0;

    if (!instance_types_find(rq->tx, id, &type, error))
        return FALSE;
    *ret_mine = type != NULL;
    if (!type)
        return TRUE;
    CapacityNeed need = { type->architecture, type->vcpus, type->memory_mib, FALSE };
    g_autoptr(GPtrArray) zones = zones_list(rq->tx, error);
    g_autoptr(GPtrArray) hosts = zones ? hosts_list(rq->tx, NULL, FALSE, error) : NULL;
    if (!hosts)
        return FALSE;
    explanation_section(e, "Needs");
    explanation_int(e, "vCPUs", type->vcpus);
    explanation_int(e, "MiB", type->memory_mib);
    explanation_fact(e, "architecture", type->architecture);
    for (guint n = 0; n < zones->len; n++)
        all += zone_room(e, hosts, ((Zone *)zones->pdata[n])->zone_name, &need);
    g_autofree char *summary = all ? g_strdup_printf("%u more instances of it would fit now", all)
                                   : g_strdup("no host takes an instance of it now; each says why");
    explanation_set(e, "instance type", summary);
    return TRUE;
}

gboolean explain_zone(Request *rq, const char *id, Explanation *e, gboolean *ret_mine,
                      GError **error)
{
    g_autoptr(GPtrArray) zones = zones_list(rq->tx, error);
    g_autoptr(GPtrArray) hosts = zones ? hosts_list(rq->tx, id, FALSE, error) : NULL;
    const Zone *zone = NULL;

    if (!hosts)
        return FALSE;
    for (guint n = 0; n < zones->len; n++)
        if (strcmp(((Zone *)zones->pdata[n])->zone_name, id) == 0)
            zone = zones->pdata[n];
    *ret_mine = zone != NULL;
    if (!zone)
        return TRUE;
    g_autofree char *summary = g_strdup_printf("%s, with %u hosts", zone->state, hosts->len);
    explanation_set(e, "zone", summary);
    for (guint n = 0; n < hosts->len; n++) {
        const Host *host = hosts->pdata[n];
        explanation_section(e, host->id);
        explanation_fact(e, "state", host->state);
        explanation_fact(e, "wanted", host->desired);
        explanation_fact(e, "fault", host->fault);
        explanation_int(e, "vCPUs it may hold", capacity_vcpus(host));
        explanation_int(e, "vCPUs held", host->used_vcpus);
        explanation_int(e, "MiB it may hold", capacity_memory_mib(host));
        explanation_int(e, "MiB held", host->used_memory_mib);
    }
    return TRUE;
}
