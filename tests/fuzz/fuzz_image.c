/* The first bytes of a disk somebody offers, and image.json: what is taken has a size and no other file. */
#include "drivers/image_file.h"
#include "fuzz.h"

#include <string.h>

static void check_judged(const uint8_t *data, size_t size, guint64 file_bytes, const char *format)
{
    ImageFacts facts = { 0 };
    g_autoptr(GError) error = NULL;
    gboolean good = image_judge(data, MIN(size, IMAGE_HEAD_BYTES), file_bytes, format, &facts, &error);

    g_assert_cmpint(good, ==, error == NULL);
    if (!good)
        return;
    g_assert_cmpuint(facts.virtual_bytes, >, 0);
    g_assert_cmpuint(facts.virtual_bytes, <=, IMAGE_VIRTUAL_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ImageManifest) manifest = image_manifest_parse((const char *)data, size, &error);

    g_assert_cmpint(manifest == NULL, ==, error != NULL);
    if (manifest)
        g_assert_null(strchr(manifest->disk, '/'));
    check_judged(data, size, size, NULL);
    check_judged(data, size, size, "qcow2");
    check_judged(data, size, size, "raw");
    check_judged(data, size, G_GUINT64_CONSTANT(1) << 34, "qcow2");
    return 0;
}
