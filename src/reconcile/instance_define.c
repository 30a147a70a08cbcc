#include "base/errors.h"
#include "base/fault.h"
#include "reconcile/base.h"
#include "reconcile/instance.h"
#include "reconcile/management_key.h"
#include "reconcile/seed.h"
#include "store/hosts.h"
#include "store/images.h"
#include "store/instances.h"
#include "store/instances_seen.h"

#include <string.h>

#define WAIT_BASE_MS 1000
#define GIB          (G_GUINT64_CONSTANT(1) << 30)

typedef struct {
    Image *image;
    Host *host;
    GBytes *user_data;
    BaseVolumes *base;
} Parts;

static void parts_clear(Parts *parts)
{
    image_free(parts->image);
    host_free(parts->host);
    g_clear_pointer(&parts->user_data, g_bytes_unref);
    base_volumes_free(parts->base);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parts, parts_clear)

static gboolean parts_load(World *world, const Instance *i, Parts *parts, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);

    if (!tx || !(parts->image = images_load(tx, i->image_id, error)) ||
        !(parts->host = hosts_get(tx, i->host_id, FALSE, error)) ||
        !instances_user_data(tx, i->id, &parts->user_data, error))
        return FALSE;
    if (parts->image->disk_sha256)
        parts->base = base_volumes(parts->image);
    return TRUE;
}

static char *volume_name(const Instance *i, const char *suffix)
{
    return g_strconcat(i->id, suffix, NULL);
}

static gboolean make_seed(World *world, Hyper *hyper, const Instance *i, const Parts *parts,
                          GError **error)
{
    g_autofree char *management_key = management_key_public(world, error);
    g_autofree char *volume = volume_name(i, ".seed.iso");
    gsize length = 0;

    if (!management_key)
        return FALSE;
    g_autofree guint8 *disk =
        seed_build(i, world->config->region, management_key, parts->user_data, &length);
    return hyper_upload_bytes(hyper, volume, disk, length, error);
}

static gboolean make_disk(Hyper *hyper, const Instance *i, const Parts *parts, GError **error)
{
    g_autofree char *volume = volume_name(i, ".qcow2");
    guint64 bytes = MAX((guint64)i->root_volume_gib * GIB, (guint64)parts->image->virtual_bytes);

    return hyper_overlay(hyper, volume, parts->base->disk, parts->image->disk_format, bytes, error);
}

static gboolean make_domain(Hyper *hyper, const Instance *i, const Parts *parts, GError **error)
{
    g_autofree char *disk = volume_name(i, ".qcow2");
    g_autofree char *seed = volume_name(i, ".seed.iso");
    gboolean kvm = g_strcmp0(parts->host->accelerator, "kvm") == 0;
    HyperDomain domain = {
        .name = i->id,
        .uuid = i->domain_uuid,
        .vcpus = (guint)i->vcpus,
        .memory_mib = (guint)i->memory_mib,
        .accelerator = kvm ? ACCELERATOR_KVM : ACCELERATOR_TCG,
        .architecture = strcmp(i->architecture, "arm64") == 0 ? "aarch64" : i->architecture,
        .mac = i->mac,
        .ip = i->private_ip,
        .disk = disk,
        .seed = seed,
        .kernel = parts->base->kernel,
        .initrd = parts->base->initrd,
        .cmdline = parts->image->kernel_cmdline,
    };

    return hyper_define(hyper, &domain, error);
}

static gboolean record_defined(World *world, const Instance *i, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);

    return tx && instances_record_defined(tx, i->id, error);
}

/* No guest has run yet, so the disk is made anew whatever an earlier try left. */
static gboolean define_all(World *world, Hyper *hyper, const Instance *i, const Parts *parts,
                           GError **error)
{
    if (!hyper_ensure(hyper, error) || !hyper_address_add(hyper, i->mac, i->private_ip, error))
        return FALSE;
    FAULT_POINT("instance.address");
    if (!make_disk(hyper, i, parts, error))
        return FALSE;
    FAULT_POINT("instance.disk");
    if (!make_seed(world, hyper, i, parts, error))
        return FALSE;
    FAULT_POINT("instance.seed");
    if (!make_domain(hyper, i, parts, error))
        return FALSE;
    FAULT_POINT("instance.defined");
    return record_defined(world, i, error);
}

StepResult instance_define(World *world, Hyper *hyper, const Instance *i, gint64 *ret_again_ms,
                           GError **error)
{
    g_auto(Parts) parts = { 0 };
    gboolean complete = FALSE;

    if (!parts_load(world, i, &parts, error) || !hyper_ensure(hyper, error))
        return STEP_FAILED;
    if (parts.base && !base_complete(hyper, parts.base, &complete, error))
        return STEP_FAILED;
    if (!complete) {
        base_ask(world, i->host_id, i->image_id); /* wakes this instance when it is done */
        *ret_again_ms = WAIT_BASE_MS;
        return STEP_LATER;
    }
    return define_all(world, hyper, i, &parts, error) ? STEP_AGAIN : STEP_FAILED;
}

gboolean instance_clean(Hyper *hyper, const Instance *i, GError **error)
{
    g_autofree char *disk = volume_name(i, ".qcow2");
    g_autofree char *seed = volume_name(i, ".seed.iso");

    if (!hyper_ensure(hyper, error) || !hyper_address_remove(hyper, i->mac, error))
        return FALSE;
    FAULT_POINT("instance.address-removed");
    if (!hyper_volume_delete(hyper, disk, error) || !hyper_volume_delete(hyper, seed, error))
        return FALSE;
    FAULT_POINT("instance.volumes-deleted");
    return hyper_guest_files_delete(hyper, i->id, error);
}
