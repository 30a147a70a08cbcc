#include "model/capacity.h"

#include <math.h>

/* Keeps 0.7 * 10 from becoming 6. */
#define ROUNDING 1e-6

static gint64 share_of(double whole, gint percent, double overcommit)
{
    return (gint64)floor(MAX(whole, 0) * percent / 100.0 * overcommit + ROUNDING);
}

gint64 capacity_vcpus(const Host *host)
{
    return share_of(host->vcpus, host->share_percent, host->cpu_overcommit);
}

gint64 capacity_memory_mib(const Host *host)
{
    return share_of(host->memory_mib - host->reserve_mib, host->share_percent,
                    host->memory_overcommit);
}

static char *short_of(const Host *host, const CapacityNeed *need)
{
    gint64 vcpus = capacity_vcpus(host), memory = capacity_memory_mib(host);
    gint64 free_vcpus = MAX(vcpus - host->used_vcpus, 0);
    gint64 free_memory = MAX(memory - host->used_memory_mib, 0);
    g_autoptr(GString) text = g_string_new(NULL);

    if (need->vcpus > free_vcpus)
        g_string_append_printf(
            text, "has %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " vCPUs free, %d needed",
            free_vcpus, vcpus, need->vcpus);
    if (need->memory_mib > free_memory)
        g_string_append_printf(
            text, "%shas %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " MiB free, %d needed",
            text->len ? " and " : "", free_memory, memory, need->memory_mib);
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

static gboolean is_apart(const Host *host)
{
    return g_strcmp0(host->network, "apart") == 0;
}

char *capacity_refusal(const Host *host, const CapacityNeed *need)
{
    if (g_strcmp0(host->desired, "active") != 0)
        return g_strdup_printf("is %s", host->desired);
    if (g_strcmp0(host->state, "up") != 0)
        return g_strdup_printf("is %s%s%s", host->state, host->fault ? ": " : "",
                               host->fault ? host->fault : "");
    if (g_strcmp0(host->architecture, need->architecture) != 0)
        return g_strdup_printf("is %s, %s needed",
                               host->architecture ? host->architecture : "of unknown architecture",
                               need->architecture);
    if (need->agent && is_apart(host))
        return g_strdup("has a network of its own, from which no container agent reaches the API");
    return short_of(host, need);
}

/* Whether one more fits, without words. */
static gboolean fits(const Host *host, const CapacityNeed *need)
{
    return g_strcmp0(host->desired, "active") == 0 && g_strcmp0(host->state, "up") == 0 &&
           g_strcmp0(host->architecture, need->architecture) == 0 &&
           !(need->agent && is_apart(host)) &&
           host->used_vcpus + need->vcpus <= capacity_vcpus(host) &&
           host->used_memory_mib + need->memory_mib <= capacity_memory_mib(host);
}

/* How full the host would be: the fuller of its two measures. */
static double load_with(const Host *host, const CapacityNeed *need)
{
    double vcpus = (double)(host->used_vcpus + need->vcpus) / (double)capacity_vcpus(host);
    double memory =
        (double)(host->used_memory_mib + need->memory_mib) / (double)capacity_memory_mib(host);

    return MAX(vcpus, memory);
}

guint capacity_place(Host *const *hosts, guint host_count, const CapacityNeed *need, guint count,
                     guint *ret_choice)
{
    for (guint placed = 0; placed < count; placed++) {
        guint best = host_count;
        double best_load = 0;
        for (guint n = 0; n < host_count; n++) {
            if (!fits(hosts[n], need))
                continue;
            double load = load_with(hosts[n], need);
            if (best == host_count || load < best_load - ROUNDING) {
                best = n;
                best_load = load;
            }
        }
        if (best == host_count)
            return placed;
        hosts[best]->used_vcpus += need->vcpus;
        hosts[best]->used_memory_mib += need->memory_mib;
        ret_choice[placed] = best;
    }
    return count;
}

guint capacity_room(Host *const *hosts, guint host_count, const CapacityNeed *need, guint limit)
{
    gint64 room = 0;

    for (guint n = 0; n < host_count; n++) {
        if (!fits(hosts[n], need))
            continue;
        gint64 vcpus = (capacity_vcpus(hosts[n]) - hosts[n]->used_vcpus) / need->vcpus;
        gint64 memory =
            (capacity_memory_mib(hosts[n]) - hosts[n]->used_memory_mib) / need->memory_mib;
        room += MIN(vcpus, memory);
    }
    return (guint)MIN(room, limit);
}

char *capacity_explain(Host *const *hosts, guint host_count, const CapacityNeed *need)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint n = 0; n < host_count; n++) {
        g_autofree char *why = capacity_refusal(hosts[n], need);
        g_string_append_printf(text, "%s%s (%s) %s", text->len ? "; " : "", hosts[n]->id,
                               hosts[n]->hostname ? hosts[n]->hostname : hosts[n]->uri,
                               why ? why : "is full once the others are placed");
    }
    if (host_count == 0)
        g_string_append(text, "there is no host");
    return g_string_free(g_steal_pointer(&text), FALSE);
}
