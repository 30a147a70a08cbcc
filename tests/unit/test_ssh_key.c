/* Key pairs as ssh-keygen and openssl read them. */
#include "base/errors.h"
#include "model/ssh_key.h"

#include <glib/gstdio.h>
#include <string.h>

static char *folder;

static char *in_folder(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

/* Standard output of a program that must succeed, its line ends cut off. */
static char *output_of(const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *errors = NULL;
    char *text = NULL;
    int status = 0;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text, &errors,
                 &status, &error);
    g_assert_no_error(error);
    if (!g_spawn_check_wait_status(status, NULL))
        g_error("%s: %s", argv[0], errors);
    return g_strchomp(text);
}
#define OUTPUT(...) output_of((const char *const[]){ __VA_ARGS__, NULL })

static char *write_key(const char *name, const char *text)
{
    char *path = in_folder(name);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_chmod(path, 0600);
    return path;
}

/* sum is "0123...  *FILE"; the fingerprint has the same digits with colons between octets. */
static void assert_digest(const char *fingerprint, const char *sum)
{
    g_auto(GStrv) octets = g_strsplit(fingerprint, ":", -1);
    g_autofree char *digits = g_strjoinv("", octets);

    g_assert_true(g_str_has_prefix(sum, digits));
    g_assert_cmpint(sum[strlen(digits)], ==, ' ');
}

static void test_made_keys_are_read_by_ssh_keygen(void)
{
    for (guint type = SSH_KEY_RSA; type <= SSH_KEY_ED25519; type++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(SshKey) key = ssh_key_generate(type, "me", &error);
        g_assert_no_error(error);
        g_autofree char *path = write_key("made", key->private_pem);
        g_autofree char *line = OUTPUT("ssh-keygen", "-y", "-f", path);
        g_auto(GStrv) theirs = g_strsplit(line, " ", 3);
        g_auto(GStrv) ours = g_strsplit(key->public_line, " ", 3);
        g_assert_cmpstr(theirs[0], ==, ours[0]);
        g_assert_cmpstr(theirs[1], ==, ours[1]);
        g_assert_cmpstr(ours[2], ==, "me");
    }
}

static void test_made_rsa_is_pkcs1_with_sha1_of_pkcs8(void)
{
    g_autoptr(SshKey) key = ssh_key_generate(SSH_KEY_RSA, "me", NULL);
    g_autofree char *path = write_key("rsa", key->private_pem);
    g_autofree char *der = in_folder("rsa.der");

    g_assert_true(g_str_has_prefix(key->private_pem, "-----BEGIN RSA PRIVATE KEY-----\n"));
    g_free(OUTPUT("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", path, "-outform", "DER", "-out",
                  der));
    g_autofree char *sum = OUTPUT("openssl", "dgst", "-sha1", "-r", der);
    g_assert_cmpuint(strlen(key->fingerprint), ==, 59);
    assert_digest(key->fingerprint, sum);
}

static void test_made_ed25519_fingerprint_is_ssh_keygens(void)
{
    g_autoptr(SshKey) key = ssh_key_generate(SSH_KEY_ED25519, "me", NULL);
    g_autofree char *path = write_key("ed.pub", key->public_line);
    g_autofree char *line = OUTPUT("ssh-keygen", "-l", "-f", path);
    g_autofree char *bare = g_strndup(key->fingerprint, strcspn(key->fingerprint, "="));
    g_autofree char *expected = g_strdup_printf("256 SHA256:%s me (ED25519)", bare);

    g_assert_true(g_str_has_prefix(key->private_pem, "-----BEGIN OPENSSH PRIVATE KEY-----\n"));
    g_assert_cmpstr(line, ==, expected);
}

static void test_imports_what_ssh_keygen_makes(void)
{
    static const struct {
        const char *type, *bits;
        SshKeyType is;
        gsize fingerprint;
    } cases[] = { { "rsa", "1024", SSH_KEY_RSA, 47 },
                  { "rsa", "2048", SSH_KEY_RSA, 47 },
                  { "rsa", "4096", SSH_KEY_RSA, 47 },
                  { "ed25519", "256", SSH_KEY_ED25519, 44 } };

    for (gsize n = 0; n < G_N_ELEMENTS(cases); n++) {
        g_autofree char *name = g_strdup_printf("theirs%zu", n);
        g_autofree char *path = in_folder(name);
        g_autofree char *public = g_strconcat(path, ".pub", NULL);
        g_autofree char *line = NULL;
        g_autoptr(GError) error = NULL;
        g_free(OUTPUT("ssh-keygen", "-q", "-t", cases[n].type, "-b", cases[n].bits, "-N", "", "-C",
                      "two words", "-f", path));
        g_assert_true(g_file_get_contents(public, &line, NULL, NULL));
        g_autoptr(SshKey) key = ssh_key_import(line, strlen(line), &error);
        g_assert_no_error(error);
        g_assert_cmpint(key->type, ==, cases[n].is);
        g_assert_cmpuint(strlen(key->fingerprint), ==, cases[n].fingerprint);
        g_assert_cmpstr(key->public_line, ==, g_strchomp(line));
        g_assert_null(key->private_pem);
    }
}

static void test_imported_rsa_fingerprint_is_md5_of_spki(void)
{
    g_autoptr(SshKey) made = ssh_key_generate(SSH_KEY_RSA, "me", NULL);
    g_autoptr(SshKey) key = ssh_key_import(made->public_line, strlen(made->public_line), NULL);
    g_autofree char *path = write_key("spki", made->private_pem);
    g_autofree char *der = in_folder("spki.der");

    g_free(OUTPUT("openssl", "rsa", "-in", path, "-pubout", "-outform", "DER", "-out", der));
    g_autofree char *sum = OUTPUT("openssl", "dgst", "-md5", "-r", der);
    assert_digest(key->fingerprint, sum);
}

static void test_refuses_what_is_no_key(void)
{
    static const char *const lines[] = {
        "",
        "ssh-rsa",
        "ssh-rsa AAAA",
        "ssh-dss AAAAB3NzaC1kc3MAAACBAP",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",
        "ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==",
        "ssh-rsa !!!!",
        "-----BEGIN PUBLIC KEY-----",
        "ssh-ed25519 "
        "AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\nssh-rsa AAAA",
        "command=\"sh\" ssh-ed25519 "
        "AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g",
    };

    for (gsize n = 0; n < G_N_ELEMENTS(lines); n++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(ssh_key_import(lines[n], strlen(lines[n]), &error));
        g_assert_true(error_is(error, ERROR_KEY_PAIR_FORMAT));
        g_assert_cmpstr(error->message, ==, "Key is not in valid OpenSSH public key format");
    }
    static const char good[] =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";
    g_autoptr(SshKey) key = ssh_key_import(good, strlen(good), NULL);
    g_assert_nonnull(key);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("berth-ssh-key-XXXXXX", NULL);
    g_test_add_func("/ssh-key/made-keys-are-read-by-ssh-keygen",
                    test_made_keys_are_read_by_ssh_keygen);
    g_test_add_func("/ssh-key/made-rsa-is-pkcs1-with-sha1-of-pkcs8",
                    test_made_rsa_is_pkcs1_with_sha1_of_pkcs8);
    g_test_add_func("/ssh-key/made-ed25519-fingerprint-is-ssh-keygens",
                    test_made_ed25519_fingerprint_is_ssh_keygens);
    g_test_add_func("/ssh-key/imports-what-ssh-keygen-makes", test_imports_what_ssh_keygen_makes);
    g_test_add_func("/ssh-key/imported-rsa-fingerprint-is-md5-of-spki",
                    test_imported_rsa_fingerprint_is_md5_of_spki);
    g_test_add_func("/ssh-key/refuses-what-is-no-key", test_refuses_what_is_no_key);
    int status = g_test_run();
    g_free(OUTPUT("rm", "-rf", folder));
    g_free(folder);
    return status;
}
