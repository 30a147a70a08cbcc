#include "drivers/image_file.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "base/id.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST_MAX (64 * 1024)
#define BLOCK        (1024 * 1024)
#define TEMPORARY    "new-" /* in front of a copy that is not whole yet */

/* ---- image.json */

void image_manifest_free(ImageManifest *m)
{
    if (!m)
        return;
    char *texts[] = { m->disk,    m->kernel,       m->initrd,           m->format,  m->sha256,
                      m->cmdline, m->architecture, m->root_device_name, m->ssh_user };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    g_free(m);
}

/* A name inside the folder, never a path out of it. */
static gboolean plain_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/') && strlen(name) <= 255;
}

static gboolean member_text(const json_t *object, const char *name, gboolean needed,
                            char **ret_text, GError **error)
{
    const json_t *member = json_object_get(object, name);

    if ((!member || json_is_null(member)) && !needed)
        return TRUE;
    if (!json_is_string(member) || json_string_length(member) > 2048)
        return fail(error, BAD_IMAGE, "image.json: \"%s\" is not a text", name);
    *ret_text = g_strdup(json_string_value(member));
    for (const char *p = *ret_text; *p; p++)
        if ((guchar)*p < 0x20 || *p == 0x7f)
            return fail(error, BAD_IMAGE, "image.json: \"%s\" has a control character", name);
    return TRUE;
}

static gboolean member_file(const json_t *object, const char *name, gboolean needed,
                            char **ret_name, GError **error)
{
    if (!member_text(object, name, needed, ret_name, error))
        return FALSE;
    return !*ret_name || plain_name(*ret_name) ||
           fail(error, BAD_IMAGE, "image.json: \"%s\" is not the name of a file beside it", name);
}

static gboolean manifest_members(const json_t *tree, ImageManifest *m, GError **error)
{
    const json_t *disk = json_object_get(tree, "disk");

    return member_file(disk, "file", TRUE, &m->disk, error) &&
           member_text(disk, "format", FALSE, &m->format, error) &&
           member_text(disk, "sha256", FALSE, &m->sha256, error) &&
           member_file(tree, "kernel", FALSE, &m->kernel, error) &&
           member_file(tree, "initrd", FALSE, &m->initrd, error) &&
           member_text(tree, "cmdline", FALSE, &m->cmdline, error) &&
           member_text(tree, "architecture", FALSE, &m->architecture, error) &&
           member_text(tree, "root_device_name", FALSE, &m->root_device_name, error) &&
           member_text(tree, "ssh_user", FALSE, &m->ssh_user, error);
}

ImageManifest *image_manifest_parse(const char *text, gsize length, GError **error)
{
    g_autoptr(ImageManifest) manifest = g_new0(ImageManifest, 1);
    json_error_t cause;
    json_auto_t *tree = json_loadb(text, length, JSON_REJECT_DUPLICATES, &cause);

    if (!tree)
        return fail_null(error, BAD_IMAGE, "image.json: line %d: %s", cause.line, cause.text);
    if (!manifest_members(tree, manifest, error))
        return NULL;
    if (manifest->initrd && !manifest->kernel)
        return fail_null(error, BAD_IMAGE, "image.json: an initrd needs a kernel");
    return g_steal_pointer(&manifest);
}

ImageManifest *image_manifest_load(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "image.json", NULL);
    g_autofree char *text = g_malloc(MANIFEST_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : read(fd, text, MANIFEST_MAX);
    int cause = errno;

    if (fd >= 0)
        close(fd);
    if (got < 0)
        return fail_null(error, BAD_IMAGE, "cannot read \"%s\": %s", path, g_strerror(cause));
    if (got == MANIFEST_MAX)
        return fail_null(error, BAD_IMAGE, "\"%s\" is too large", path);
    return image_manifest_parse(text, (gsize)got, error);
}

/* ---- the store */

char *image_blob_path(const char *store, const char *sha256)
{
    return g_build_filename(store, "blobs", sha256, NULL);
}

static int source_open(const char *file, guint64 *ret_bytes, GError **error)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        int cause = errno;
        if (fd >= 0)
            close(fd);
        return fail_int(error, BAD_IMAGE, "cannot read \"%s\": %s", file, g_strerror(cause));
    }
    *ret_bytes = (guint64)st.st_size;
    if (S_ISREG(st.st_mode) && *ret_bytes > 0 && *ret_bytes <= IMAGE_FILE_MAX)
        return fd;
    close(fd);
    return fail_int(error, BAD_IMAGE, "\"%s\" is not a file of 1 byte to 1 TiB", file);
}

static gboolean block_is_zero(const guint8 *block, gsize length)
{
    return block[0] == 0 && memcmp(block, block + 1, length - 1) == 0;
}

/* Copies to the end; zeros become holes. The digest is of what was written. */
static gboolean copy_all(int from, int to, CryptoDigest *digest, guint64 *ret_bytes, GError **error)
{
    g_autofree guint8 *block = g_malloc(BLOCK);
    ssize_t got;

    *ret_bytes = 0;
    while ((got = read(from, block, BLOCK)) > 0) {
        crypto_digest_add(digest, block, (gsize)got);
        *ret_bytes += (guint64)got;
        if (block_is_zero(block, (gsize)got) ? lseek(to, got, SEEK_CUR) < 0
                                             : write(to, block, (gsize)got) != got)
            return fail(error, INTERNAL, "cannot copy an image: %s", g_strerror(errno));
        if (*ret_bytes > IMAGE_FILE_MAX)
            return fail(error, BAD_IMAGE, "file grew over 1 TiB while it was copied");
    }
    if (got < 0)
        return fail(error, BAD_IMAGE, "cannot read the file: %s", g_strerror(errno));
    return (ftruncate(to, (off_t)*ret_bytes) == 0 && fsync(to) == 0) ||
           fail(error, INTERNAL, "cannot copy an image: %s", g_strerror(errno));
}

static gboolean blob_keep(const char *store, const char *temporary, const char *sha256,
                          GError **error)
{
    g_autofree char *path = image_blob_path(store, sha256);
    g_autofree char *folder = g_path_get_dirname(path);

    if (rename(temporary, path) < 0)
        return fail(error, INTERNAL, "cannot keep \"%s\": %s", path, g_strerror(errno));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    return TRUE;
}

static gboolean blob_copy(const char *store, int from, const char *temporary, char **ret_sha256,
                          guint64 *ret_bytes, GError **error)
{
    char hex[CRYPTO_SHA256_HEX_SIZE];
    int to = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (to < 0)
        return fail(error, INTERNAL, "cannot make \"%s\": %s", temporary, g_strerror(errno));
    flock(to, LOCK_EX); /* not a leftover while this process lives */
    CryptoDigest *digest = crypto_digest_new();
    gboolean copied = copy_all(from, to, digest, ret_bytes, error);
    crypto_digest_end(digest, hex);
    close(to);
    if (!copied || !blob_keep(store, temporary, hex, error)) {
        unlink(temporary);
        return FALSE;
    }
    *ret_sha256 = g_strdup(hex);
    return TRUE;
}

gboolean image_blob_add(const char *store, const char *file, char **ret_sha256, guint64 *ret_bytes,
                        GError **error)
{
    g_autofree char *nonce = id_hex32();
    g_autofree char *name = g_strconcat(TEMPORARY, nonce, NULL);
    g_autofree char *temporary = image_blob_path(store, name);
    g_autofree char *folder = g_path_get_dirname(temporary);
    g_autofree char *sha256 = NULL;
    guint64 bytes = 0;

    if (g_mkdir_with_parents(folder, 0700) < 0)
        return fail(error, INTERNAL, "cannot make \"%s\": %s", folder, g_strerror(errno));
    int from = source_open(file, &bytes, error);
    if (from < 0)
        return FALSE;
    gboolean copied = blob_copy(store, from, temporary, &sha256, &bytes, error);
    close(from);
    if (!copied)
        return FALSE;
    if (ret_sha256)
        *ret_sha256 = g_steal_pointer(&sha256);
    if (ret_bytes)
        *ret_bytes = bytes;
    return TRUE;
}

gboolean image_blob_judge(const char *store, const char *sha256, const char *format,
                          ImageFacts *ret_facts, GError **error)
{
    g_autofree char *path = image_blob_path(store, sha256);
    guint8 head[IMAGE_HEAD_BYTES];
    guint64 bytes = 0;
    int fd = source_open(path, &bytes, error);

    if (fd < 0)
        return FALSE;
    ssize_t got = read(fd, head, sizeof head);
    close(fd);
    if (got < 0)
        return fail(error, INTERNAL, "cannot read \"%s\": %s", path, g_strerror(errno));
    return image_judge(head, (gsize)got, bytes, format, ret_facts, error);
}

void image_blob_delete(const char *store, const char *sha256)
{
    g_autofree char *path = image_blob_path(store, sha256);

    unlink(path);
}

void image_store_tidy(const char *store)
{
    g_autofree char *folder = g_build_filename(store, "blobs", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        int fd = g_str_has_prefix(name, TEMPORARY) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlink(path);
        close(fd);
    }
}
