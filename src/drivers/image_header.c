#include "base/errors.h"
#include "drivers/image_file.h"

#include <string.h>

/* Offsets of the qcow2 header; all numbers are big-endian. */
enum {
    AT_VERSION = 4,
    AT_BACKING_OFFSET = 8,
    AT_BACKING_SIZE = 16,
    AT_CLUSTER_BITS = 20,
    AT_SIZE = 24,
    AT_CRYPT_METHOD = 32,
    AT_L1_SIZE = 36,
    AT_L1_OFFSET = 40,
    AT_REFCOUNT_OFFSET = 48,
    AT_REFCOUNT_CLUSTERS = 56,
    HEADER_V2_SIZE = 72,
    AT_INCOMPATIBLE = 72,
    AT_REFCOUNT_ORDER = 96,
    AT_HEADER_LENGTH = 100,
    HEADER_V3_SIZE = 104,
};

enum {
    FEATURE_DIRTY = 1 << 0,
    FEATURE_CORRUPT = 1 << 1,
    FEATURE_DATA_FILE = 1 << 2,
    FEATURE_COMPRESSION = 1 << 3,
    FEATURE_EXTENDED_L2 = 1 << 4,
    FEATURES_ACCEPTED = FEATURE_COMPRESSION | FEATURE_EXTENDED_L2,
};

#define EXTENSION_END            0x00000000u
#define EXTENSION_BACKING_FORMAT 0xE2792ACAu
#define EXTENSION_DATA_FILE      0x44415441u
#define EXTENSION_ENCRYPTION     0x0537BE77u
#define CLUSTER_BITS_MIN         9
#define CLUSTER_BITS_MAX         21
#define L1_ENTRIES_MAX           (32 * 1024 * 1024 / 8)
#define SECTOR                   512

static const struct {
    const char *name;
    gsize offset;
    const char *bytes;
    gsize length;
} magics[] = {
    { "qcow", 0, "QFI\xfb", 4 },
    { "VMDK", 0, "KDMV", 4 },
    { "VMDK", 0, "COWD", 4 },
    { "VMDK", 0, "# Disk DescriptorFile", 21 },
    { "VHDX", 0, "vhdxfile", 8 },
    { "VHD", 0, "conectix", 8 },
    { "QED", 0, "QED\0", 4 },
    { "LUKS", 0, "LUKS\xba\xbe", 6 },
    { "Parallels", 0, "WithoutFreeSpace", 16 },
    { "Parallels", 0, "WithouFreSpacExt", 16 },
    { "Bochs", 0, "Bochs Virtual HD Image", 22 },
    { "VDI", 0x40, "\x7f\x10\xda\xbe", 4 },
};

const char *image_format_name(ImageFormat format)
{
    return format == IMAGE_QCOW2 ? "qcow2" : "raw";
}

static guint32 read32(const guint8 *head, gsize at)
{
    return (guint32)head[at] << 24 | (guint32)head[at + 1] << 16 | (guint32)head[at + 2] << 8 |
           head[at + 3];
}

static guint64 read64(const guint8 *head, gsize at)
{
    return (guint64)read32(head, at) << 32 | read32(head, at + 4);
}

static const char *magic_name(const guint8 *head, gsize length)
{
    for (gsize i = 0; i < G_N_ELEMENTS(magics); i++)
        if (length >= magics[i].offset + magics[i].length &&
            memcmp(head + magics[i].offset, magics[i].bytes, magics[i].length) == 0)
            return magics[i].name;
    return NULL;
}

static gboolean judge_size(guint64 bytes, GError **error)
{
    if (bytes == 0 || bytes > IMAGE_VIRTUAL_MAX)
        return fail(error, BAD_IMAGE,
                    "disk of %" G_GUINT64_FORMAT " bytes is not between 1 byte and 64 TiB", bytes);
    if (bytes % SECTOR != 0)
        return fail(error, BAD_IMAGE,
                    "disk of %" G_GUINT64_FORMAT " bytes is not a whole number of sectors", bytes);
    return TRUE;
}

static gboolean judge_features(guint64 features, GError **error)
{
    if (features & FEATURE_DATA_FILE)
        return fail(error, BAD_IMAGE, "qcow2 image keeps its data in another file");
    if (features & FEATURE_CORRUPT)
        return fail(error, BAD_IMAGE, "qcow2 image is marked corrupt");
    if (features & FEATURE_DIRTY)
        return fail(error, BAD_IMAGE,
                    "qcow2 image was not closed cleanly; repair it with "
                    "\"qemu-img check -r all\"");
    if (features & ~(guint64)FEATURES_ACCEPTED)
        return fail(error, BAD_IMAGE,
                    "qcow2 image has unknown incompatible features 0x%" G_GINT64_MODIFIER "x",
                    features & ~(guint64)FEATURES_ACCEPTED);
    return TRUE;
}

static gboolean judge_extension(guint32 type, GError **error)
{
    switch (type) {
    case EXTENSION_BACKING_FORMAT:
        return fail(error, BAD_IMAGE, "qcow2 image names the format of a backing file");
    case EXTENSION_DATA_FILE:
        return fail(error, BAD_IMAGE, "qcow2 image names an external data file");
    case EXTENSION_ENCRYPTION:
        return fail(error, BAD_IMAGE, "qcow2 image is encrypted");
    default:
        return TRUE;
    }
}

/* Header extensions: type, length, data padded to 8 bytes, up to type 0. */
static gboolean judge_extensions(const guint8 *head, gsize length, gsize at, GError **error)
{
    while (at + 8 <= length) {
        guint32 type = read32(head, at), size = read32(head, at + 4);
        if (type == EXTENSION_END)
            return TRUE;
        if (!judge_extension(type, error))
            return FALSE;
        if (size > length - at - 8)
            break;
        at += 8 + ((gsize)size + 7) / 8 * 8;
    }
    return fail(error, BAD_IMAGE, "qcow2 header extensions do not end within %d bytes",
                IMAGE_HEAD_BYTES);
}

/* A table of size bytes must lie inside the file, on a cluster. */
static gboolean judge_table(const char *what, guint64 offset, guint64 size, guint cluster_bits,
                            guint64 file_bytes, GError **error)
{
    guint64 cluster = G_GUINT64_CONSTANT(1) << cluster_bits;

    if (offset < cluster || offset % cluster != 0 || offset > file_bytes ||
        size > file_bytes - offset)
        return fail(error, BAD_IMAGE, "qcow2 %s table does not lie inside the file", what);
    return TRUE;
}

static gboolean judge_tables(const guint8 *head, guint64 file_bytes, GError **error)
{
    guint32 bits = read32(head, AT_CLUSTER_BITS);
    guint32 l1_entries = read32(head, AT_L1_SIZE);
    guint32 refcount_clusters = read32(head, AT_REFCOUNT_CLUSTERS);

    if (bits < CLUSTER_BITS_MIN || bits > CLUSTER_BITS_MAX)
        return fail(error, BAD_IMAGE, "qcow2 cluster size of 2^%u bytes is not allowed", bits);
    if (l1_entries > L1_ENTRIES_MAX)
        return fail(error, BAD_IMAGE, "qcow2 level 1 table of %u entries is too large", l1_entries);
    if (refcount_clusters == 0 || refcount_clusters > file_bytes >> bits)
        return fail(error, BAD_IMAGE, "qcow2 reference count table does not fit the file");
    return (l1_entries == 0 || judge_table("level 1", read64(head, AT_L1_OFFSET),
                                           (guint64)l1_entries * 8, bits, file_bytes, error)) &&
           judge_table("reference count", read64(head, AT_REFCOUNT_OFFSET),
                       (guint64)refcount_clusters << bits, bits, file_bytes, error);
}

static gboolean judge_version3(const guint8 *head, gsize length, gsize *ret_header, GError **error)
{
    if (length < HEADER_V3_SIZE)
        return fail(error, BAD_IMAGE, "qcow2 header is cut short");
    guint32 header = read32(head, AT_HEADER_LENGTH);
    if (header < HEADER_V3_SIZE || header % 8 != 0 || header > length)
        return fail(error, BAD_IMAGE, "qcow2 header length of %u bytes is wrong", header);
    if (read32(head, AT_REFCOUNT_ORDER) > 6)
        return fail(error, BAD_IMAGE, "qcow2 reference count width is wrong");
    *ret_header = header;
    return judge_features(read64(head, AT_INCOMPATIBLE), error);
}

static gboolean judge_qcow2(const guint8 *head, gsize length, guint64 file_bytes,
                            ImageFacts *ret_facts, GError **error)
{
    gsize header = HEADER_V2_SIZE;

    if (length < HEADER_V2_SIZE)
        return fail(error, BAD_IMAGE, "qcow2 header is cut short");
    guint32 version = read32(head, AT_VERSION);
    if (version != 2 && version != 3)
        return fail(error, BAD_IMAGE, "qcow version %u is not supported", version);
    if (read64(head, AT_BACKING_OFFSET) != 0 || read32(head, AT_BACKING_SIZE) != 0)
        return fail(error, BAD_IMAGE,
                    "qcow2 image has a backing file; flatten it with "
                    "\"qemu-img convert\"");
    if (read32(head, AT_CRYPT_METHOD) != 0)
        return fail(error, BAD_IMAGE, "qcow2 image is encrypted");
    if (version == 3 && !judge_version3(head, length, &header, error))
        return FALSE;
    ret_facts->format = IMAGE_QCOW2;
    ret_facts->virtual_bytes = read64(head, AT_SIZE);
    return judge_size(ret_facts->virtual_bytes, error) && judge_tables(head, file_bytes, error) &&
           judge_extensions(head, length, header, error);
}

gboolean image_judge(const guint8 *head, gsize length, guint64 file_bytes, const char *format,
                     ImageFacts *ret_facts, GError **error)
{
    const char *magic = magic_name(head, length);
    gboolean qcow2 = length >= 4 && memcmp(head, "QFI\xfb", 4) == 0;

    if (g_strcmp0(format, "qcow2") == 0 && !qcow2)
        return fail(error, BAD_IMAGE, "file is said to be qcow2 but is not");
    if (qcow2 && g_strcmp0(format, "raw") != 0)
        return judge_qcow2(head, length, file_bytes, ret_facts, error);
    if (format && strcmp(format, "raw") != 0)
        return fail(error, BAD_IMAGE, "disk format \"%s\" is neither qcow2 nor raw", format);
    if (magic)
        return fail(error, BAD_IMAGE,
                    "file begins like a %s image, which is not accepted as a "
                    "raw disk; convert it with \"qemu-img convert -O qcow2\"",
                    magic);
    ret_facts->format = IMAGE_RAW;
    ret_facts->virtual_bytes = file_bytes;
    return judge_size(file_bytes, error);
}
