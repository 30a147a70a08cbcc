/*
 * drivers/image_file.h - disk images from outside: judged before any other program opens them
 *
 * The header parser is ours, bounded and pure; what it does not know it refuses. A file is first
 * copied into the store, named by its SHA-256, and judged there, so that nobody changes it after
 * the judgement. Sizes are bytes. Errors: BAD_IMAGE with a plain reason; INTERNAL (disk full).
 * Source: QEMU docs/interop/qcow2 "Header", "Header extensions".
 */
#pragma once

#include <glib.h>

typedef enum { IMAGE_RAW, IMAGE_QCOW2 } ImageFormat;
const char *image_format_name(ImageFormat format);

#define IMAGE_HEAD_BYTES  4096 /* enough for any header we accept */
#define IMAGE_VIRTUAL_MAX (G_GUINT64_CONSTANT(64) << 40)
#define IMAGE_FILE_MAX    (G_GUINT64_CONSTANT(1) << 40)

typedef struct {
    ImageFormat format;
    guint64 virtual_bytes; /* as a guest sees it */
} ImageFacts;

/* Judges a file by its first bytes (up to IMAGE_HEAD_BYTES) and length. format is "qcow2" or
 * "raw" where somebody said so, NULL where nobody did: then the magic decides, and what looks
 * like another format is refused. No backing file, data file, encryption or unknown feature. */
gboolean image_judge(const guint8 *head, gsize length, guint64 file_bytes, const char *format,
                     ImageFacts *ret_facts, GError **error);

/* image.json of a folder image. */
typedef struct {
    char *disk;   /* file names inside the folder */
    char *kernel; /* NULL: boots from its disk */
    char *initrd;
    char *format; /* NULL: not said */
    char *sha256; /* of the disk; NULL: not said */
    char *cmdline;
    char *architecture;
    char *root_device_name;
    char *ssh_user;
} ImageManifest;
void image_manifest_free(ImageManifest *manifest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageManifest, image_manifest_free)
/* Checks every member it reads. */
ImageManifest *image_manifest_parse(const char *text, gsize length, GError **error);
ImageManifest *image_manifest_load(const char *folder, GError **error);

/* STORE/blobs/SHA256. Caller frees. */
char *image_blob_path(const char *store, const char *sha256);
/* Copies a regular file into the store under its digest; holes stay holes. Both results may be
 * NULL. An equal file that is there already stays. */
gboolean image_blob_add(const char *store, const char *file, char **ret_sha256, guint64 *ret_bytes,
                        GError **error);
/* Judges a file of the store. */
gboolean image_blob_judge(const char *store, const char *sha256, const char *format,
                          ImageFacts *ret_facts, GError **error);
/* Absent is fine. */
void image_blob_delete(const char *store, const char *sha256);
/* Removes what copies left whose process was killed; those that run are left alone. */
void image_store_tidy(const char *store);
