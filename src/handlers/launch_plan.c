#include "handlers/launch.h"
#include "handlers/ec2_common.h"
#include "base/errors.h"
#include "base/id.h"
#include "model/user_data.h"
#include "shape/text.h"
#include "store/hosts.h"
#include "store/images.h"
#include "store/roles.h"

#include <string.h>

#define DEFAULT_TYPE    "m1.small"
#define DEFAULT_CLUSTER "default"
#define AGENT_PROFILE   "ecsInstanceRole"
#define ROOT_GIB_MAX    65536
#define LAUNCH_MAX      1000

#define ONLY_IN(object, name, error, ...)                                                          \
    ec2_refuse_others((object), (name), (const char *const[]){ __VA_ARGS__, NULL }, (error))

void launch_plan_free(LaunchPlan *plan)
{
    if (!plan)
        return;
    image_free(plan->image);
    instance_type_free(plan->type);
    key_pair_free(plan->key);
    default_network_free(plan->net);
    g_free(plan->zone_name);
    g_clear_pointer(&plan->user_data, g_bytes_unref);
    g_free(plan->profile);
    g_free(plan->cluster);
    json_decref(plan->details);
    g_free(plan);
}

static gboolean read_counts(Request *rq, LaunchPlan *plan, GError **error)
{
    gint64 minimum = request_int(rq, "MinCount", 0), maximum = request_int(rq, "MaxCount", 0);

    if (!request_member(rq, "MinCount"))
        return ec2_missing("MinCount", error);
    if (!request_member(rq, "MaxCount"))
        return ec2_missing("MaxCount", error);
    if (minimum < 1 || minimum > maximum || minimum > LAUNCH_MAX)
        return fail(error, INVALID_PARAMETER,
                    "Value (%" G_GINT64_FORMAT " to %" G_GINT64_FORMAT
                    ") for parameters minCount and maxCount is invalid. Expecting 1 to %d, and"
                    " minCount not above maxCount.",
                    minimum, maximum, LAUNCH_MAX);
    plan->minimum = (guint)minimum;
    plan->maximum = (guint)MIN(maximum, LAUNCH_MAX);
    return TRUE;
}

static gboolean read_image(Request *rq, LaunchPlan *plan, GError **error)
{
    const char *id = request_text(rq, "ImageId");

    if (!id || !*id)
        return ec2_missing("ImageId", error);
    if (!id_is_ec2(id, "ami"))
        return fail(error, IMAGE_ID_MALFORMED, "Invalid id: \"%s\" (expecting \"ami-...\")", id);
    plan->image = images_get(rq->tx, rq->account_id, id, FALSE, error);
    if (!plan->image)
        return FALSE;
    if (strcmp(plan->image->state, "available") != 0)
        return fail(error, IMAGE_UNAVAILABLE, "The image id '[%s]' is not available: it is %s%s%s",
                    id, plan->image->state, plan->image->fault ? ": " : "",
                    plan->image->fault ? plan->image->fault : "");
    return TRUE;
}

InstanceType *launch_type(Request *rq, const char *name, GError **error)
{
    InstanceType *type = NULL;

    if (!instance_types_find(rq->tx, name, &type, error))
        return NULL;
    if (!type)
        return fail_null(error, INVALID_PARAMETER, "Invalid value '%s' for InstanceType.", name);
    return type;
}

static gboolean read_type(Request *rq, LaunchPlan *plan, GError **error)
{
    const char *name = request_text(rq, "InstanceType");

    plan->type = launch_type(rq, name ? name : DEFAULT_TYPE, error);
    if (!plan->type)
        return FALSE;
    if (strcmp(plan->type->architecture, plan->image->architecture) != 0)
        return fail(error, INVALID_PARAMETER,
                    "The architecture '%s' of the specified instance type does not match the"
                    " architecture '%s' of the specified AMI.",
                    plan->type->architecture, plan->image->architecture);
    return TRUE;
}

static gboolean check_groups(const LaunchPlan *plan, const json_t *ids, const json_t *names,
                             GError **error)
{
    const json_t *value;
    size_t n;

    json_array_foreach(ids, n, value)
    {
        if (g_strcmp0(json_string_value(value), plan->net->group_id) != 0)
            return fail(error, GROUP_NOT_FOUND, "The security group '%s' does not exist",
                        json_string_value(value));
    }
    json_array_foreach(names, n, value)
    {
        if (g_strcmp0(json_string_value(value), "default") != 0)
            return fail(error, GROUP_NOT_FOUND, "The security group '%s' does not exist",
                        json_string_value(value));
    }
    return TRUE;
}

/* The zone whose subnet this is. */
static gboolean read_subnet(Request *rq, LaunchPlan *plan, const char *subnet_id, GError **error)
{
    g_autoptr(GPtrArray) zones = zones_list(rq->tx, error);

    for (guint n = 0; zones && n < zones->len; n++) {
        const char *name = ((Zone *)zones->pdata[n])->zone_name;
        g_autoptr(DefaultSubnet) subnet =
            default_subnet_new(plan->net, rq->account_id, rq->region, name, NULL);
        if (!subnet || strcmp(subnet->id, subnet_id) != 0)
            continue;
        if (plan->zone_name && strcmp(plan->zone_name, name) != 0)
            return fail(error, INVALID_PARAMETER,
                        "The subnet '%s' is in the Availability Zone %s, not in %s", subnet_id,
                        name, plan->zone_name);
        g_free(plan->zone_name);
        plan->zone_name = g_strdup(name);
        return TRUE;
    }
    return zones ? fail(error, SUBNET_NOT_FOUND, "The subnet ID '%s' does not exist", subnet_id)
                 : FALSE;
}

static gboolean read_interface(Request *rq, LaunchPlan *plan, const json_t *list, GError **error)
{
    const json_t *one = json_array_get(list, 0);
    const char *subnet = json_text_at(one, "SubnetId");

    if (request_text(rq, "SubnetId") || request_member(rq, "SecurityGroupIds"))
        return fail(error, INVALID_COMBINATION,
                    "Network interfaces and an instance-level %s may not be specified on the same"
                    " request",
                    request_text(rq, "SubnetId") ? "subnet ID" : "security groups");
    if (json_array_size(list) > 1 || json_integer_value(json_object_get(one, "DeviceIndex")) != 0)
        return fail(error, UNSUPPORTED, "More than one network interface is not supported here");
    if (!ONLY_IN(one, "NetworkInterfaces", error, "DeviceIndex", "SubnetId", "Groups",
                 "AssociatePublicIpAddress", "DeleteOnTermination", "InterfaceType"))
        return FALSE;
    if (json_is_true(json_object_get(one, "AssociatePublicIpAddress")) ||
        json_is_false(json_object_get(one, "DeleteOnTermination")))
        return fail(error, UNSUPPORTED,
                    "The parameter NetworkInterfaces.%s is not supported here with this value",
                    json_is_true(json_object_get(one, "AssociatePublicIpAddress"))
                        ? "AssociatePublicIpAddress"
                        : "DeleteOnTermination");
    return (!subnet || read_subnet(rq, plan, subnet, error)) &&
           check_groups(plan, json_object_get(one, "Groups"), NULL, error);
}

static gboolean read_network(Request *rq, LaunchPlan *plan, GError **error)
{
    const json_t *placement = request_member(rq, "Placement");
    const json_t *interfaces = request_member(rq, "NetworkInterfaces");
    const char *zone = json_text_at(placement, "AvailabilityZone");
    const char *tenancy = json_text_at(placement, "Tenancy");
    const char *subnet = request_text(rq, "SubnetId");

    plan->net = ec2_network(rq, error);
    if (!plan->net || !ONLY_IN(placement, "Placement", error, "AvailabilityZone", "Tenancy"))
        return FALSE;
    if (tenancy && *tenancy && strcmp(tenancy, "default") != 0)
        return fail(error, UNSUPPORTED,
                    "The parameter Placement.Tenancy is not supported here"
                    " with the value '%s'",
                    tenancy);
    if (zone && *zone)
        plan->zone_name = g_strdup(zone);
    if (json_array_size(interfaces) && !read_interface(rq, plan, interfaces, error))
        return FALSE;
    return (!subnet || read_subnet(rq, plan, subnet, error)) &&
           check_groups(plan, request_member(rq, "SecurityGroupIds"),
                        request_member(rq, "SecurityGroups"), error);
}

GBytes *launch_user_data(const char *base64, GError **error)
{
    gsize length = 0;

    if (!shape_is_base64(base64))
        return fail_null(error, USER_DATA_MALFORMED, "Invalid BASE64 encoding of user data.");
    g_autofree guchar *data = g_base64_decode(base64, &length);
    if (length > USER_DATA_MAX)
        return fail_null(error, INVALID_PARAMETER, "User data is limited to %d bytes",
                         USER_DATA_MAX);
    return g_bytes_new_take(g_steal_pointer(&data), length);
}

static gboolean read_user_data(Request *rq, LaunchPlan *plan, GError **error)
{
    const char *given = request_text(rq, "UserData");

    if (!given || !*given)
        return TRUE;
    plan->user_data = launch_user_data(given, error);
    return plan->user_data != NULL;
}

static char *profile_arn(const Request *rq, const InstanceProfile *profile)
{
    return g_strdup_printf("arn:aws:iam::%s:instance-profile%s%s", rq->account_id, profile->path,
                           profile->name);
}

/* The profile that the request names, as identity has it. */
static InstanceProfile *profile_asked(Request *rq, const char *name, const char *arn,
                                      GError **error)
{
    const char *slash = arn ? strrchr(arn, '/') : NULL;
    const char *asked = name ? name : slash ? slash + 1 : arn;
    GError *cause = NULL;
    g_autoptr(DbTx) tx = db_begin(rq->context->identity, DB_MODE_READ, error);
    g_autoptr(InstanceProfile) profile =
        tx ? instance_profiles_find(tx, rq->account_id, asked, &cause) : NULL;

    if (cause)
        g_propagate_error(error, cause);
    if (!tx || cause)
        return NULL;
    if (profile && !arn)
        return g_steal_pointer(&profile);
    g_autofree char *full = profile ? profile_arn(rq, profile) : NULL;
    if (profile && strcmp(full, arn) == 0)
        return g_steal_pointer(&profile);
    return fail_null(error, INSTANCE_PROFILE_NOT_FOUND,
                     "Value (%s) for parameter iamInstanceProfile.%s is invalid."
                     " Invalid IAM Instance Profile %s",
                     arn ? arn : name, arn ? "arn" : "name", arn ? "ARN" : "name");
}

/* The agents' own profile asks for an agent too. */
static gboolean read_profile(Request *rq, LaunchPlan *plan, GError **error)
{
    const json_t *given = request_member(rq, "IamInstanceProfile");
    const char *name = json_text_at(given, "Name"), *arn = json_text_at(given, "Arn");

    if (!name && !arn)
        return TRUE;
    if (name && arn)
        return fail(error, INVALID_COMBINATION,
                    "The parameter 'iamInstanceProfile.name' may not be used in combination with"
                    " 'iamInstanceProfile.arn'");
    g_autoptr(InstanceProfile) profile = profile_asked(rq, name, arn, error);
    if (!profile)
        return FALSE;
    g_autofree char *full = profile_arn(rq, profile);
    plan->profile = g_strdup(profile->name);
    json_object_set_new(plan->details, "IamInstanceProfile",
                        json_pack("{s:s, s:s}", "Arn", full, "Id", profile->id));
    if (strcmp(profile->name, AGENT_PROFILE) != 0)
        return TRUE;
    if (plan->user_data)
        plan->cluster = user_data_cluster(g_bytes_get_data(plan->user_data, NULL),
                                          g_bytes_get_size(plan->user_data));
    if (!plan->cluster)
        plan->cluster = g_strdup(DEFAULT_CLUSTER);
    return TRUE;
}

static gboolean read_root_volume(LaunchPlan *plan, const json_t *ebs, GError **error)
{
    const json_t *size = json_object_get(ebs, "VolumeSize");
    const char *snapshot = json_text_at(ebs, "SnapshotId"), *kind = json_text_at(ebs, "VolumeType");

    if (!ONLY_IN(ebs, "BlockDeviceMappings.Ebs", error, "VolumeSize", "SnapshotId", "VolumeType",
                 "DeleteOnTermination", "Encrypted"))
        return FALSE;
    if (json_is_true(json_object_get(ebs, "Encrypted")) ||
        json_is_false(json_object_get(ebs, "DeleteOnTermination")))
        return fail(
            error, UNSUPPORTED,
            "The parameter BlockDeviceMappings.Ebs.%s is not supported here with this value",
            json_is_true(json_object_get(ebs, "Encrypted")) ? "Encrypted" : "DeleteOnTermination");
    if (snapshot && strcmp(snapshot, plan->image->snapshot_id) != 0)
        return fail(error, BLOCK_DEVICE, "snapshotId can only be modified on EBS devices");
    if (kind)
        json_object_set_new(plan->details, "VolumeType", json_string(kind));
    if (!size)
        return TRUE;
    if (json_integer_value(size) < plan->root_gib)
        return fail(error, BLOCK_DEVICE,
                    "Volume of size %" JSON_INTEGER_FORMAT
                    "GB is smaller than snapshot '%s', expect size >= %dGB",
                    json_integer_value(size), plan->image->snapshot_id, plan->root_gib);
    if (json_integer_value(size) > ROOT_GIB_MAX)
        return fail(error, INVALID_PARAMETER,
                    "Volume of %" JSON_INTEGER_FORMAT "GiB is too large; maximum size is %dGiB.",
                    json_integer_value(size), ROOT_GIB_MAX);
    plan->root_gib = (gint)json_integer_value(size);
    return TRUE;
}

static gboolean read_volumes(Request *rq, LaunchPlan *plan, GError **error)
{
    const json_t *row;
    size_t n;

    plan->root_gib = image_root_gib(plan->image);
    json_array_foreach(request_member(rq, "BlockDeviceMappings"), n, row)
    {
        const char *device = json_text_at(row, "DeviceName");
        if (g_strcmp0(device, plan->image->root_device_name) != 0)
            return fail(error, UNSUPPORTED,
                        "Volumes besides the root device %s are not supported here: %s",
                        plan->image->root_device_name, device ? device : "none named");
        if (!ONLY_IN(row, "BlockDeviceMappings", error, "DeviceName", "Ebs") ||
            !read_root_volume(plan, json_object_get(row, "Ebs"), error))
            return FALSE;
    }
    return TRUE;
}

static gboolean read_details(Request *rq, LaunchPlan *plan, GError **error)
{
    const json_t *options = request_member(rq, "MetadataOptions");
    const json_t *monitoring = request_member(rq, "Monitoring");

    if (!ONLY_IN(options, "MetadataOptions", error, "HttpTokens", "HttpPutResponseHopLimit",
                 "HttpEndpoint", "InstanceMetadataTags"))
        return FALSE;
    if (options)
        json_object_set(plan->details, "MetadataOptions", (json_t *)options);
    if (json_is_true(json_object_get(monitoring, "Enabled")))
        json_object_set_new(plan->details, "Monitoring", json_true());
    if (request_bool(rq, "EbsOptimized", FALSE))
        json_object_set_new(plan->details, "EbsOptimized", json_true());
    return TRUE;
}

static gboolean read_key(Request *rq, LaunchPlan *plan, GError **error)
{
    const char *name = request_text(rq, "KeyName");

    if (!name || !*name)
        return TRUE;
    plan->key = key_pairs_get(rq->tx, rq->account_id, name, error);
    return plan->key != NULL;
}

LaunchPlan *launch_plan_new(Request *rq, GError **error)
{
    static const char *const taggable[] = { "instance", "volume", "network-interface", NULL };
    g_autoptr(LaunchPlan) plan = g_new0(LaunchPlan, 1);

    plan->details = json_object();
    if (!EC2_ONLY(rq, error, "ImageId", "InstanceType", "MinCount", "MaxCount", "KeyName",
                  "SubnetId", "SecurityGroupIds", "SecurityGroups", "Placement", "UserData",
                  "TagSpecifications", "IamInstanceProfile", "InstanceInitiatedShutdownBehavior",
                  "DisableApiTermination", "BlockDeviceMappings", "MetadataOptions", "Monitoring",
                  "EbsOptimized", "NetworkInterfaces"))
        return NULL;
    if (!read_counts(rq, plan, error) || !ec2_tag_specifications_check(rq, taggable, error) ||
        !read_image(rq, plan, error) || !read_type(rq, plan, error) || !read_key(rq, plan, error) ||
        !read_network(rq, plan, error) || !read_user_data(rq, plan, error) ||
        !read_profile(rq, plan, error) || !read_volumes(rq, plan, error) ||
        !read_details(rq, plan, error))
        return NULL;
    return g_steal_pointer(&plan);
}
