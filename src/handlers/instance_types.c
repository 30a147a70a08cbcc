/* DescribeInstanceTypes, DescribeInstanceTypeOfferings; the admin's own types. */
#include "handlers/ec2_common.h"
#include "handlers/ec2_page.h"
#include "handlers/filters.h"
#include "handlers/table.h"
#include "base/errors.h"
#include "store/hosts.h"
#include "store/instance_types.h"

#include <string.h>

static const FilterName type_filters[] = {
    { "auto-recovery-supported", "AutoRecoverySupported" },
    { "bare-metal", "BareMetal" },
    { "burstable-performance-supported", "BurstablePerformanceSupported" },
    { "current-generation", "CurrentGeneration" },
    { "dedicated-hosts-supported", "DedicatedHostsSupported" },
    { "free-tier-eligible", "FreeTierEligible" },
    { "hibernation-supported", "HibernationSupported" },
    { "hypervisor", "Hypervisor" },
    { "instance-storage-supported", "InstanceStorageSupported" },
    { "instance-type", "InstanceType" },
    { "memory-info.size-in-mib", "MemoryInfo.SizeInMiB" },
    { "network-info.ena-support", "NetworkInfo.EnaSupport" },
    { "network-info.ipv4-addresses-per-interface", "NetworkInfo.Ipv4AddressesPerInterface" },
    { "network-info.ipv6-supported", "NetworkInfo.Ipv6Supported" },
    { "network-info.maximum-network-interfaces", "NetworkInfo.MaximumNetworkInterfaces" },
    { "network-info.network-performance", "NetworkInfo.NetworkPerformance" },
    { "processor-info.supported-architecture", "ProcessorInfo.SupportedArchitectures" },
    { "supported-root-device-type", "SupportedRootDeviceTypes" },
    { "supported-usage-class", "SupportedUsageClasses" },
    { "supported-virtualization-type", "SupportedVirtualizationTypes" },
    { "vcpu-info.default-cores", "VCpuInfo.DefaultCores" },
    { "vcpu-info.default-threads-per-core", "VCpuInfo.DefaultThreadsPerCore" },
    { "vcpu-info.default-vcpus", "VCpuInfo.DefaultVCpus" },
    { NULL, NULL },
};

static const FilterName offering_filters[] = {
    { "instance-type", "InstanceType" },
    { "location", "Location" },
    { NULL, NULL },
};

static json_t *type_json(const InstanceType *t)
{
    return json_pack(
        "{s:s, s:b, s:b, s:[s], s:[s], s:[s], s:b, s:s, s:{s:[s]}, s:{s:i, s:i, s:i}, s:{s:i},"
        " s:b, s:{s:s, s:i, s:i, s:i, s:b, s:s}, s:{s:s, s:s}, s:b, s:b, s:b, s:b}",
        "InstanceType", t->name, "CurrentGeneration", (int)t->current_generation,
        "FreeTierEligible", 0, "SupportedUsageClasses", "on-demand", "SupportedRootDeviceTypes",
        "ebs", "SupportedVirtualizationTypes", "hvm", "BareMetal", 0, "Hypervisor", "nitro",
        "ProcessorInfo", "SupportedArchitectures", t->architecture, "VCpuInfo", "DefaultVCpus",
        t->vcpus, "DefaultCores", t->vcpus, "DefaultThreadsPerCore", 1, "MemoryInfo", "SizeInMiB",
        t->memory_mib, "InstanceStorageSupported", 0, "NetworkInfo", "NetworkPerformance",
        t->network, "MaximumNetworkInterfaces", 1, "Ipv4AddressesPerInterface", 1,
        "Ipv6AddressesPerInterface", 0, "Ipv6Supported", 0, "EnaSupport", "unsupported", "EbsInfo",
        "EbsOptimizedSupport", "unsupported", "EncryptionSupport", "unsupported",
        "HibernationSupported", 0, "BurstablePerformanceSupported", (int)t->burstable,
        "DedicatedHostsSupported", 0, "AutoRecoverySupported", 0);
}

static gboolean refuse_missing(const GPtrArray *types, const char *const *names, GError **error)
{
    g_autoptr(GHashTable) found = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) missing = g_ptr_array_new();

    for (guint n = 0; n < types->len; n++)
        g_hash_table_add(found, ((InstanceType *)types->pdata[n])->name);
    for (; names && *names; names++)
        if (!g_hash_table_contains(found, *names))
            g_ptr_array_add(missing, (gpointer)*names);
    if (missing->len == 0)
        return TRUE;
    g_ptr_array_add(missing, NULL);
    g_autofree char *text = g_strjoinv(", ", (char **)missing->pdata);
    return fail(error, INSTANCE_TYPE_INVALID,
                "The following supplied instance types do not exist: [%s]", text);
}

json_t *describe_instance_types(Request *rq, GError **error)
{
    g_autofree const char **names = request_strings(rq, "InstanceTypes");
    g_auto(Ec2Page) page = { 0 };
    g_autoptr(Filters) filters = NULL;

    if (!EC2_ONLY(rq, error, "InstanceTypes", "Filters", "MaxResults", "NextToken") ||
        !ec2_page_open(rq, "DescribeInstanceTypes", 5, 100, &page, error) ||
        !(filters = filters_new(rq, type_filters, FALSE, error)))
        return NULL;
    g_autoptr(GPtrArray) types = instance_types_list(rq->tx, names, error);
    if (!types || !refuse_missing(types, names, error))
        return NULL;
    json_t *items = json_array();
    for (guint n = 0; n < types->len; n++) {
        json_auto_t *item = type_json(types->pdata[n]);
        if (filters_match(filters, item, NULL))
            json_array_append(items, item);
    }
    return ec2_page_answer(rq, &page, "InstanceTypes", items, error);
}

static void add_offerings(const Filters *filters, const GPtrArray *types, const char *kind,
                          const char *place, json_t *items)
{
    for (guint n = 0; n < types->len; n++) {
        const InstanceType *type = types->pdata[n];
        json_auto_t *item = json_pack("{s:s, s:s, s:s}", "InstanceType", type->name, "LocationType",
                                      kind, "Location", place);
        if (filters_match(filters, item, NULL))
            json_array_append(items, item);
    }
}

json_t *describe_instance_type_offerings(Request *rq, GError **error)
{
    const char *kind = request_text(rq, "LocationType");
    g_auto(Ec2Page) page = { 0 };
    g_autoptr(Filters) filters = NULL;

    if (!EC2_ONLY(rq, error, "LocationType", "Filters", "MaxResults", "NextToken") ||
        !ec2_page_open(rq, "DescribeInstanceTypeOfferings", 5, 1000, &page, error) ||
        !(filters = filters_new(rq, offering_filters, FALSE, error)))
        return NULL;
    g_autoptr(GPtrArray) types = instance_types_list(rq->tx, NULL, error);
    g_autoptr(GPtrArray) zones = types ? zones_list(rq->tx, error) : NULL;
    if (!zones)
        return NULL;
    json_t *items = json_array();
    if (!kind || strcmp(kind, "region") == 0)
        add_offerings(filters, types, "region", rq->region, items);
    else
        for (guint n = 0; n < zones->len; n++) {
            const Zone *zone = zones->pdata[n];
            gboolean by_id = strcmp(kind, "availability-zone-id") == 0;
            add_offerings(filters, types, kind, by_id ? zone->zone_id : zone->zone_name, items);
        }
    return ec2_page_answer(rq, &page, "InstanceTypeOfferings", items, error);
}

/* -- the admin service */

static json_t *admin_type_json(const InstanceType *t)
{
    return json_pack("{s:s, s:i, s:i, s:[s], s:s, s:b, s:b, s:b, s:I}", "InstanceType", t->name,
                     "VCpus", t->vcpus, "MemoryMiB", t->memory_mib, "Architectures",
                     t->architecture, "NetworkPerformance", t->network, "Burstable",
                     (int)t->burstable, "BuiltIn", (int)t->built_in, "CurrentGeneration",
                     (int)t->current_generation, "CreatedAt", (json_int_t)t->created_us);
}

json_t *admin_describe_instance_types(Request *rq, GError **error)
{
    g_autofree const char **names = request_strings(rq, "InstanceTypes");
    g_autoptr(GPtrArray) types = instance_types_list(rq->tx, names, error);

    if (!types || !refuse_missing(types, names, error))
        return NULL;
    json_t *items = json_array();
    for (guint n = 0; n < types->len; n++)
        json_array_append_new(items, admin_type_json(types->pdata[n]));
    return json_pack("{s:o}", "InstanceTypes", items);
}

static gboolean check_name(const char *name, GError **error)
{
    const char *dot = strchr(name, '.');
    gsize letters = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.");

    if (!g_ascii_islower(name[0]) || !dot || !dot[1] || strchr(dot + 1, '.') || name[letters])
        return fail(error, INVALID_PARAMETER,
                    "\"%s\" is no name of an instance type: it must be like \"lab1.small\", of"
                    " a-z, 0-9 and dashes, with one dot",
                    name);
    return TRUE;
}

json_t *put_instance_type(Request *rq, GError **error)
{
    g_autofree const char **architectures = request_strings(rq, "Architectures");
    gint64 vcpus = request_int(rq, "VCpus", 0), memory = request_int(rq, "MemoryMiB", 0);
    const char *network = request_text(rq, "NetworkPerformance");
    InstanceType type = { .name = (char *)request_text(rq, "InstanceType"),
                          .vcpus = (gint)CLAMP(vcpus, 0, G_MAXINT),
                          .memory_mib = (gint)CLAMP(memory, 0, G_MAXINT),
                          .architecture = (char *)(architectures ? architectures[0] : "x86_64"),
                          .network = (char *)(network ? network : "Moderate") };
    InstanceType *put = NULL;

    if (!check_name(type.name, error))
        return NULL;
    if (vcpus < 1 || vcpus > 448 || memory < 64 || memory > 25165824)
        return fail_null(error, INVALID_PARAMETER,
                         "an instance type has 1 to 448 vCPUs and 64 to 25165824 MiB");
    if (architectures && architectures[1])
        return fail_null(error, INVALID_PARAMETER, "an instance type has one architecture");
    if (!instance_types_put(rq->tx, &type, error) ||
        !instance_types_find(rq->tx, type.name, &put, error))
        return NULL;
    g_autoptr(InstanceType) owned = put;
    return json_pack("{s:o}", "InstanceType", admin_type_json(owned));
}

json_t *delete_instance_type(Request *rq, GError **error)
{
    if (!instance_types_delete(rq->tx, request_text(rq, "InstanceType"), error))
        return NULL;
    return json_object();
}
