/* The request that opens an agent's channel: any bytes, in any lots. What is found does not depend on how
 * they came, and every piece of it lies within them. */
#include "fuzz.h"
#include "server/upgrade.h"

#include <string.h>

static void check_whole(const Upgrade *upgrade, gsize used, size_t size)
{
    g_assert_cmpuint(used, <=, size);
    g_assert_cmpint(upgrade->path[0], ==, '/');
    g_assert_nonnull(upgrade->query);
    g_assert_cmpuint(strlen(upgrade->key), ==, 24);
    for (gsize i = 0; i < upgrade->header_count; i++) {
        g_assert_cmpuint(strlen(upgrade->headers[i].name), >, 0);
        g_assert_null(strpbrk(upgrade->headers[i].value, "\n"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(Upgrade) whole = NULL;
    g_autoptr(GError) error = NULL;
    gsize used = 0;
    gboolean good = upgrade_parse((const char *)data, size, &whole, &used, &error);

    g_assert_cmpint(good, ==, error == NULL);
    if (!good) {
        g_assert_null(whole);
        return 0;
    }
    if (!whole)
        return 0;
    check_whole(whole, used, size);
    for (size_t part = 0; part < used; part += 1 + size / 16) {
        g_autoptr(Upgrade) early = NULL;
        gsize early_used = 0;
        g_assert_true(upgrade_parse((const char *)data, part, &early, &early_used, NULL));
        g_assert_null(early);
    }
    return 0;
}
