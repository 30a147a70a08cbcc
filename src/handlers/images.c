/* RegisterImage, DescribeImages, DeregisterImage; the admin's ImportImage. */
#include "handlers/ec2_common.h"
#include "handlers/filters.h"
#include "handlers/table.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "store/images.h"

#include <string.h>

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789()[] ./-'@_"
#define DEFAULT_USER    "admin"
#define DEFAULT_ROOT    "/dev/sda1"

static const FilterName image_filters[] = {
    { "architecture", "Architecture" },
    { "block-device-mapping.delete-on-termination", "BlockDeviceMappings.Ebs.DeleteOnTermination" },
    { "block-device-mapping.device-name", "BlockDeviceMappings.DeviceName" },
    { "block-device-mapping.encrypted", "BlockDeviceMappings.Ebs.Encrypted" },
    { "block-device-mapping.snapshot-id", "BlockDeviceMappings.Ebs.SnapshotId" },
    { "block-device-mapping.volume-size", "BlockDeviceMappings.Ebs.VolumeSize" },
    { "block-device-mapping.volume-type", "BlockDeviceMappings.Ebs.VolumeType" },
    { "creation-date", "CreationDate" },
    { "description", "Description" },
    { "ena-support", "EnaSupport" },
    { "hypervisor", "Hypervisor" },
    { "image-id", "ImageId" },
    { "image-type", "ImageType" },
    { "is-public", "Public" },
    { "kernel-id", "KernelId" },
    { "manifest-location", "ImageLocation" },
    { "name", "Name" },
    { "owner-alias", "ImageOwnerAlias" },
    { "owner-id", "OwnerId" },
    { "platform", "Platform" },
    { "ramdisk-id", "RamdiskId" },
    { "root-device-name", "RootDeviceName" },
    { "root-device-type", "RootDeviceType" },
    { "state", "State" },
    { "state-reason-code", "StateReason.Code" },
    { "state-reason-message", "StateReason.Message" },
    { "virtualization-type", "VirtualizationType" },
    { NULL, NULL },
};

static json_t *image_json(const Image *m)
{
    char created[CLOCK_ISO_SIZE];
    g_autofree char *location = g_strdup_printf("%s/%s", m->account_id, m->name);
    json_t *ebs = json_pack("{s:s, s:b, s:s, s:b}", "SnapshotId", m->snapshot_id,
                            "DeleteOnTermination", 1, "VolumeType", "gp2", "Encrypted", 0);
    json_t *item =
        json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s,"
                  " s:[{s:s, s:o}]}",
                  "ImageId", m->id, "Name", m->name, "ImageLocation", location, "OwnerId",
                  m->account_id, "Public", (int)m->is_public, "State", m->state, "Architecture",
                  m->architecture, "ImageType", "machine", "RootDeviceName", m->root_device_name,
                  "RootDeviceType", "ebs", "VirtualizationType", "hvm", "Hypervisor", "xen",
                  "CreationDate", clock_iso_ms(m->created_us, created), "EnaSupport", 1,
                  "PlatformDetails", "Linux/UNIX", "UsageOperation", "RunInstances",
                  "BlockDeviceMappings", "DeviceName", m->root_device_name, "Ebs", ebs);

    if (m->virtual_bytes)
        json_object_set_new(ebs, "VolumeSize", json_integer(image_root_gib(m)));
    if (m->description)
        json_object_set_new(item, "Description", json_string(m->description));
    if (m->fault)
        json_object_set_new(
            item, "StateReason",
            json_pack("{s:s, s:s}", "Code", "Client.ImportFailed", "Message", m->fault));
    return item;
}

/* Whether the image is of one of these owners; NULL: of anybody. */
static gboolean owner_asked(const Request *rq, const Image *m, const char *const *owners)
{
    gboolean own = strcmp(m->account_id, rq->account_id) == 0;

    return !owners || g_strv_contains(owners, m->account_id) ||
           (own && g_strv_contains(owners, "self"));
}

/* "all": public ones; "self": those of others shared with the caller. */
static gboolean executor_asked(const Request *rq, const Image *m, const char *const *users)
{
    gboolean own = strcmp(m->account_id, rq->account_id) == 0;

    return !users || (m->is_public && g_strv_contains(users, "all")) ||
           (!m->is_public && !own &&
            (g_strv_contains(users, "self") || g_strv_contains(users, rq->account_id)));
}

static json_t *show(Request *rq, const GPtrArray *list, const Filters *filters, GError **error)
{
    g_autofree const char **owners = request_strings(rq, "Owners");
    g_autofree const char **users = request_strings(rq, "ExecutableUsers");
    g_autofree const char **ids = g_new0(const char *, list->len + 1);

    for (guint n = 0; n < list->len; n++)
        ids[n] = ((Image *)list->pdata[n])->id;
    g_autoptr(GHashTable) tags = ec2_tags_of(rq, ids, error);
    if (!tags)
        return NULL;
    json_t *items = json_array();
    for (guint n = 0; n < list->len; n++) {
        const Image *m = list->pdata[n];
        json_auto_t *item = image_json(m);
        ec2_tags_add(tags, m->id, item);
        if (owner_asked(rq, m, owners) && executor_asked(rq, m, users) &&
            filters_match(filters, item, NULL))
            json_array_append(items, item);
    }
    return json_pack("{s:o}", "Images", items);
}

json_t *describe_images(Request *rq, GError **error)
{
    g_autofree const char **ids = request_strings(rq, "ImageIds");
    g_autoptr(Filters) filters =
        EC2_ONLY(rq, error, "ImageIds", "Owners", "ExecutableUsers", "Filters", "IncludeDeprecated")
            ? filters_new(rq, image_filters, TRUE, error)
            : NULL;

    if (!filters)
        return NULL;
    for (const char **id = ids; id && *id; id++)
        if (!id_is_ec2(*id, "ami"))
            return fail_null(error, IMAGE_ID_MALFORMED,
                             "Invalid id: \"%s\" (expecting \"ami-...\")", *id);
    g_autoptr(GPtrArray) list = images_list(rq->tx, rq->account_id, ids, error);
    return list ? show(rq, list, filters, error) : NULL;
}

static gboolean check_name(const char *name, GError **error)
{
    gsize length = name ? strlen(name) : 0;

    if (!name)
        return ec2_missing("Name", error);
    if (length < 3 || length > 128 || strspn(name, NAME_CHARACTERS) != length)
        return fail(error, INVALID_PARAMETER,
                    "AMI names must be between 3 and 128 characters long, and may contain letters,"
                    " numbers, '(', ')', '[', ']', ' ', '.', '/', '-', ''', '@', and '_'");
    return TRUE;
}

/* Where the files lie: below the installation's image folder; an administrator may name any path.
 * Caller frees. */
static char *resolve(const Request *rq, const char *given, GError **error)
{
    const char *folder = rq->context->config->image_dir;
    g_autofree char *path =
        given[0] == '/' ? g_strdup(given) : g_build_filename(folder, given, NULL);
    g_autofree char *whole = g_canonicalize_filename(path, "/");
    g_autofree char *below = g_strconcat(folder, "/", NULL);

    if (!rq->identity->is_admin && !g_str_has_prefix(whole, below))
        return fail_null(error, INVALID_PARAMETER,
                         "Value (%s) for parameter imageLocation is invalid. It must be the path of"
                         " a machine image below %s",
                         given, folder);
    return g_steal_pointer(&whole);
}

static Image *image_new(const Request *rq, const char *architecture, const char *root)
{
    Image *m = g_new0(Image, 1);

    m->id = id_ec2("ami");
    m->snapshot_id = id_ec2("snap");
    m->account_id = g_strdup(rq->account_id);
    m->name = g_strdup(request_text(rq, "Name"));
    m->description = g_strdup(request_text(rq, "Description"));
    m->architecture = g_strdup(architecture ? architecture : "x86_64");
    m->root_device_name = g_strdup(root ? root : DEFAULT_ROOT);
    m->state = g_strdup("pending");
    return m;
}

static gboolean check_register(const Request *rq, GError **error)
{
    static const char *const taggable[] = { "image", "snapshot", NULL };
    const char *architecture = request_text(rq, "Architecture");
    const char *boot = request_text(rq, "BootMode");

    if (!EC2_ONLY(rq, error, "Name", "Description", "Architecture", "RootDeviceName",
                  "ImageLocation", "VirtualizationType", "EnaSupport", "BootMode",
                  "TagSpecifications"))
        return FALSE;
    if (architecture && strcmp(architecture, "x86_64") != 0 && strcmp(architecture, "arm64") != 0)
        return fail(error, UNSUPPORTED,
                    "The parameter Architecture is not supported here with the value '%s'",
                    architecture);
    if (boot && strcmp(boot, "legacy-bios") != 0)
        return fail(error, UNSUPPORTED,
                    "The parameter BootMode is not supported here with the value '%s'", boot);
    if (!request_text(rq, "ImageLocation"))
        return ec2_missing("ImageLocation", error);
    return check_name(request_text(rq, "Name"), error) &&
           ec2_tag_specifications_check(rq, taggable, error);
}

json_t *register_image(Request *rq, GError **error)
{
    if (!check_register(rq, error))
        return NULL;
    g_autoptr(Image) m =
        image_new(rq, request_text(rq, "Architecture"), request_text(rq, "RootDeviceName"));
    m->ssh_user = g_strdup(DEFAULT_USER);
    m->location = resolve(rq, request_text(rq, "ImageLocation"), error);
    if (!m->location || !images_insert(rq->tx, m, error) ||
        !ec2_tag_specifications_set(rq, "image", (const char *const[]){ m->id, NULL }, 1, error) ||
        !ec2_tag_specifications_set(rq, "snapshot", (const char *const[]){ m->snapshot_id, NULL },
                                    1, error))
        return NULL;
    return json_pack("{s:s}", "ImageId", m->id);
}

/* Source: admin service, "ImportImage": any qcow2 or raw disk, or a folder with image.json. */
json_t *import_image(Request *rq, GError **error)
{
    const char *user = request_text(rq, "SshUser"), *path = request_text(rq, "Path");

    if (!check_name(request_text(rq, "Name"), error))
        return NULL;
    if (path[0] != '/')
        return fail_null(error, INVALID_PARAMETER, "Path \"%s\" must begin with a slash", path);
    g_autoptr(Image) m =
        image_new(rq, request_text(rq, "Architecture"), request_text(rq, "RootDeviceName"));
    m->ssh_user = g_strdup(user ? user : DEFAULT_USER);
    m->location = g_canonicalize_filename(path, "/");
    m->import_format = g_strdup(request_text(rq, "Format"));
    m->import_sha256 = g_strdup(request_text(rq, "Sha256"));
    m->is_public = request_bool(rq, "Public", FALSE);
    if (m->import_sha256 && !id_is_hex(m->import_sha256, 64))
        return fail_null(error, INVALID_PARAMETER, "Sha256 must be 64 lower-case hex digits");
    if (!images_insert(rq->tx, m, error))
        return NULL;
    return json_pack("{s:s, s:s, s:s}", "ImageId", m->id, "Name", m->name, "State", m->state);
}

/* The image, when the caller owns it. */
static Image *own_image(Request *rq, GError **error)
{
    const char *id = request_text(rq, "ImageId");

    if (!id) {
        ec2_missing("ImageId", error);
        return NULL;
    }
    if (!id_is_ec2(id, "ami"))
        return fail_null(error, IMAGE_ID_MALFORMED, "Invalid id: \"%s\" (expecting \"ami-...\")",
                         id);
    g_autoptr(Image) m = images_get(rq->tx, rq->account_id, id, TRUE, error);
    if (!m)
        return NULL;
    if (strcmp(m->account_id, rq->account_id) != 0)
        return fail_null(error, IMAGE_ACCESS, "Unauthorized attempt to access restricted resource");
    return g_steal_pointer(&m);
}

json_t *deregister_image(Request *rq, GError **error)
{
    g_autoptr(Image) m = EC2_ONLY(rq, error, "ImageId") ? own_image(rq, error) : NULL;

    if (!m || !images_deregister(rq->tx, m->id, error) ||
        !tags_forget(rq->tx, (const char *const[]){ m->id, NULL }, error))
        return NULL;
    return json_object();
}

/* -- attributes */

json_t *describe_image_attribute(Request *rq, GError **error)
{
    const char *attribute = request_text(rq, "Attribute");
    g_autoptr(Image) m = EC2_ONLY(rq, error, "ImageId", "Attribute") ? own_image(rq, error) : NULL;

    if (!m)
        return NULL;
    json_t *answer = json_pack("{s:s}", "ImageId", m->id);
    if (g_strcmp0(attribute, "description") == 0) {
        json_object_set_new(answer, "Description",
                            json_pack("{s:s}", "Value", m->description ? m->description : ""));
    } else if (g_strcmp0(attribute, "blockDeviceMapping") == 0) {
        json_auto_t *item = image_json(m);
        json_object_set(answer, "BlockDeviceMappings",
                        json_object_get(item, "BlockDeviceMappings"));
    } else if (g_strcmp0(attribute, "launchPermission") == 0) {
        g_autoptr(GPtrArray) users = images_permissions(rq->tx, m->id, error);
        json_t *list = json_array();
        if (m->is_public)
            json_array_append_new(list, json_pack("{s:s}", "Group", "all"));
        for (guint n = 0; users && n < users->len; n++)
            json_array_append_new(list, json_pack("{s:s}", "UserId", users->pdata[n]));
        json_object_set_new(answer, "LaunchPermissions", list);
        if (!users)
            g_clear_pointer(&answer, json_decref);
    } else {
        g_clear_pointer(&answer, json_decref);
        fail(error, UNSUPPORTED,
             "The parameter Attribute is not supported here with the value '%s'",
             attribute ? attribute : "");
    }
    return answer;
}

/* What launchPermission is to become: public or not, accounts that come and go. */
typedef struct {
    gboolean is_public;
    GPtrArray *add, *remove; /* end with NULL when read */
} Permission;

static gboolean permit(Permission *p, gboolean add, const char *group, const char *user,
                       GError **error)
{
    if (group && strcmp(group, "all") == 0) {
        p->is_public = add;
        return TRUE;
    }
    if (user && strlen(user) == 12 && strspn(user, "0123456789") == 12) {
        g_ptr_array_add(add ? p->add : p->remove, (gpointer)user);
        return TRUE;
    }
    return fail(error, IMAGE_ATTRIBUTE_VALUE,
                "Invalid attribute item value \"%s\" for %s item type.", user ? user : group,
                user ? "userId" : "group");
}

static gboolean permit_list(Permission *p, gboolean add, const json_t *list, GError **error)
{
    const json_t *row;
    size_t n;

    json_array_foreach(list, n, row)
    {
        if (!permit(p, add, json_text_at(row, "Group"), json_text_at(row, "UserId"), error))
            return FALSE;
    }
    return TRUE;
}

/* The old form: OperationType with UserIds and UserGroups. */
static gboolean permit_old(const Request *rq, Permission *p, GError **error)
{
    gboolean add = g_strcmp0(request_text(rq, "OperationType"), "add") == 0;
    const json_t *value;
    size_t n;

    json_array_foreach(request_member(rq, "UserIds"), n, value)
    {
        if (!permit(p, add, NULL, json_string_value(value), error))
            return FALSE;
    }
    json_array_foreach(request_member(rq, "UserGroups"), n, value)
    {
        if (!permit(p, add, json_string_value(value), NULL, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean modify_permission(Request *rq, const Image *m, GError **error)
{
    const json_t *change = request_member(rq, "LaunchPermission");
    g_autoptr(GPtrArray) add = g_ptr_array_new();
    g_autoptr(GPtrArray) remove = g_ptr_array_new();
    Permission p = { m->is_public, add, remove };

    if (!permit_list(&p, TRUE, json_object_get(change, "Add"), error) ||
        !permit_list(&p, FALSE, json_object_get(change, "Remove"), error) ||
        !permit_old(rq, &p, error))
        return FALSE;
    g_ptr_array_add(add, NULL);
    g_ptr_array_add(remove, NULL);
    return images_set_public(rq->tx, m->id, p.is_public, error) &&
           images_permit(rq->tx, m->id, (const char *const *)add->pdata,
                         (const char *const *)remove->pdata, error);
}

json_t *modify_image_attribute(Request *rq, GError **error)
{
    const char *attribute = request_text(rq, "Attribute");
    const char *text = json_text_at(request_member(rq, "Description"), "Value");
    g_autoptr(Image) m = EC2_ONLY(rq, error, "ImageId", "Attribute", "Value", "Description",
                                  "LaunchPermission", "OperationType", "UserIds", "UserGroups")
                             ? own_image(rq, error)
                             : NULL;

    if (!m)
        return NULL;
    if (attribute && strcmp(attribute, "launchPermission") != 0 &&
        strcmp(attribute, "description") != 0)
        return fail_null(error, UNSUPPORTED,
                         "The parameter Attribute is not supported here with the value '%s'",
                         attribute);
    if (g_strcmp0(attribute, "description") == 0 && request_text(rq, "Value"))
        text = request_text(rq, "Value");
    if ((text && !images_set_description(rq->tx, m->id, text, error)) ||
        !modify_permission(rq, m, error))
        return NULL;
    return json_object();
}
