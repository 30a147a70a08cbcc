/* How the region is, part by part, and what to do about what is not well. */
#include "handlers/table.h"
#include "store/health.h"

/* What one part says; who is ill and the remedy are shown only when it is not well. Takes detail.
 */
static void add_part(json_t *parts, const char *name, gboolean well, char *detail, const char *ill,
                     const char *remedy)
{
    if (!well && ill && *ill) {
        g_autofree char *count = detail;
        detail = g_strdup_printf("%s; %s", count, ill);
    }
    json_t *part = json_pack("{s:s, s:s, s:s}", "Name", name, "Health", well ? "OK" : "DEGRADED",
                             "Detail", detail);

    if (!well)
        json_object_set_new(part, "Remedy", json_string(remedy));
    json_array_append_new(parts, part);
    g_free(detail);
}

static void add_parts(json_t *parts, const RegionHealth *h)
{
    add_part(parts, "daemons", h->api_daemons > 0 && h->reconcile_daemons > 0,
             g_strdup_printf("%" G_GINT64_FORMAT " serve the API, %" G_GINT64_FORMAT " reconcile",
                             h->api_daemons, h->reconcile_daemons),
             NULL, "start berthd with --role=all, or one of each role");
    add_part(parts, "hosts", h->hosts > 0 && h->hosts_up == h->hosts,
             g_strdup_printf("%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " up in %" G_GINT64_FORMAT
                             " zones",
                             h->hosts_up, h->hosts, h->zones),
             h->hosts_ill,
             h->hosts_away ? "see berth host list, and berth why HOST; one that is gone for good:"
                             " berth host remove HOST --lost"
                           : "see berth host list, and berth why HOST");
    add_part(parts, "instances", h->instances_failed == 0,
             g_strdup_printf("%" G_GINT64_FORMAT " running of %" G_GINT64_FORMAT,
                             h->instances_running, h->instances),
             h->instances_ill, "they are ended; what still holds that up: berth why INSTANCE");
    add_part(parts, "agents", h->agents_connected == h->agents,
             g_strdup_printf("%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " connected",
                             h->agents_connected, h->agents),
             h->agents_ill, "see berth why INSTANCE for those that are not");
    add_part(parts, "work", h->retries == 0,
             g_strdup_printf("%" G_GINT64_FORMAT " objects wait to be tried again", h->retries),
             h->retries_ill, "see berth why OBJECT; they are tried again by themselves");
}

json_t *get_status(Request *rq, GError **error)
{
    g_autoptr(RegionHealth) health = health_read(rq->tx, error);
    const json_t *part;
    gboolean well = TRUE;
    size_t n;

    if (!health)
        return NULL;
    json_t *parts = json_array();
    add_part(parts, "database", TRUE, g_strdup("answers"), NULL, NULL);
    add_parts(parts, health);
    json_array_foreach(parts, n, part) well &= json_object_get(part, "Remedy") == NULL;
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o}", "Health", well ? "OK" : "DEGRADED",
                     "Version", BERTH_VERSION, "Name", rq->context->config->name, "Region",
                     rq->region, "StartedAt", (json_int_t)health->started_us, "Parts", parts);
}
