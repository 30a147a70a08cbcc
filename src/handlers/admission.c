#include "handlers/admission.h"
#include "base/errors.h"
#include "store/hosts.h"

void admission_clear(Admission *admission)
{
    g_clear_pointer(&admission->zone_name, g_free);
    g_clear_pointer(&admission->hosts, g_ptr_array_unref);
    g_clear_pointer(&admission->choice, g_free);
}

/* The hosts of list that lie in this zone; they belong to list. */
static GPtrArray *of_zone(const GPtrArray *list, const char *zone_name)
{
    GPtrArray *hosts = g_ptr_array_new();

    for (guint n = 0; n < list->len; n++)
        if (g_strcmp0(((Host *)list->pdata[n])->zone_name, zone_name) == 0)
            g_ptr_array_add(hosts, list->pdata[n]);
    return hosts;
}

/* The available zone of these that takes most instances; the first by name on a tie. */
static const Zone *roomiest(const GPtrArray *zones, const GPtrArray *list, const CapacityNeed *need,
                            guint limit)
{
    const Zone *best = NULL;
    guint best_room = 0;

    for (guint n = 0; n < zones->len; n++) {
        const Zone *zone = zones->pdata[n];
        g_autoptr(GPtrArray) hosts = of_zone(list, zone->zone_name);
        guint room = capacity_room((Host *const *)hosts->pdata, hosts->len, need, limit);
        if (g_strcmp0(zone->state, "available") == 0 && (!best || room > best_room)) {
            best = zone;
            best_room = room;
        }
    }
    return best;
}

static gboolean refuse(const GPtrArray *hosts, const char *zone_name, const char *type,
                       const CapacityNeed *need, GError **error)
{
    g_autofree char *why = capacity_explain((Host *const *)hosts->pdata, hosts->len, need);

    return fail(error, INSUFFICIENT_CAPACITY,
                "We currently do not have sufficient %s capacity in the Availability Zone you"
                " requested (%s). Hosts: %s.",
                type, zone_name, why);
}

/* All zones whose state lets instances in, or the one asked for. */
static char *choose_zone(Request *rq, const char *asked, const GPtrArray *list,
                         const CapacityNeed *need, GError **error)
{
    g_autoptr(GPtrArray) zones = zones_list(rq->tx, error);

    if (!zones)
        return NULL;
    if (!asked) {
        const Zone *zone = roomiest(zones, list, need, G_MAXINT);
        if (!zone)
            return fail_null(error, INSUFFICIENT_CAPACITY,
                             "We currently do not have sufficient capacity: no Availability Zone"
                             " of %s is available.",
                             rq->region);
        return g_strdup(zone->zone_name);
    }
    for (guint n = 0; n < zones->len; n++)
        if (g_strcmp0(((Zone *)zones->pdata[n])->zone_name, asked) == 0)
            return g_strdup(asked);
    return fail_null(error, INVALID_PARAMETER, "Invalid availability zone: [%s]", asked);
}

gboolean admission_find(Request *rq, const char *zone_name, const char *type,
                        const CapacityNeed *need, guint minimum, guint maximum,
                        Admission *ret_admission, GError **error)
{
    g_autoptr(GPtrArray) list = hosts_list(rq->tx, zone_name, TRUE, error);
    g_autofree char *zone = list ? choose_zone(rq, zone_name, list, need, error) : NULL;

    if (!zone)
        return FALSE;
    g_autoptr(GPtrArray) hosts = of_zone(list, zone);
    Host *const *rows = (Host *const *)hosts->pdata;
    /* As many as fit are tried, so that a huge maximum costs nothing. */
    guint room = capacity_room(rows, hosts->len, need, maximum);
    g_autofree guint *choice = g_new0(guint, room + 1);
    if (room < minimum) {
        if (!zone_name)
            return refuse(list, "any", type, need, error);
        return refuse(hosts, zone, type, need, error);
    }
    guint placed = capacity_place(rows, hosts->len, need, room, choice);
    g_assert(placed == room);
    for (guint n = 0; n < placed; n++) {
        const Host *host = hosts->pdata[choice[n]];
        for (guint all = 0; all < list->len; all++)
            if (list->pdata[all] == host)
                choice[n] = all;
    }
    *ret_admission = (Admission){ g_steal_pointer(&zone), g_steal_pointer(&list),
                                  g_steal_pointer(&choice), placed };
    return TRUE;
}

static Host *host_of(const GPtrArray *hosts, const char *id)
{
    for (guint n = 0; n < hosts->len; n++)
        if (g_strcmp0(((Host *)hosts->pdata[n])->id, id) == 0)
            return hosts->pdata[n];
    return NULL;
}

gboolean admission_readmit(Request *rq, const GPtrArray *instances, GError **error)
{
    g_autoptr(GPtrArray) hosts = hosts_list(rq->tx, NULL, TRUE, error);

    for (guint n = 0; hosts && n < instances->len; n++) {
        const Instance *i = instances->pdata[n];
        if (instance_holds(i))
            continue;
        Host *host = host_of(hosts, i->host_id);
        CapacityNeed need = { i->architecture, i->vcpus, i->memory_mib, FALSE };
        guint choice;
        if (host && capacity_place(&host, 1, &need, 1, &choice) == 1)
            continue;
        g_autoptr(GPtrArray) own = g_ptr_array_new();
        if (host)
            g_ptr_array_add(own, host);
        return refuse(own, i->zone_name, i->instance_type, &need, error);
    }
    return hosts != NULL;
}
