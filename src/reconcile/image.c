#include "base/errors.h"
#include "base/fault.h"
#include "base/log.h"
#include "drivers/image_file.h"
#include "reconcile/kinds.h"
#include "store/accounts.h"
#include "store/history.h"
#include "store/images.h"
#include "store/images_used.h"

#include <string.h>
#include <sys/stat.h>

#define STILL_USED_MS 30000

/* Importing reads files of this machine: only an administrator's account may name them. */
static gboolean judge_owner(World *world, const Image *image, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->identity, DB_MODE_READ, error);
    g_autoptr(Account) account = tx ? accounts_get(tx, image->account_id, error) : NULL;

    if (!account)
        return FALSE;
    if (!account->is_admin)
        return fail(error, BAD_IMAGE, "only an administrator's account may register a file");
    if (!g_path_is_absolute(image->location))
        return fail(error, BAD_IMAGE, "\"%s\" is not an absolute path", image->location);
    return TRUE;
}

static gboolean is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void replace_text(char **text, const char *with)
{
    if (!with)
        return;
    g_free(*text);
    *text = g_strdup(with);
}

static gboolean judge_digest(const char *file, const char *found, const char *said, GError **error)
{
    if (!said || g_ascii_strcasecmp(found, said) == 0)
        return TRUE;
    return fail(error, BAD_IMAGE, "\"%s\" has SHA-256 %s instead of %s", file, found, said);
}

/* Copies the disk into the store, judges the copy and fills in what was found. */
static gboolean import_disk(World *world, Image *image, const char *file, const char *format,
                            const char *sha256, GError **error)
{
    const char *store = world->config->image_dir;
    guint64 bytes = 0;
    ImageFacts facts;

    if (!image_blob_add(store, file, &image->disk_sha256, &bytes, error))
        return FALSE;
    FAULT_POINT("image.copied");
    if (!judge_digest(file, image->disk_sha256, sha256, error) ||
        !image_blob_judge(store, image->disk_sha256, format, &facts, error)) {
        image_blob_delete(store, image->disk_sha256);
        return FALSE;
    }
    image->disk_format = g_strdup(image_format_name(facts.format));
    image->disk_bytes = (gint64)bytes;
    image->virtual_bytes = (gint64)facts.virtual_bytes;
    return TRUE;
}

static gboolean import_part(World *world, const char *folder, const char *name, char **ret_sha256,
                            GError **error)
{
    if (!name)
        return TRUE;
    g_autofree char *file = g_build_filename(folder, name, NULL);
    return image_blob_add(world->config->image_dir, file, ret_sha256, NULL, error);
}

static gboolean import_folder(World *world, Image *image, GError **error)
{
    g_autoptr(ImageManifest) manifest = image_manifest_load(image->location, error);

    if (!manifest)
        return FALSE;
    if (manifest->architecture && strcmp(manifest->architecture, image->architecture) != 0)
        return fail(error, BAD_IMAGE, "image is for %s, not for %s", manifest->architecture,
                    image->architecture);
    g_autofree char *disk = g_build_filename(image->location, manifest->disk, NULL);
    if (!import_disk(world, image, disk, manifest->format, manifest->sha256, error) ||
        !judge_digest(disk, image->disk_sha256, image->import_sha256, error) ||
        !import_part(world, image->location, manifest->kernel, &image->kernel_sha256, error) ||
        !import_part(world, image->location, manifest->initrd, &image->initrd_sha256, error))
        return FALSE;
    replace_text(&image->kernel_cmdline, manifest->cmdline);
    replace_text(&image->root_device_name, manifest->root_device_name);
    replace_text(&image->ssh_user, manifest->ssh_user);
    return TRUE;
}

static gboolean import(World *world, Image *image, GError **error)
{
    gboolean folder = is_folder(image->location);

    image_store_tidy(world->config->image_dir); /* of an import that was killed, maybe this one */
    if (!judge_owner(world, image, error))
        return FALSE;
    if (g_strcmp0(image->import_format, "berth") == 0 && !folder)
        return fail(error, BAD_IMAGE, "\"%s\" is not a folder with an image.json", image->location);
    if (folder)
        return import_folder(world, image, error);
    return import_disk(world, image, image->location, image->import_format, image->import_sha256,
                       error);
}

static gboolean record_available(World *world, const Image *image, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);

    return tx && images_record_available(tx, image, error) &&
           history_add(tx, "image", image->id, "imported", error) &&
           db_commit(g_steal_pointer(&tx), error);
}

static gboolean record_failed(World *world, const Image *image, const GError *cause, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);
    g_autofree char *what = g_strconcat("import refused: ", cause->message, NULL);

    return tx && images_record_state(tx, image->id, "failed", cause->message, error) &&
           history_add(tx, "image", image->id, what, error) &&
           db_commit(g_steal_pointer(&tx), error);
}

static StepResult step_import(World *world, Image *image, GError **error)
{
    g_autoptr(GError) cause = NULL;

    if (!import(world, image, &cause)) {
        if (error_is_transient(cause)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return STEP_FAILED;
        }
        log_warn(image->id, "import refused: %s", cause->message);
        return record_failed(world, image, cause, error) ? STEP_SETTLED : STEP_FAILED;
    }
    FAULT_POINT("image.imported");
    if (!record_available(world, image, error))
        return STEP_FAILED;
    FAULT_POINT("image.recorded");
    return STEP_SETTLED;
}

/* Files that no other image names go; hosts' copies go when their pools are looked over. */
static StepResult step_deregister(World *world, const Image *image, gint64 *ret_again_ms,
                                  GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);
    gboolean used = TRUE;

    if (!tx || !images_used(tx, image->id, &used, error))
        return STEP_FAILED;
    if (used) {
        *ret_again_ms = STILL_USED_MS;
        return STEP_LATER;
    }
    g_auto(GStrv) orphans = images_orphaned_blobs(tx, image->id, error);
    if (!orphans)
        return STEP_FAILED;
    for (char **sha256 = orphans; *sha256; sha256++)
        image_blob_delete(world->config->image_dir, *sha256);
    FAULT_POINT("image.files-deleted");
    if (!images_record_state(tx, image->id, "deregistered", image->fault, error) ||
        !db_commit(g_steal_pointer(&tx), error))
        return STEP_FAILED;
    FAULT_POINT("image.deregistered");
    return STEP_SETTLED;
}

StepResult image_step(World *world, const char *image_id, gint64 *ret_again_ms, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);
    g_autoptr(Image) image = tx ? images_load(tx, image_id, error) : NULL;

    if (!image)
        return STEP_FAILED;
    db_rollback(g_steal_pointer(&tx));
    if (image->deregistered)
        return strcmp(image->state, "deregistered") == 0
                   ? STEP_SETTLED
                   : step_deregister(world, image, ret_again_ms, error);
    if (strcmp(image->state, "pending") == 0)
        return step_import(world, image, error);
    return STEP_SETTLED;
}
