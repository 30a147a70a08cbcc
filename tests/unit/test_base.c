/* base: errors, ids, times, sealing, settings, fault points. */
#include "base/clock.h"
#include "base/config.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "base/fault.h"
#include "base/id.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_every_error_has_its_codes(void)
{
    for (guint code = 0; code < ERROR__COUNT; code++)
        for (guint dialect = 0; dialect < 3; dialect++) {
            g_assert_nonnull(error_wire_code((ErrorCode)code, (ErrorDialect)dialect));
            int status = error_http_status((ErrorCode)code, (ErrorDialect)dialect);
            g_assert_cmpint(status, >=, 400);
            g_assert_cmpint(status, <=, 599);
        }
}

static void test_fail_sets_code_and_sentence(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(fail(&error, INVALID_PARAMETER, "volume size %d is too small", 0));
    g_assert_true(error_is(error, ERROR_INVALID_PARAMETER));
    fail_prefix(&error, "cannot launch");
    g_assert_cmpstr(error->message, ==, "cannot launch: volume size 0 is too small");
    g_assert_false(error_is_transient(error));
    g_assert_cmpstr(error_wire_code(error_code(error), ERROR_DIALECT_JSON), ==,
                    "InvalidParameterException");
}

static void test_ids_have_their_forms(void)
{
    g_autofree char *instance = id_ec2("i");
    g_autofree char *deployment = id_deployment();
    g_autofree char *key = id_iam("AKIA", 20);
    g_autofree char *secret = id_secret(40);
    g_autofree char *hex = id_hex32();
    g_autofree char *uuid = id_uuid();

    g_assert_true(id_is_ec2(instance, "i"));
    g_assert_false(id_is_ec2(instance, "ami"));
    g_assert_false(id_is_ec2("i-XYZ", "i"));
    g_assert_true(id_is_ec2("i-12345678", "i"));
    g_assert_true(g_regex_match_simple("^ecs-svc/[0-9]{19}$", deployment, 0, 0));
    g_assert_true(g_regex_match_simple("^AKIA[A-Z2-7]{16}$", key, 0, 0));
    g_assert_cmpuint(strlen(secret), ==, 40);
    g_assert_true(id_is_hex(hex, 32));
    g_assert_true(g_uuid_string_is_valid(uuid));
}

static void test_derived_ids_depend_on_their_words(void)
{
    g_autofree char *a = id_ec2_derived("vpc", (const char *const[]){ "1", "home-1", NULL });
    g_autofree char *b = id_ec2_derived("vpc", (const char *const[]){ "1", "home-1", NULL });
    g_autofree char *c = id_ec2_derived("vpc", (const char *const[]){ "2", "home-1", NULL });

    g_assert_cmpstr(a, ==, b);
    g_assert_cmpstr(a, !=, c);
    g_assert_true(id_is_ec2(a, "vpc"));
}

static void test_times_go_both_ways(void)
{
    static const struct {
        gint64 us;
        const char *ms, *basic;
    } cases[] = {
        { 0, "1970-01-01T00:00:00.000Z", "19700101T000000Z" },
        { 1769860800123000, "2026-01-31T12:00:00.123Z", "20260131T120000Z" },
        { 951782400000000, "2000-02-29T00:00:00.000Z", "20000229T000000Z" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        char text[CLOCK_ISO_SIZE];
        gint64 back = -1;
        g_assert_cmpstr(clock_iso_ms(cases[i].us, text), ==, cases[i].ms);
        g_assert_true(clock_parse_iso(text, &back));
        g_assert_cmpint(back, ==, cases[i].us);
        g_assert_cmpstr(clock_basic(cases[i].us, text), ==, cases[i].basic);
        g_assert_true(clock_parse_basic(text, &back));
        g_assert_cmpint(back, ==, cases[i].us / CLOCK_SECOND_US * CLOCK_SECOND_US);
    }
}

static void test_bad_times_are_refused(void)
{
    static const char *const bad[] = { "",
                                       "20260131T120000",
                                       "20261331T120000Z",
                                       "20260100T120000Z",
                                       "2026013aT120000Z",
                                       "20260131T250000Z",
                                       "20260131 120000Z" };
    gint64 us;

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(clock_parse_basic(bad[i], &us));
    g_assert_false(clock_parse_basic(NULL, &us));
    g_assert_false(clock_parse_iso("yesterday", &us));
}

static void test_sealed_text_opens_with_its_key_only(void)
{
    guint8 key[CRYPTO_KEY_SIZE] = { 1 }, other[CRYPTO_KEY_SIZE] = { 2 };
    g_autoptr(GError) error = NULL;
    g_autofree char *sealed = crypto_seal(key, "secret access key");
    g_autofree char *again = crypto_seal(key, "secret access key");
    g_autofree char *clear = crypto_unseal(key, sealed, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(clear, ==, "secret access key");
    g_assert_cmpstr(sealed, !=, again);
    g_assert_null(crypto_unseal(other, sealed, &error));
    g_clear_error(&error);
    sealed[0] = sealed[0] == 'A' ? 'B' : 'A';
    g_assert_null(crypto_unseal(key, sealed, &error));
    g_clear_error(&error);
    g_assert_null(crypto_unseal(key, "short", &error));
}

static void test_master_key_is_made_once(void)
{
    g_autofree char *dir = g_dir_make_tmp("berth-key-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "master.key", NULL);
    guint8 first[CRYPTO_KEY_SIZE], second[CRYPTO_KEY_SIZE];
    g_autoptr(GError) error = NULL;
    GStatBuf st;

    g_assert_false(crypto_load_key(path, FALSE, first, &error));
    g_clear_error(&error);
    g_assert_true(crypto_load_key(path, TRUE, first, &error));
    g_assert_true(crypto_load_key(path, TRUE, second, &error));
    g_assert_cmpmem(first, sizeof first, second, sizeof second);
    g_assert_cmpint(g_stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    g_unlink(path);
    g_rmdir(dir);
}

static char *write_config(const char *dir, const char *text)
{
    char *path = g_build_filename(dir, "berth.conf", NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

static void test_settings_default_and_read_back(void)
{
    g_autofree char *dir = g_dir_make_tmp("berth-config-XXXXXX", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) scratch = config_for_root("/scratch", &error);

    g_assert_no_error(error);
    g_assert_cmpstr(scratch->state_dir, ==, "/scratch/var/lib/berth");
    scratch->listen_port = 9443;
    g_autofree char *text = config_text(scratch);
    g_autofree char *path = write_config(dir, text);
    g_autoptr(Config) back = config_load(path, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(back->root, ==, "/scratch");
    g_assert_cmpstr(back->run_dir, ==, "/scratch/run/berth");
    g_assert_cmpuint(back->listen_port, ==, 9443);
    g_unlink(path);
    g_rmdir(dir);
}

static void test_wrong_settings_name_the_field(void)
{
    static const struct {
        const char *text, *names;
    } cases[] = {
        { "[api]\nlisten_port=0\n", "listen_port" },
        { "[api]\nlisten_port=http\n", "listen_port" },
        { "[api]\nport=1\n", "[api] port is not a setting" },
        { "listen_port", "cannot read configuration" },
    };
    g_autofree char *dir = g_dir_make_tmp("berth-config-XXXXXX", NULL);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = write_config(dir, cases[i].text);
        g_assert_null(config_load(path, &error));
        g_assert_true(error_is(error, ERROR_CONFIG));
        g_assert_nonnull(strstr(error->message, cases[i].names));
        g_unlink(path);
    }
    g_rmdir(dir);
}

static void test_fault_point_kills_at_its_pass(void)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        g_setenv("BERTH_FAULT", "here:2", TRUE);
        fault_init();
        FAULT_POINT("elsewhere");
        FAULT_POINT("here");
        FAULT_POINT("here");
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/errors/every-error-has-its-codes", test_every_error_has_its_codes);
    g_test_add_func("/base/errors/fail-sets-code-and-sentence", test_fail_sets_code_and_sentence);
    g_test_add_func("/base/id/forms", test_ids_have_their_forms);
    g_test_add_func("/base/id/derived", test_derived_ids_depend_on_their_words);
    g_test_add_func("/base/clock/both-ways", test_times_go_both_ways);
    g_test_add_func("/base/clock/bad", test_bad_times_are_refused);
    g_test_add_func("/base/crypto/sealed", test_sealed_text_opens_with_its_key_only);
    g_test_add_func("/base/crypto/master-key", test_master_key_is_made_once);
    g_test_add_func("/base/config/defaults", test_settings_default_and_read_back);
    g_test_add_func("/base/config/wrong", test_wrong_settings_name_the_field);
    g_test_add_func("/base/fault/kills", test_fault_point_kills_at_its_pass);
    return g_test_run();
}
