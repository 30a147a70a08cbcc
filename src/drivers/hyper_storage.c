#include "base/crypto.h"
#include "base/errors.h"
#include "drivers/hyper_internal.h"
#include "drivers/hyper_xml.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/mman.h>
#include <unistd.h>

#define IMAGES_DIR    "/var/lib/libvirt/images/"
#define MARKER_SUFFIX ".ok"
#define MARKER_BYTES  512
#define CHUNK         (256 * 1024)

/* ---- pools */

static char *pool_name(const HyperSettings *settings, gboolean console)
{
    return g_strconcat(settings->name, console ? "-console" : "", NULL);
}

static char *pool_path(const HyperSettings *settings, gboolean console)
{
    g_autofree char *name = pool_name(settings, console);

    return g_strconcat(IMAGES_DIR, name, NULL);
}

char *hyper_guest_path(const HyperSettings *settings, const char *name, GuestFile which)
{
    g_autofree char *path = pool_path(settings, TRUE);

    return g_strconcat(path, "/", name, which == GUEST_CONSOLE ? ".console" : ".hostkey", NULL);
}

static gboolean pool_is_ours(Hyper *hyper, virStoragePoolPtr pool, const char *name, GError **error)
{
    g_autofree char *expected = hyper_derived_uuid(hyper->settings, name);
    char uuid[VIR_UUID_STRING_BUFLEN];

    if (virStoragePoolGetUUIDString(pool, uuid) < 0)
        return hyper_fail(hyper, error, "cannot read storage pool \"%s\"", name);
    if (strcmp(uuid, expected) != 0)
        return fail(error, CONFIG,
                    "storage pool \"%s\" on host \"%s\" was not made by this installation; choose "
                    "another name in [berth] name",
                    name, hyper->uri);
    return TRUE;
}

virStoragePoolPtr hyper_pool(Hyper *hyper, gboolean console, GError **error)
{
    g_autofree char *name = pool_name(hyper->settings, console);
    g_autoptr(virStoragePool) pool = virStoragePoolLookupByName(hyper->conn, name);

    if (!pool) {
        hyper_fail(hyper, error, "cannot find storage pool \"%s\"", name);
        return NULL;
    }
    if (!pool_is_ours(hyper, pool, name, error))
        return NULL;
    return g_steal_pointer(&pool);
}

static virStoragePoolPtr pool_define(Hyper *hyper, gboolean console, GError **error)
{
    g_autofree char *name = pool_name(hyper->settings, console);
    g_autofree char *path = pool_path(hyper->settings, console);
    g_autofree char *uuid = hyper_derived_uuid(hyper->settings, name);
    g_autofree char *xml = hyper_pool_xml(name, uuid, path);
    g_autoptr(virStoragePool) pool = virStoragePoolDefineXML(hyper->conn, xml, 0);

    if (!pool || virStoragePoolBuild(pool, 0) < 0 || virStoragePoolSetAutostart(pool, 1) < 0) {
        hyper_fail(hyper, error, "cannot make storage pool \"%s\"", name);
        return NULL;
    }
    return g_steal_pointer(&pool);
}

static gboolean pool_ensure(Hyper *hyper, gboolean console, GError **error)
{
    g_autofree char *name = pool_name(hyper->settings, console);
    g_autoptr(virStoragePool) pool = virStoragePoolLookupByName(hyper->conn, name);

    if (!pool && !hyper_last_is(VIR_ERR_NO_STORAGE_POOL))
        return hyper_fail(hyper, error, "cannot look for storage pool \"%s\"", name);
    if (!pool)
        pool = pool_define(hyper, console, error);
    if (!pool || !pool_is_ours(hyper, pool, name, error))
        return FALSE;
    /* building again makes a folder that somebody removed; another worker may start it first */
    if (virStoragePoolIsActive(pool) != 1 &&
        (virStoragePoolBuild(pool, 0) < 0 || virStoragePoolCreate(pool, 0) < 0) &&
        virStoragePoolIsActive(pool) != 1)
        return hyper_fail(hyper, error, "cannot start storage pool \"%s\"", name);
    return TRUE;
}

gboolean hyper_pools_ensure(Hyper *hyper, GError **error)
{
    return pool_ensure(hyper, FALSE, error) && pool_ensure(hyper, TRUE, error);
}

static gboolean volumes_delete_all(Hyper *hyper, virStoragePoolPtr pool, GError **error)
{
    virStorageVolPtr *volumes = NULL;
    gboolean deleted = TRUE;

    virStoragePoolRefresh(pool, 0);
    int count = virStoragePoolListAllVolumes(pool, &volumes, 0);
    if (count < 0)
        return hyper_fail(hyper, error, "cannot list volumes");
    for (int i = 0; i < count; i++) {
        const char *name = virStorageVolGetName(volumes[i]);
        if (deleted && virStorageVolDelete(volumes[i], 0) < 0)
            deleted = hyper_fail(hyper, error, "cannot delete volume \"%s\"", name);
        virStorageVolFree(volumes[i]);
    }
    free(volumes);
    return deleted;
}

static gboolean pool_remove(Hyper *hyper, gboolean console, GError **error)
{
    g_autofree char *name = pool_name(hyper->settings, console);
    g_autoptr(virStoragePool) pool = virStoragePoolLookupByName(hyper->conn, name);

    if (!pool && hyper_last_is(VIR_ERR_NO_STORAGE_POOL))
        return TRUE;
    if (!pool)
        return hyper_fail(hyper, error, "cannot look for storage pool \"%s\"", name);
    if (!pool_is_ours(hyper, pool, name, error))
        return FALSE;
    if (virStoragePoolIsActive(pool) == 1) {
        if (!volumes_delete_all(hyper, pool, error))
            return FALSE;
        if (virStoragePoolDestroy(pool) < 0)
            return hyper_fail(hyper, error, "cannot stop storage pool \"%s\"", name);
    }
    if (virStoragePoolDelete(pool, 0) < 0)
        return hyper_fail(hyper, error, "cannot delete the folder of storage pool \"%s\"", name);
    return virStoragePoolUndefine(pool) == 0 ||
           hyper_fail(hyper, error, "cannot undefine storage pool \"%s\"", name);
}

gboolean hyper_pools_remove(Hyper *hyper, GError **error)
{
    return pool_remove(hyper, FALSE, error) && pool_remove(hyper, TRUE, error);
}

/* ---- volumes */

/* The volume, or NULL: with *error when the host failed, without when it is absent. */
static virStorageVolPtr volume_find(Hyper *hyper, virStoragePoolPtr pool, const char *volume,
                                    GError **error)
{
    virStorageVolPtr found = virStorageVolLookupByName(pool, volume);

    if (!found && !hyper_last_is(VIR_ERR_NO_STORAGE_VOL))
        hyper_fail(hyper, error, "cannot look for volume \"%s\"", volume);
    return found;
}

gboolean hyper_volume_exists(Hyper *hyper, const char *volume, gboolean *ret_exists, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(virStoragePool) pool = hyper_pool(hyper, FALSE, error);

    if (!pool)
        return FALSE;
    g_autoptr(virStorageVol) found = volume_find(hyper, pool, volume, &cause);
    *ret_exists = found != NULL;
    if (cause)
        g_propagate_error(error, g_steal_pointer(&cause));
    return found || !error || !*error;
}

char *hyper_volume_path(Hyper *hyper, const char *volume, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(virStoragePool) pool = hyper_pool(hyper, FALSE, error);

    if (!pool)
        return NULL;
    g_autoptr(virStorageVol) found = volume_find(hyper, pool, volume, &cause);
    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    if (!found)
        return fail_null(error, NOT_FOUND, "volume \"%s\" is not on host \"%s\"", volume,
                         hyper->uri);
    char *libvirts = virStorageVolGetPath(found);
    if (!libvirts) {
        hyper_fail(hyper, error, "cannot read the path of volume \"%s\"", volume);
        return NULL;
    }
    char *path = g_strdup(libvirts);
    free(libvirts);
    return path;
}

static gboolean volume_delete_in(Hyper *hyper, virStoragePoolPtr pool, const char *volume,
                                 GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(virStorageVol) found = volume_find(hyper, pool, volume, &cause);

    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (!found || virStorageVolDelete(found, 0) == 0 || hyper_last_is(VIR_ERR_NO_STORAGE_VOL))
        return TRUE;
    return hyper_fail(hyper, error, "cannot delete volume \"%s\"", volume);
}

gboolean hyper_volume_delete(Hyper *hyper, const char *volume, GError **error)
{
    g_autofree char *marker = g_strconcat(volume, MARKER_SUFFIX, NULL);
    g_autoptr(virStoragePool) pool = hyper_pool(hyper, FALSE, error);

    return pool && volume_delete_in(hyper, pool, marker, error) &&
           volume_delete_in(hyper, pool, volume, error);
}

static virStorageVolPtr volume_create(Hyper *hyper, virStoragePoolPtr pool, const char *volume,
                                      const char *xml, GError **error)
{
    virStorageVolPtr made = virStorageVolCreateXML(pool, xml, 0);

    /* a file that libvirt does not know of yet: what a killed libvirtd left */
    if (!made && virStoragePoolRefresh(pool, 0) == 0 && volume_delete_in(hyper, pool, volume, NULL))
        made = virStorageVolCreateXML(pool, xml, 0);
    if (!made)
        hyper_fail(hyper, error, "cannot make volume \"%s\"", volume);
    return made;
}

gboolean hyper_overlay(Hyper *hyper, const char *volume, const char *base, const char *base_format,
                       guint64 bytes, GError **error)
{
    g_autofree char *base_path = hyper_volume_path(hyper, base, error);
    g_autoptr(virStoragePool) pool = base_path ? hyper_pool(hyper, FALSE, error) : NULL;

    if (!pool || !volume_delete_in(hyper, pool, volume, error))
        return FALSE;
    g_autofree char *xml = hyper_volume_xml(volume, "qcow2", bytes, base_path, base_format);
    g_autoptr(virStorageVol) made = volume_create(hyper, pool, volume, xml, error);
    return made != NULL;
}

char **hyper_volumes(Hyper *hyper, gboolean console, GError **error)
{
    g_autoptr(virStoragePool) pool = hyper_pool(hyper, console, error);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    virStorageVolPtr *volumes = NULL;

    if (!pool)
        return NULL;
    virStoragePoolRefresh(pool, 0); /* refused while a copy runs: then the list is as it was */
    int count = virStoragePoolListAllVolumes(pool, &volumes, 0);
    if (count < 0) {
        hyper_fail(hyper, error, "cannot list volumes");
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        g_ptr_array_add(names, g_strdup(virStorageVolGetName(volumes[i])));
        virStorageVolFree(volumes[i]);
    }
    free(volumes);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

/* ---- uploads */

typedef struct {
    int fd;
    CryptoDigest *digest; /* over what is read, holes as zeros */
} Source;

static int source_read(virStreamPtr stream G_GNUC_UNUSED, char *data, size_t size, void *user)
{
    Source *source = user;
    ssize_t got = read(source->fd, data, size);

    if (got > 0)
        crypto_digest_add(source->digest, data, (gsize)got);
    return (int)got;
}

/* What lies at the current position: data or a hole, and how long it is. */
static int source_extent(virStreamPtr stream G_GNUC_UNUSED, int *ret_data, long long *ret_length,
                         void *user)
{
    Source *source = user;
    off_t here = lseek(source->fd, 0, SEEK_CUR);
    off_t data = lseek(source->fd, here, SEEK_DATA);
    off_t end = data == here ? lseek(source->fd, here, SEEK_HOLE) : data;

    *ret_data = data == here;
    if (data < 0 && errno == ENXIO)
        end = lseek(source->fd, 0, SEEK_END);
    *ret_length = end - here;
    return end < here || lseek(source->fd, here, SEEK_SET) < 0 ? -1 : 0;
}

static int source_skip(virStreamPtr stream G_GNUC_UNUSED, long long length, void *user)
{
    static const char zeros[CHUNK];
    Source *source = user;

    for (long long left = length; left > 0; left -= MIN(left, (long long)sizeof zeros))
        crypto_digest_add(source->digest, zeros, (gsize)MIN(left, (long long)sizeof zeros));
    return lseek(source->fd, length, SEEK_CUR) < 0 ? -1 : 0;
}

static gboolean volume_fill(Hyper *hyper, virStorageVolPtr volume, Source *source, guint64 bytes,
                            GError **error)
{
    const char *name = virStorageVolGetName(volume); /* first: it forgets libvirt's last error */
    g_autoptr(virStream) stream = virStreamNew(hyper->conn, 0);

    if (stream &&
        virStorageVolUpload(volume, stream, 0, bytes, VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM) == 0 &&
        virStreamSparseSendAll(stream, source_read, source_extent, source_skip, source) == 0 &&
        virStreamFinish(stream) == 0)
        return TRUE;
    return hyper_fail(hyper, error, "cannot copy into volume \"%s\"", name);
}

static gboolean volume_upload(Hyper *hyper, const char *name, int fd, guint64 bytes,
                              const char *sha256, GError **error)
{
    g_autofree char *xml = hyper_volume_xml(name, "raw", bytes, NULL, NULL);
    g_autoptr(virStoragePool) pool = hyper_pool(hyper, FALSE, error);
    char digest[CRYPTO_SHA256_HEX_SIZE];

    if (!pool || !volume_delete_in(hyper, pool, name, error))
        return FALSE;
    g_autoptr(virStorageVol) volume = volume_create(hyper, pool, name, xml, error);
    Source source = { .fd = fd, .digest = volume ? crypto_digest_new() : NULL };
    if (!volume)
        return FALSE;
    gboolean filled = volume_fill(hyper, volume, &source, bytes, error);
    crypto_digest_end(source.digest, digest);
    if (!filled)
        return FALSE;
    if (strcmp(digest, sha256) != 0) {
        volume_delete_in(hyper, pool, name, NULL);
        return fail(error, BAD_IMAGE, "file of volume \"%s\" has SHA-256 %s instead of %s", name,
                    digest, sha256);
    }
    return TRUE;
}

gboolean hyper_upload_complete(Hyper *hyper, const char *volume, gboolean *ret_complete,
                               GError **error)
{
    g_autofree char *marker = g_strconcat(volume, MARKER_SUFFIX, NULL);

    return hyper_volume_exists(hyper, marker, ret_complete, error);
}

static gboolean marker_create(Hyper *hyper, const char *volume, GError **error)
{
    g_autofree char *marker = g_strconcat(volume, MARKER_SUFFIX, NULL);
    g_autofree char *xml = hyper_volume_xml(marker, "raw", MARKER_BYTES, NULL, NULL);
    g_autoptr(virStoragePool) pool = hyper_pool(hyper, FALSE, error);
    g_autoptr(virStorageVol) made = pool ? volume_create(hyper, pool, marker, xml, error) : NULL;

    return made != NULL;
}

gboolean hyper_upload_file(Hyper *hyper, const char *volume, const char *file, const char *sha256,
                           GError **error)
{
    gboolean complete = FALSE;
    struct stat st;

    if (!hyper_upload_complete(hyper, volume, &complete, error))
        return FALSE;
    if (complete)
        return TRUE;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int cause = errno;
        if (fd >= 0)
            close(fd);
        return fail(error, BAD_IMAGE, "cannot read \"%s\": %s", file, g_strerror(cause));
    }
    gboolean done = volume_upload(hyper, volume, fd, (guint64)st.st_size, sha256, error);
    close(fd);
    return done && marker_create(hyper, volume, error);
}

gboolean hyper_upload_bytes(Hyper *hyper, const char *volume, const void *data, gsize length,
                            GError **error)
{
    char sha256[CRYPTO_SHA256_HEX_SIZE];
    int fd = memfd_create("volume", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) < 0) {
        int cause = errno;
        if (fd >= 0)
            close(fd);
        return fail(error, INTERNAL, "cannot hold volume \"%s\" in memory: %s", volume,
                    g_strerror(cause));
    }
    crypto_sha256_hex(data, length, sha256);
    gboolean done = volume_upload(hyper, volume, fd, length, sha256, error);
    close(fd);
    return done;
}
