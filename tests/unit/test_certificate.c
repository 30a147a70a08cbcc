/* Authority and server certificate: made, checked, found wanting when anything differs. */
#include "drivers/certificate.h"

#include <glib/gstdio.h>

typedef struct {
    char *folder, *ca, *ca_key, *cert, *key;
} Files;

static const char *const names[] = { "DNS:localhost", "IP:127.0.0.1", "IP:fd00::1",
                                     "DNS:172.31.0.1:8444", NULL };

/* data: the kind of the server's key. */
static void files_make(Files *f, gconstpointer data)
{
    CertificateKey kind = (CertificateKey)GPOINTER_TO_UINT(data);

    f->folder = g_dir_make_tmp("certificate-XXXXXX", NULL);
    f->ca = g_build_filename(f->folder, "ca.crt", NULL);
    f->ca_key = g_build_filename(f->folder, "ca.key", NULL);
    f->cert = g_build_filename(f->folder, "server.crt", NULL);
    f->key = g_build_filename(f->folder, "server.key", NULL);
    g_assert_true(certificate_make_authority("test", f->ca, f->ca_key, NULL));
    g_assert_true(certificate_make_server(f->ca, f->ca_key, kind, names, f->cert, f->key, NULL));
}

static void files_free(Files *f, gconstpointer data G_GNUC_UNUSED)
{
    char *const all[] = { f->ca, f->ca_key, f->cert, f->key };

    for (gsize i = 0; i < G_N_ELEMENTS(all); i++) {
        g_unlink(all[i]);
        g_free(all[i]);
    }
    g_rmdir(f->folder);
    g_free(f->folder);
}

static void test_what_was_made_covers(Files *f, gconstpointer data G_GNUC_UNUSED)
{
    g_assert_true(certificate_authority_exists(f->ca, f->ca_key));
    g_assert_true(certificate_covers(f->ca, names, f->cert, f->key));
}

static void test_keys_are_not_for_everybody(Files *f, gconstpointer data G_GNUC_UNUSED)
{
    GStatBuf info;

    g_assert_cmpint(g_stat(f->ca_key, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 0600);
    g_assert_cmpint(g_stat(f->key, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 0640);
}

static void test_a_new_name_is_not_covered(Files *f, gconstpointer data G_GNUC_UNUSED)
{
    static const char *const more[] = { "DNS:localhost", "IP:10.0.0.1", NULL };

    g_assert_false(certificate_covers(f->ca, more, f->cert, f->key));
}

static void test_another_authority_does_not_cover(Files *f, gconstpointer data G_GNUC_UNUSED)
{
    g_assert_true(certificate_make_authority("other", f->ca, f->ca_key, NULL));
    g_assert_false(certificate_covers(f->ca, names, f->cert, f->key));
}

static void test_another_key_does_not_cover(Files *f, gconstpointer data G_GNUC_UNUSED)
{
    g_assert_false(certificate_covers(f->ca, names, f->cert, f->ca_key));
    g_unlink(f->key);
    g_assert_false(certificate_covers(f->ca, names, f->cert, f->key));
}

static void test_a_bad_address_is_refused(Files *f, gconstpointer data G_GNUC_UNUSED)
{
    static const char *const bad[] = { "IP:300.1.2.3", NULL };
    g_autoptr(GError) error = NULL;

    g_assert_false(certificate_make_server(f->ca, f->ca_key, CERTIFICATE_RSA, bad, f->cert,
                                           f->key, &error));
    g_assert_nonnull(error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(path, function)                                                                       \
    g_test_add(path, Files, GUINT_TO_POINTER(CERTIFICATE_RSA), files_make, function, files_free);  \
    g_test_add(path "/p256", Files, GUINT_TO_POINTER(CERTIFICATE_P256), files_make, function,      \
               files_free)
    TEST("/certificate/covers", test_what_was_made_covers);
    TEST("/certificate/modes", test_keys_are_not_for_everybody);
    TEST("/certificate/new-name", test_a_new_name_is_not_covered);
    TEST("/certificate/authority", test_another_authority_does_not_cover);
    TEST("/certificate/key", test_another_key_does_not_cover);
    TEST("/certificate/bad-address", test_a_bad_address_is_refused);
    return g_test_run();
}
