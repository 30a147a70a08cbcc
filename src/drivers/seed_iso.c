#include "drivers/seed_iso.h"

#include <string.h>

#define SECTOR 2048

/* where each part lies, in sectors */
enum {
    AT_PRIMARY = 16,
    AT_JOLIET,
    AT_END,
    AT_PATHS_LE,
    AT_PATHS_BE,
    AT_JOLIET_PATHS_LE,
    AT_JOLIET_PATHS_BE,
    AT_ROOT,
    AT_JOLIET_ROOT,
    AT_FILES,
};

#define PATH_TABLE_SIZE 10 /* of a root alone */

static void put_le32(guint8 *at, guint32 value)
{
    value = GUINT32_TO_LE(value);
    memcpy(at, &value, 4);
}

static void put_be32(guint8 *at, guint32 value)
{
    value = GUINT32_TO_BE(value);
    memcpy(at, &value, 4);
}

static void put_both32(guint8 *at, guint32 value)
{
    put_le32(at, value);
    put_be32(at + 4, value);
}

static void put_both16(guint8 *at, guint16 value)
{
    at[0] = at[3] = value & 0xff;
    at[1] = at[2] = value >> 8;
}

/* Joliet's characters are two bytes, the high one first; names here are ASCII. */
static gsize put_name(guint8 *at, const char *name, gsize size, gboolean joliet)
{
    gsize length = strlen(name);

    for (gsize i = 0; i < length && (joliet ? 2 : 1) * i < size; i++) {
        if (joliet)
            at[2 * i + 1] = (guint8)name[i];
        else
            at[i] = (guint8)name[i];
    }
    return joliet ? 2 * length : length;
}

static void fill_spaces(guint8 *at, gsize size, gboolean joliet)
{
    for (gsize i = 0; i < size; i++)
        at[i] = joliet && i % 2 == 0 ? 0 : ' ';
}

/* A directory record; name of one byte 0 or 1 is the folder itself or its parent. */
static gsize put_record(guint8 *at, guint32 extent, guint32 length, gboolean folder,
                        const char *name, gsize name_length)
{
    static const guint8 epoch[7] = { 70, 1, 1, 0, 0, 0, 0 };
    gsize size = 33 + name_length + (name_length % 2 == 0);

    at[0] = (guint8)size;
    put_both32(at + 2, extent);
    put_both32(at + 10, length);
    memcpy(at + 18, epoch, sizeof epoch);
    at[25] = folder ? 2 : 0;
    put_both16(at + 28, 1);
    at[32] = (guint8)name_length;
    memcpy(at + 33, name, name_length);
    return size;
}

static void put_descriptor(guint8 *at, const char *label, guint32 sectors, gboolean joliet)
{
    at[0] = joliet ? 2 : 1;
    memcpy(at + 1, "CD001", 5);
    at[6] = 1;
    fill_spaces(at + 8, 64, joliet);
    put_name(at + 40, label, 32, joliet);
    put_both32(at + 80, sectors);
    if (joliet)
        memcpy(at + 88, "%/E", 3);
    put_both16(at + 120, 1);
    put_both16(at + 124, 1);
    put_both16(at + 128, SECTOR);
    put_both32(at + 132, PATH_TABLE_SIZE);
    put_le32(at + 140, joliet ? AT_JOLIET_PATHS_LE : AT_PATHS_LE);
    put_be32(at + 148, joliet ? AT_JOLIET_PATHS_BE : AT_PATHS_BE);
    put_record(at + 156, joliet ? AT_JOLIET_ROOT : AT_ROOT, SECTOR, TRUE, "", 1);
    fill_spaces(at + 190, 813 - 190, joliet);
    for (int i = 0; i < 4; i++) /* creation, modification, expiry, effect: not given */
        memset(at + 813 + 17 * i, '0', 16);
    at[881] = 1;
}

static void put_path_tables(guint8 *iso, int le, int be, guint32 root)
{
    iso[le * SECTOR] = iso[be * SECTOR] = 1;
    put_le32(iso + le * SECTOR + 2, root);
    put_be32(iso + be * SECTOR + 2, root);
    iso[le * SECTOR + 6] = 1;
    iso[be * SECTOR + 7] = 1;
}

static guint32 file_sectors(const SeedFile *file)
{
    return (guint32)((file->length + SECTOR - 1) / SECTOR);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(((const SeedFile *)a)->name, ((const SeedFile *)b)->name);
}

static void put_root(guint8 *at, guint32 self, const SeedFile *files, gsize count, gboolean joliet)
{
    guint32 extent = AT_FILES;

    at += put_record(at, self, SECTOR, TRUE, "\0", 1);
    at += put_record(at, self, SECTOR, TRUE, "\1", 1);
    for (gsize i = 0; i < count; i++) {
        g_autofree char *capitals = g_ascii_strup(files[i].name, -1);
        g_autofree char *versioned = g_strconcat(capitals, ".;1", NULL);
        guint8 name[64] = { 0 };
        gsize length = put_name(name, joliet ? files[i].name : versioned, sizeof name, joliet);
        at += put_record(at, extent, (guint32)files[i].length, FALSE, (const char *)name, length);
        extent += file_sectors(&files[i]);
    }
}

guint8 *seed_iso(const char *label, const SeedFile *files, gsize count, gsize *ret_length)
{
    SeedFile sorted[SEED_FILES_MAX];
    guint32 sectors = AT_FILES;

    g_assert(count <= SEED_FILES_MAX);
    memcpy(sorted, files, count * sizeof *files);
    qsort(sorted, count, sizeof *sorted, compare_names);
    for (gsize i = 0; i < count; i++)
        sectors += file_sectors(&sorted[i]);
    guint8 *iso = g_malloc0((gsize)sectors * SECTOR);
    put_descriptor(iso + AT_PRIMARY * SECTOR, label, sectors, FALSE);
    put_descriptor(iso + AT_JOLIET * SECTOR, label, sectors, TRUE);
    memcpy(iso + AT_END * SECTOR, "\377CD001\1", 7);
    put_path_tables(iso, AT_PATHS_LE, AT_PATHS_BE, AT_ROOT);
    put_path_tables(iso, AT_JOLIET_PATHS_LE, AT_JOLIET_PATHS_BE, AT_JOLIET_ROOT);
    put_root(iso + AT_ROOT * SECTOR, AT_ROOT, sorted, count, FALSE);
    put_root(iso + AT_JOLIET_ROOT * SECTOR, AT_JOLIET_ROOT, sorted, count, TRUE);
    guint8 *at = iso + AT_FILES * SECTOR;
    for (gsize i = 0; i < count; i++) {
        if (sorted[i].length)
            memcpy(at, sorted[i].data, sorted[i].length);
        at += (gsize)file_sectors(&sorted[i]) * SECTOR;
    }
    *ret_length = (gsize)sectors * SECTOR;
    return iso;
}
