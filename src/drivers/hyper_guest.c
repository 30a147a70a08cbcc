#include "base/errors.h"
#include "drivers/hyper_internal.h"

#include <string.h>

/* Files that guests wrote, read through the console pool, so that a host far away works like a
 * local one. Their bytes are the guest's: sizes are taken from the file itself, never from what
 * its content says it is. */

/* NULL without *error when the guest has not written yet. */
static virStorageVolPtr guest_volume(Hyper *hyper, const char *path, GError **error)
{
    virStorageVolPtr volume = virStorageVolLookupByPath(hyper->conn, path);

    if (volume)
        return volume;
    g_autoptr(virStoragePool) pool = hyper_pool(hyper, TRUE, error);
    if (!pool)
        return NULL;
    virStoragePoolRefresh(pool, 0); /* the file is new: libvirt has not seen it yet */
    g_autofree char *name = g_path_get_basename(path);
    volume = virStorageVolLookupByName(pool, name);
    if (!volume && !hyper_last_is(VIR_ERR_NO_STORAGE_VOL))
        hyper_fail(hyper, error, "cannot look for \"%s\"", path);
    return volume;
}

static gboolean receive(virStreamPtr stream, char *text, gsize max, gsize *ret_length)
{
    gsize length = 0;
    int got = 1;

    while (length < max && got > 0) {
        got = virStreamRecv(stream, text + length, max - length);
        if (got > 0)
            length += (gsize)got;
    }
    *ret_length = length;
    if (length < max && got == 0)
        return virStreamFinish(stream) == 0;
    virStreamAbort(stream); /* it grows while we read: enough */
    return got >= 0;
}

char *hyper_guest_file(Hyper *hyper, const char *name, GuestFile which, gsize max,
                       gsize *ret_length, GError **error)
{
    g_autofree char *path = hyper_guest_path(hyper->settings, name, which);
    g_autoptr(GError) cause = NULL;
    g_autoptr(virStorageVol) volume = guest_volume(hyper, path, &cause);
    g_autofree char *text = g_malloc0(max + 1);
    virStorageVolInfo info;

    *ret_length = 0;
    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    if (!volume)
        return g_steal_pointer(&text);
    if (virStorageVolGetInfoFlags(volume, &info, VIR_STORAGE_VOL_GET_PHYSICAL) < 0) {
        hyper_fail(hyper, error, "cannot read the size of \"%s\"", path);
        return NULL;
    }
    guint64 size = info.allocation; /* with this flag: the file's length */
    if (size == 0)
        return g_steal_pointer(&text);
    g_autoptr(virStream) stream = virStreamNew(hyper->conn, 0);
    if (!stream || virStorageVolDownload(volume, stream, size > max ? size - max : 0, 0, 0) < 0 ||
        !receive(stream, text, max, ret_length)) {
        hyper_fail(hyper, error, "cannot read \"%s\"", path);
        return NULL;
    }
    return g_steal_pointer(&text);
}

gboolean hyper_guest_files_delete(Hyper *hyper, const char *name, GError **error)
{
    g_autofree char *prefix = g_strconcat(name, ".", NULL);
    g_auto(GStrv) names = hyper_volumes(hyper, TRUE, error);
    g_autoptr(virStoragePool) pool = names ? hyper_pool(hyper, TRUE, error) : NULL;

    if (!pool)
        return FALSE;
    for (char **each = names; *each; each++) {
        if (!g_str_has_prefix(*each, prefix))
            continue;
        g_autoptr(virStorageVol) volume = virStorageVolLookupByName(pool, *each);
        if (volume && virStorageVolDelete(volume, 0) < 0 && !hyper_last_is(VIR_ERR_NO_STORAGE_VOL))
            return hyper_fail(hyper, error, "cannot delete \"%s\"", *each);
    }
    return TRUE;
}
