#include "model/pool.h"

#include <string.h>

void zone_free(Zone *zone)
{
    if (!zone)
        return;
    g_free(zone->zone_name);
    g_free(zone->zone_id);
    g_free(zone->state);
    g_free(zone);
}

void host_free(Host *host)
{
    if (!host)
        return;
    g_free(host->id);
    g_free(host->zone_name);
    g_free(host->uri);
    g_free(host->desired);
    g_free(host->state);
    g_free(host->hostname);
    g_free(host->architecture);
    g_free(host->accelerator);
    g_free(host->fault);
    g_free(host->network);
    g_free(host);
}

char *zone_id_for(const char *zone_name)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(GStrv) words = g_strsplit(zone_name, "-", -1);
    gsize length = strlen(zone_name);

    for (char **word = words; *word; word++)
        g_string_append_len(text, *word, word == words ? MIN(2, strlen(*word)) : 1);
    g_string_append_printf(text, "-az%d", length ? zone_name[length - 1] - 'a' + 1 : 0);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
