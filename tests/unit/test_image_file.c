/* Disk images from outside: what is refused by its header, and what is left in the store. */
#include "base/errors.h"
#include "drivers/image_file.h"
#include "drivers/seed_iso.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define FILE_BYTES 0x100000

/* A change to a good header of version 3: size bytes of value, big-endian, at an offset. */
typedef struct {
    const char *name;
    gsize at, size;
    guint64 value;
    const char *refusal; /* NULL: accepted */
} Case;

static void put(guint8 *head, gsize at, gsize size, guint64 value)
{
    for (gsize n = 0; n < size; n++)
        head[at + n] = (guint8)(value >> 8 * (size - 1 - n));
}

/* 64 KiB clusters, a disk of 1 GiB, its tables in clusters 1 and 3. */
static void good_header(guint8 head[IMAGE_HEAD_BYTES])
{
    memset(head, 0, IMAGE_HEAD_BYTES);
    memcpy(head, "QFI\xfb", 4);
    put(head, 4, 4, 3);
    put(head, 20, 4, 16);
    put(head, 24, 8, 1 << 30);
    put(head, 36, 4, 2);
    put(head, 40, 8, 0x30000);
    put(head, 48, 8, 0x10000);
    put(head, 56, 4, 1);
    put(head, 96, 4, 4);
    put(head, 100, 4, 104);
}

static const Case cases[] = {
    { "as it is", 4, 4, 3, NULL },
    { "version 2", 4, 4, 2, NULL },
    { "version 1", 4, 4, 1, "version 1" },
    { "version 4", 4, 4, 4, "version 4" },
    { "backing file", 8, 8, 0x200, "backing file" },
    { "length of a backing file", 16, 4, 5, "backing file" },
    { "encryption AES", 32, 4, 1, "encrypted" },
    { "encryption LUKS", 32, 4, 2, "encrypted" },
    { "data file", 72, 8, 1 << 2, "another file" },
    { "dirty", 72, 8, 1 << 0, "not closed cleanly" },
    { "corrupt", 72, 8, 1 << 1, "corrupt" },
    { "compression type", 72, 8, 1 << 3, NULL },
    { "extended level 2", 72, 8, 1 << 4, NULL },
    { "unknown feature", 72, 8, 1 << 5, "unknown incompatible features 0x20" },
    { "highest feature", 72, 8, G_GUINT64_CONSTANT(1) << 63, "unknown incompatible" },
    { "extension: backing format", 104, 4, 0xE2792ACA, "backing file" },
    { "extension: data file", 104, 4, 0x44415441, "data file" },
    { "extension: encryption", 104, 4, 0x0537BE77, "encrypted" },
    { "extension without end", 104, 8, G_GUINT64_CONSTANT(0x12345678ffffffff), "do not end" },
    { "clusters too small", 20, 4, 8, "cluster size" },
    { "clusters too large", 20, 4, 22, "cluster size" },
    { "clusters giant", 20, 4, 0xffffffff, "cluster size" },
    { "disk of nothing", 24, 8, 0, "not between" },
    { "disk giant", 24, 8, G_MAXUINT64, "not between" },
    { "disk of half a sector", 24, 8, 256, "sectors" },
    { "level 1 giant", 36, 4, 0xffffffff, "too large" },
    { "level 1 outside", 40, 8, 0x7fffffffffff0000, "level 1 table" },
    { "level 1 wraps", 40, 8, 0xffffffffffff0000, "level 1 table" },
    { "level 1 over the header", 40, 8, 0, "level 1 table" },
    { "level 1 between clusters", 40, 8, 0x30200, "level 1 table" },
    { "no reference counts", 56, 4, 0, "reference count" },
    { "reference counts giant", 56, 4, 0xffffffff, "reference count" },
    { "reference counts outside", 48, 8, 0x100000, "reference count" },
    { "reference counts too wide", 96, 4, 7, "width" },
    { "header too short", 100, 4, 96, "header length" },
    { "header too long", 100, 4, 0x10000, "header length" },
    { "header not in eights", 100, 4, 108, "header length" },
};

static void test_header(gconstpointer data)
{
    const Case *c = data;
    guint8 head[IMAGE_HEAD_BYTES];
    g_autoptr(GError) error = NULL;
    ImageFacts facts = { 0 };

    good_header(head);
    put(head, c->at, c->size, c->value);
    gboolean accepted = image_judge(head, sizeof head, FILE_BYTES, NULL, &facts, &error);
    if (!c->refusal) {
        g_assert_no_error(error);
        g_assert_true(accepted);
        g_assert_cmpint(facts.format, ==, IMAGE_QCOW2);
        g_assert_cmpuint(facts.virtual_bytes, ==, 1 << 30);
        return;
    }
    g_assert_false(accepted);
    g_assert_true(error_is(error, ERROR_BAD_IMAGE));
    g_assert_nonnull(strstr(error->message, c->refusal));
}

/* However few of its bytes there are, it is judged; cut inside its header it is refused. */
static void test_cut_short(void)
{
    guint8 head[IMAGE_HEAD_BYTES];
    ImageFacts facts;

    good_header(head);
    for (gsize length = 4; length < 112; length++) {
        g_autofree guint8 *exact = g_memdup2(head, length); /* a sanitizer sees a byte too many */
        g_autoptr(GError) error = NULL;
        g_assert_false(image_judge(exact, length, length, "qcow2", &facts, &error));
        g_assert_true(error_is(error, ERROR_BAD_IMAGE));
    }
}

static void test_other_formats(void)
{
    static const struct {
        gsize at;
        const char *magic;
    } others[] = { { 0, "KDMV" },  { 0, "vhdxfile" }, { 0, "conectix" },
                   { 0, "LUKS\xba\xbe" }, { 0x40, "\x7f\x10\xda\xbe" }, { 0, "QFI\xfb" } };
    ImageFacts facts;

    for (gsize n = 0; n < G_N_ELEMENTS(others); n++) {
        guint8 head[1024] = { 0 };
        g_autoptr(GError) error = NULL;
        memcpy(head + others[n].at, others[n].magic, strlen(others[n].magic));
        g_assert_false(image_judge(head, sizeof head, FILE_BYTES, "raw", &facts, &error));
        g_assert_true(error_is(error, ERROR_BAD_IMAGE));
    }
    guint8 zeros[1024] = { 0 };
    g_assert_true(image_judge(zeros, sizeof zeros, FILE_BYTES, NULL, &facts, NULL));
    g_assert_cmpint(facts.format, ==, IMAGE_RAW);
    g_assert_false(image_judge(zeros, sizeof zeros, FILE_BYTES, "qcow2", &facts, NULL));
    g_assert_false(image_judge(zeros, sizeof zeros, FILE_BYTES, "vmdk", &facts, NULL));
}

/* ---- the store */

static char *leave(const char *store, const char *name)
{
    char *path = image_blob_path(store, name);
    g_autofree char *folder = g_path_get_dirname(path);

    g_mkdir_with_parents(folder, 0700);
    g_assert_true(g_file_set_contents(path, "half", -1, NULL));
    return path;
}

static void test_leftovers_go(void)
{
    g_autofree char *store = g_dir_make_tmp("image-store-XXXXXX", NULL);
    g_autofree char *left = leave(store, "new-left"), *busy = leave(store, "new-busy");
    g_autofree char *blob = leave(store, "0123"), *folder = g_path_get_dirname(blob);
    int fd = open(busy, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(flock(fd, LOCK_EX), ==, 0); /* as a copy that runs holds it */
    image_store_tidy(store);
    g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(busy, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(blob, G_FILE_TEST_EXISTS));
    close(fd);
    image_store_tidy(store);
    g_assert_false(g_file_test(busy, G_FILE_TEST_EXISTS));
    g_unlink(blob);
    g_rmdir(folder);
    g_rmdir(store);
    image_store_tidy(store); /* none there yet is fine */
}

/* ---- the seed disk, read by another program */

static void test_seed_is_read(void)
{
    static const char user_data[] = "#!/bin/sh\necho \xc3\xa9\n\0binary";
    const SeedFile files[] = { { "meta-data", "{}", 2 }, { "user-data", user_data, sizeof user_data },
                               { "network-config", "", 0 } };
    g_autofree char *folder = g_dir_make_tmp("seed-XXXXXX", NULL);
    g_autofree char *iso = g_build_filename(folder, "seed.iso", NULL);
    g_autofree char *out = g_build_filename(folder, "user-data", NULL);
    const char *argv[] = { "xorriso", "-osirrox", "on", "-indev", iso, "-pvd_info", "-extract",
                           "/user-data", out, NULL };
    g_autofree char *text = NULL, *said = NULL;
    gsize length = 0;
    int status = -1;

    g_autofree guint8 *disk = seed_iso("cidata", files, G_N_ELEMENTS(files), &length);
    g_assert_true(g_file_set_contents(iso, (char *)disk, (gssize)length, NULL));
    if (!g_spawn_sync(NULL, (char **)argv, NULL,
                      G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &said, NULL,
                      &status, NULL)) {
        g_test_skip("xorriso is not installed");
    } else {
        g_assert_cmpint(status, ==, 0);
        g_assert_nonnull(strstr(said, "cidata"));
        g_assert_true(g_file_get_contents(out, &text, &length, NULL));
        g_assert_cmpmem(text, length, user_data, sizeof user_data);
    }
    g_unlink(out);
    g_unlink(iso);
    g_rmdir(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize n = 0; n < G_N_ELEMENTS(cases); n++) {
        g_autofree char *name = g_strconcat("/image/header/", cases[n].name, NULL);
        g_test_add_data_func(name, &cases[n], test_header);
    }
    g_test_add_func("/image/cut short anywhere", test_cut_short);
    g_test_add_func("/image/other formats", test_other_formats);
    g_test_add_func("/image/leftovers of killed imports go", test_leftovers_go);
    g_test_add_func("/seed/another program reads it", test_seed_is_read);
    return g_test_run();
}
