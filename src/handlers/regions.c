/* DescribeRegions, DescribeAvailabilityZones, DescribeAccountAttributes; admin's DescribeRegions.
 */
#include "handlers/ec2_common.h"
#include "handlers/filters.h"
#include "handlers/table.h"
#include "base/errors.h"
#include "store/hosts.h"
#include "store/regions.h"

#include <string.h>

#define OPT_IN "opt-in-not-required"

static const FilterName region_filters[] = {
    { "endpoint", "Endpoint" },
    { "opt-in-status", "OptInStatus" },
    { "region-name", "RegionName" },
    { NULL, NULL },
};

static const FilterName zone_filters[] = {
    { "group-name", "GroupName" },
    { "message", "Messages.Message" },
    { "opt-in-status", "OptInStatus" },
    { "region-name", "RegionName" },
    { "state", "State" },
    { "zone-id", "ZoneId" },
    { "zone-name", "ZoneName" },
    { "zone-type", "ZoneType" },
    { NULL, NULL },
};

/* Whether every name of asked is among known; else fails naming the first, as kind. */
static gboolean all_known(const char *const *asked, const char *const *known, const char *kind,
                          GError **error)
{
    for (; asked && *asked; asked++)
        if (!g_strv_contains(known, *asked))
            return fail(error, INVALID_PARAMETER, "Invalid %s: [%s]", kind, *asked);
    return TRUE;
}

static char *endpoint(const Request *rq)
{
    const char *host = rq->context->config->advertise;

    return g_strdup_printf("%s:%u", host && *host ? host : "localhost",
                           rq->context->config->listen_port);
}

json_t *describe_regions(Request *rq, GError **error)
{
    g_autofree const char **asked = request_strings(rq, "RegionNames");
    g_autoptr(Filters) filters = EC2_ONLY(rq, error, "RegionNames", "Filters", "AllRegions")
                                     ? filters_new(rq, region_filters, FALSE, error)
                                     : NULL;
    g_auto(GStrv) names = filters ? regions_list(rq->context->identity, rq->region, error) : NULL;
    g_autofree char *host = endpoint(rq);
    json_auto_t *items = json_array();

    if (!names || !all_known(asked, (const char *const *)names, "region name", error))
        return NULL;
    for (char **name = names; *name; name++) {
        json_auto_t *item = json_pack("{s:s, s:s, s:s}", "RegionName", *name, "Endpoint", host,
                                      "OptInStatus", OPT_IN);
        if ((!asked || g_strv_contains(asked, *name)) && filters_match(filters, item, NULL))
            json_array_append(items, item);
    }
    return json_pack("{s:O}", "Regions", items);
}

json_t *admin_describe_regions(Request *rq, GError **error)
{
    g_auto(GStrv) names = regions_list(rq->context->identity, rq->region, error);
    g_autoptr(GPtrArray) zones = names ? zones_list(rq->tx, error) : NULL;
    g_autofree char *host = endpoint(rq);
    g_autofree char *url = g_strdup_printf("https://%s", host);
    json_t *items = json_array();

    for (char **name = zones ? names : NULL; name && *name; name++) {
        json_t *own = json_array();
        for (guint n = 0; n < zones->len && strcmp(*name, rq->region) == 0; n++)
            json_array_append_new(own, json_string(((Zone *)zones->pdata[n])->zone_name));
        json_array_append_new(items, json_pack("{s:s, s:s, s:o}", "RegionName", *name, "Endpoint",
                                               url, "Zones", own));
    }
    json_t *answer = json_pack("{s:o}", "Regions", items);
    if (zones)
        return answer;
    json_decref(answer);
    return NULL;
}

static json_t *zone_json(const Request *rq, const Zone *zone)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[]}", "ZoneName", zone->zone_name,
                     "ZoneId", zone->zone_id, "RegionName", rq->region, "State", zone->state,
                     "ZoneType", "availability-zone", "GroupName", rq->region, "NetworkBorderGroup",
                     rq->region, "OptInStatus", OPT_IN, "Messages");
}

/* Names of zones or their ids, ended by NULL; they belong to zones. */
static const char **zone_texts(const GPtrArray *zones, gboolean ids)
{
    const char **texts = g_new0(const char *, zones->len + 1);

    for (guint n = 0; n < zones->len; n++) {
        const Zone *zone = zones->pdata[n];
        texts[n] = ids ? zone->zone_id : zone->zone_name;
    }
    return texts;
}

json_t *describe_availability_zones(Request *rq, GError **error)
{
    g_autofree const char **names = request_strings(rq, "ZoneNames");
    g_autofree const char **ids = request_strings(rq, "ZoneIds");
    g_autoptr(Filters) filters =
        EC2_ONLY(rq, error, "ZoneNames", "ZoneIds", "Filters", "AllAvailabilityZones")
            ? filters_new(rq, zone_filters, FALSE, error)
            : NULL;
    g_autoptr(GPtrArray) zones = filters ? zones_list(rq->tx, error) : NULL;
    json_auto_t *items = json_array();

    if (!zones)
        return NULL;
    g_autofree const char **all_names = zone_texts(zones, FALSE);
    g_autofree const char **all_ids = zone_texts(zones, TRUE);
    if (!all_known(names, all_names, "availability zone", error) ||
        !all_known(ids, all_ids, "availability zone id", error))
        return NULL;
    for (guint n = 0; n < zones->len; n++) {
        json_auto_t *item = zone_json(rq, zones->pdata[n]);
        if ((!names || g_strv_contains(names, all_names[n])) &&
            (!ids || g_strv_contains(ids, all_ids[n])) && filters_match(filters, item, NULL))
            json_array_append(items, item);
    }
    return json_pack("{s:O}", "AvailabilityZones", items);
}

json_t *describe_account_attributes(Request *rq, GError **error)
{
    g_autofree const char **asked = request_strings(rq, "AttributeNames");
    g_autoptr(DefaultNetwork) net =
        EC2_ONLY(rq, error, "AttributeNames") ? ec2_network(rq, error) : NULL;
    json_t *items = json_array();

    for (guint n = 0; net && n < 6; n++) {
        const char *const rows[][2] = {
            { "supported-platforms", "VPC" }, { "default-vpc", net->vpc_id },
            { "max-instances", "1000" },      { "vpc-max-security-groups-per-interface", "1" },
            { "max-elastic-ips", "0" },       { "vpc-max-elastic-ips", "0" },
        };
        if (!asked || g_strv_contains(asked, rows[n][0]))
            json_array_append_new(items,
                                  json_pack("{s:s, s:[{s:s}]}", "AttributeName", rows[n][0],
                                            "AttributeValues", "AttributeValue", rows[n][1]));
    }
    json_t *answer = json_pack("{s:o}", "AccountAttributes", items);
    if (net)
        return answer;
    json_decref(answer);
    return NULL;
}
