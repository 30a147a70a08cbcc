#include "../lib/pg.h"
#include "base/errors.h"
#include "store/migrate.h"

#include <string.h>

static void test_applies_once(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    guint applied = 99;

    g_assert_true(migrate_apply(db->region_dsn, migrations_region, &applied, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(applied, ==, 0);
    g_assert_true(migrate_check(db->region_dsn, "berth_api", migrations_region, &error));
    g_assert_true(migrate_check(db->identity_dsn, "berth_reconcile", migrations_identity, &error));
}

static void test_refuses_older_schema(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) files = g_array_new(TRUE, TRUE, sizeof(Migration));
    const Migration later = { "9999-later", "" };

    for (const Migration *file = migrations_identity; file->name; file++)
        g_array_append_vals(files, file, 1);
    g_array_append_val(files, later);
    g_assert_false(
        migrate_check(db->identity_dsn, "berth_api", (const Migration *)(void *)files->data, &error));
    g_assert_true(error_is(error, ERROR_CONFIG));
    g_assert_nonnull(strstr(error->message, "older than this program"));
    g_assert_nonnull(strstr(error->message, "\"9999-later\""));
}

static void test_refuses_newer_schema(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    guint applied = 0;

    g_free(test_db_sql(db->region_dsn,
                       "INSERT INTO schema_migrations VALUES ('9999-later', repeat('0', 64))"));
    g_assert_false(migrate_check(db->region_dsn, "berth_api", migrations_region, &error));
    g_assert_nonnull(strstr(error->message, "newer than this program"));
    g_clear_error(&error);
    g_assert_false(migrate_apply(db->region_dsn, migrations_region, &applied, &error));
    g_assert_true(error_is(error, ERROR_CONFIG));
}

static void test_refuses_changed_file(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;

    g_free(test_db_sql(db->identity_dsn, "UPDATE schema_migrations SET sha256 = repeat('0', 64)"));
    g_assert_false(migrate_check(db->identity_dsn, "berth_api", migrations_identity, &error));
    g_assert_nonnull(strstr(error->message, "differs"));
}

static void test_failed_file_leaves_nothing(void)
{
    static const Migration bad[] = {
        { "0001-good", "CREATE TABLE good (a int)" },
        { "0002-bad", "CREATE TABLE bad (a int); SELECT 1 / 0" },
        { NULL, NULL },
    };
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    guint applied = 0;

    g_free(test_db_sql(db->identity_dsn, "DROP TABLE schema_migrations"));
    g_assert_false(migrate_apply(db->identity_dsn, bad, &applied, &error));
    g_assert_true(error_is(error, ERROR_CONFIG));
    g_assert_nonnull(strstr(error->message, "0002-bad"));
    g_assert_cmpuint(applied, ==, 1);
    g_autofree char *left = test_db_sql(db->identity_dsn,
                                        "SELECT concat(to_regclass('good'), to_regclass('bad'))");
    g_assert_cmpstr(left, ==, "good");
}

/* Column grants: each room may write its own facts and no other. */
static void test_grants(void)
{
    static const struct {
        const char *user;
        const char *sql;
        gboolean allowed;
    } cases[] = {
        { "berth_api", "UPDATE instances SET desired = 'stopped'", TRUE },
        { "berth_api", "UPDATE instances SET seen = 'running'", FALSE },
        { "berth_api", "DELETE FROM instances", FALSE },
        { "berth_reconcile", "UPDATE instances SET seen = 'running'", TRUE },
        { "berth_reconcile", "UPDATE instances SET user_data = NULL", FALSE },
        { "berth_reconcile", "UPDATE services SET desired_count = 0", FALSE },
        { "berth_reconcile", "UPDATE container_instances SET channel_owner = NULL", FALSE },
        { "berth_api", "UPDATE container_instances SET channel_owner = NULL", TRUE },
        { "berth_api", "UPDATE hosts SET state = 'up'", FALSE },
        { "berth_api", "CREATE TABLE mine (a int)", FALSE },
        { "berth_api", "DELETE FROM schema_migrations", FALSE },
    };
    g_autoptr(TestDb) db = test_db_new();

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s: %s", cases[i].user, cases[i].sql);
        g_assert_cmpint(test_db_try(db->region_dsn, cases[i].user, cases[i].sql), ==,
                        cases[i].allowed);
    }
    g_assert_false(test_db_try(db->identity_dsn, "berth_reconcile", "SELECT * FROM access_keys"));
    g_assert_true(test_db_try(db->identity_dsn, "berth_api", "SELECT * FROM access_keys"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_pg_init();
    g_test_add_func("/migrate/applies-once", test_applies_once);
    g_test_add_func("/migrate/refuses-older-schema", test_refuses_older_schema);
    g_test_add_func("/migrate/refuses-newer-schema", test_refuses_newer_schema);
    g_test_add_func("/migrate/refuses-changed-file", test_refuses_changed_file);
    g_test_add_func("/migrate/failed-file-leaves-nothing", test_failed_file_leaves_nothing);
    g_test_add_func("/migrate/grants", test_grants);
    return g_test_run();
}
