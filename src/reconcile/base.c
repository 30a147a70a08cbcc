#include "reconcile/base.h"
#include "base/errors.h"
#include "base/fault.h"
#include "drivers/image_file.h"
#include "reconcile/hosts.h"
#include "reconcile/kinds.h"
#include "reconcile/queue.h"
#include "store/images.h"
#include "store/instances_waiting.h"

#include <string.h>

BaseVolumes *base_volumes(const Image *image)
{
    BaseVolumes *volumes = g_new0(BaseVolumes, 1);

    volumes->disk = g_strjoin(".", image->id, image->disk_format, NULL);
    if (image->kernel_sha256)
        volumes->kernel = g_strconcat(image->id, ".kernel", NULL);
    if (image->initrd_sha256)
        volumes->initrd = g_strconcat(image->id, ".initrd", NULL);
    return volumes;
}

void base_volumes_free(BaseVolumes *volumes)
{
    if (!volumes)
        return;
    g_free(volumes->disk);
    g_free(volumes->kernel);
    g_free(volumes->initrd);
    g_free(volumes);
}

gboolean base_complete(Hyper *hyper, const BaseVolumes *volumes, gboolean *ret_complete,
                       GError **error)
{
    const char *names[] = { volumes->disk, volumes->kernel, volumes->initrd };

    *ret_complete = TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(names) && *ret_complete; i++)
        if (names[i] && !hyper_upload_complete(hyper, names[i], ret_complete, error))
            return FALSE;
    return TRUE;
}

void base_ask(World *world, const char *host_id, const char *image_id)
{
    g_autofree char *id = g_strjoin("/", host_id, image_id, NULL);

    wake_push(world->wakes, "base", id);
}

static gboolean copy_part(World *world, Hyper *hyper, const char *volume, const char *sha256,
                          GError **error)
{
    if (!volume)
        return TRUE;
    g_autofree char *file = image_blob_path(world->config->image_dir, sha256);
    return hyper_upload_file(hyper, volume, file, sha256, error);
}

static gboolean copy_all(World *world, Hyper *hyper, const Image *image, GError **error)
{
    g_autoptr(BaseVolumes) volumes = base_volumes(image);

    if (!hyper_ensure(hyper, error) ||
        !copy_part(world, hyper, volumes->kernel, image->kernel_sha256, error) ||
        !copy_part(world, hyper, volumes->initrd, image->initrd_sha256, error))
        return FALSE;
    FAULT_POINT("base.kernel");
    return copy_part(world, hyper, volumes->disk, image->disk_sha256, error);
}

/* Steps of the instances that wait for the files; of another process too. */
static gboolean wake_waiting(World *world, const char *host_id, const char *image_id,
                             GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);

    return tx && instances_wake_waiting(tx, host_id, image_id, error) &&
           db_commit(g_steal_pointer(&tx), error);
}

static gboolean fault_waiting(World *world, const char *host_id, const char *image_id,
                              const GError *cause, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);

    return tx && instances_fault_waiting(tx, host_id, image_id, cause->message, error) &&
           db_commit(g_steal_pointer(&tx), error);
}

static Image *load_image(World *world, const char *image_id, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);

    return tx ? images_load(tx, image_id, error) : NULL;
}

StepResult base_step(World *world, const char *id, gint64 *ret_again_ms G_GNUC_UNUSED,
                     GError **error)
{
    g_auto(GStrv) parts = g_strsplit(id, "/", 2);
    g_autoptr(GError) cause = NULL;

    if (g_strv_length(parts) != 2) {
        fail(error, INTERNAL, "\"%s\" is not a host and an image", id);
        return STEP_FAILED;
    }
    g_autoptr(Image) image = load_image(world, parts[1], error);
    if (!image)
        return STEP_FAILED;
    if (!image->disk_sha256)
        return STEP_SETTLED; /* its own step has not imported it, or refused it */
    g_autoptr(Hyper) hyper = host_pool_by_id(world->hosts, parts[0], error);
    if (!hyper)
        return STEP_FAILED;
    if (copy_all(world, hyper, image, &cause)) {
        FAULT_POINT("base.copied");
        return wake_waiting(world, parts[0], parts[1], error) ? STEP_SETTLED : STEP_FAILED;
    }
    if (error_is(cause, ERROR_BAD_IMAGE) && !fault_waiting(world, parts[0], parts[1], cause, error))
        return STEP_FAILED;
    g_propagate_error(error, g_steal_pointer(&cause));
    return STEP_FAILED;
}
