/* store/db: sessions, transactions, conflicts, parameters, notifications, claims. */
#include "base/errors.h"
#include "store/db.h"
#include "../lib/pg.h"

#include <string.h>

static const char hostile[] = "a'; DROP TABLE zones; -- \"{},\\ \n\xc3\xa9";

static void test_parameters_come_back_as_they_went(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(db->region, DB_MODE_READ, &error);
    const char *words[] = { hostile, "", "NULL", NULL };
    const gint64 numbers[] = { -1, G_MAXINT64, 0 };

    g_autoptr(PGresult) res = db_query(
        tx, &error, "SELECT $1::text, ($2::text[])[1], ($2::text[])[3], ($3::bigint[])[2], $4::text",
        DB_ARGS(hostile, db_text_array(tx, words, -1), db_int_array(tx, numbers, 3), NULL));
    g_assert_no_error(error);
    g_assert_cmpstr(db_text(res, 0, 0), ==, hostile);
    g_assert_cmpstr(db_text(res, 0, 1), ==, hostile);
    g_assert_cmpstr(db_text(res, 0, 2), ==, "NULL");
    g_assert_cmpint(db_int64(res, 0, 3), ==, G_MAXINT64);
    g_assert_null(db_text(res, 0, 4));
}

static void test_times_keep_their_microseconds(void)
{
    static const gint64 times[] = { 0, 1, -1, 1769860800123456, -62135596800000000 };
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(db->region, DB_MODE_READ, &error);

    for (guint i = 0; i < G_N_ELEMENTS(times) - 1; i++) {
        g_autoptr(PGresult) res = db_query(tx, &error, "SELECT " DB_US("$1::timestamptz"),
                                           DB_ARGS(db_time(tx, times[i])));
        g_assert_no_error(error);
        g_assert_cmpint(db_int64(res, 0, 0), ==, times[i]);
    }
}

static guint count_zones(TestDb *db)
{
    g_autofree char *count = test_db_sql(db->region_dsn, "SELECT count(*) FROM zones");

    return (guint)g_ascii_strtoull(count, NULL, 10);
}

static gboolean insert_zone(DbTx *tx, const char *name, GError **error)
{
    return db_exec(tx, error, "INSERT INTO zones (zone_name, zone_id) VALUES ($1, $1)",
                   DB_ARGS(name), NULL);
}

static void test_what_is_not_committed_did_not_happen(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    DbTx *tx = db_begin(db->region, DB_MODE_WRITE, &error);

    g_assert_true(insert_zone(tx, "home-1a", &error));
    db_rollback(tx);
    g_assert_cmpuint(count_zones(db), ==, 0);
    tx = db_begin(db->region, DB_MODE_WRITE, &error);
    g_assert_true(insert_zone(tx, "home-1a", &error));
    g_assert_true(db_commit(tx, &error));
    g_assert_cmpuint(count_zones(db), ==, 1);
}

static void test_a_failed_statement_leaves_the_session_usable(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    DbTx *tx = db_begin(db->region, DB_MODE_WRITE, &error);

    g_assert_false(insert_zone(tx, "not a zone", &error));
    g_assert_true(error_is(error, ERROR_INTERNAL));
    g_clear_error(&error);
    db_rollback(tx);
    tx = db_begin(db->region, DB_MODE_WRITE, &error);
    g_assert_true(insert_zone(tx, "home-1b", &error));
    g_assert_true(db_commit(tx, &error));
}

static void test_a_deadlock_is_a_conflict(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    DbTx *tx = db_begin(db->region, DB_MODE_WRITE, &error);

    g_assert_null(
        db_query(tx, &error, "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$", DB_NO_ARGS));
    g_assert_true(error_is(error, ERROR_TX_CONFLICT));
    g_assert_true(error_is_transient(error));
    db_rollback(tx);
}

static void wait_until_gone(TestDb *db, const PGresult *pid)
{
    g_autofree char *sql = g_strdup_printf("SELECT count(*) FROM pg_stat_activity WHERE pid = %s",
                                           db_text(pid, 0, 0));
    for (guint tries = 0; tries < 200; tries++) {
        g_autofree char *count = test_db_sql(db->region_dsn, sql);
        if (strcmp(count, "0") == 0)
            return;
        g_usleep(10000);
    }
    g_error("session %s does not end", db_text(pid, 0, 0));
}

static void test_a_lost_session_is_replaced(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    DbTx *tx = db_begin(db->region, DB_MODE_READ, &error);
    g_autoptr(PGresult) pid = db_query(tx, &error, "SELECT pg_backend_pid()", DB_NO_ARGS);
    g_autofree char *kill = g_strdup_printf("SELECT pg_terminate_backend(%s)", db_text(pid, 0, 0));

    /* killed while idle: the next transaction does not notice */
    g_assert_true(db_commit(tx, &error));
    g_assert_true(test_db_try(db->region_dsn, "postgres", kill));
    wait_until_gone(db, pid);
    tx = db_begin(db->region, DB_MODE_READ, &error);
    g_assert_no_error(error);
    g_autoptr(PGresult) res = db_query(tx, &error, "SELECT 1", DB_NO_ARGS);
    g_assert_no_error(error);
    g_assert_true(db_commit(tx, &error));
}

static void test_a_session_killed_at_work_is_unavailable(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    DbTx *tx = db_begin(db->region, DB_MODE_WRITE, &error);
    g_autoptr(PGresult) pid = db_query(tx, &error, "SELECT pg_backend_pid()", DB_NO_ARGS);
    g_autofree char *kill = g_strdup_printf("SELECT pg_terminate_backend(%s)", db_text(pid, 0, 0));

    g_assert_true(test_db_try(db->region_dsn, "postgres", kill));
    g_assert_null(db_query(tx, &error, "SELECT 1", DB_NO_ARGS));
    g_assert_true(error_is(error, ERROR_UNAVAILABLE));
    g_clear_error(&error);
    db_rollback(tx);
    tx = db_begin(db->region, DB_MODE_WRITE, &error);
    g_assert_no_error(error);
    db_rollback(tx);
}

static void test_a_wake_is_heard_after_commit_only(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    DbListener *listener = db_listen(db->region_dsn, "berth_reconcile", "berth_wake", &error);
    g_assert_no_error(error);

    DbTx *tx = db_begin(db->region, DB_MODE_WRITE, &error);
    g_assert_true(db_wake(tx, "instance", "i-1", &error));
    g_auto(GStrv) early = db_listener_wait(listener, 50, &error);
    g_assert_cmpuint(g_strv_length(early), ==, 0);
    g_assert_true(db_commit(tx, &error));
    g_auto(GStrv) heard = db_listener_wait(listener, 5000, &error);
    g_assert_cmpuint(g_strv_length(heard), ==, 1);
    g_assert_cmpstr(heard[0], ==, "instance:i-1");
    db_listener_free(listener);
}

static void test_a_claim_is_one_process_s(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    DbClaims *one = db_claims_new(db->region_dsn, "berth_reconcile", &error);
    DbClaims *two = db_claims_new(db->region_dsn, "berth_reconcile", &error);
    gboolean taken = FALSE;

    g_assert_true(db_claim(one, "instance", "i-1", &taken, &error));
    g_assert_true(taken);
    g_assert_true(db_claim(two, "instance", "i-1", &taken, &error));
    g_assert_false(taken);
    g_assert_true(db_claim(two, "instance", "i-2", &taken, &error));
    g_assert_true(taken);
    /* a process that dies lets go of all it held */
    db_claims_free(one);
    for (guint tries = 0; tries < 100 && (!taken || tries == 0); tries++) {
        g_assert_true(db_claim(two, "instance", "i-1", &taken, &error));
        if (!taken)
            g_usleep(20000);
    }
    g_assert_true(taken);
    db_claims_free(two);
}

typedef struct {
    TestDb *db;
    gint done; /* atomic */
} Contest;

static gpointer add_one(gpointer data)
{
    Contest *contest = data;

    for (guint i = 0; i < 25; i++) {
        g_autoptr(GError) error = NULL;
        DbTx *tx = db_begin(contest->db->region, DB_MODE_WRITE, &error);
        g_assert_no_error(error);
        g_autoptr(PGresult) res = db_query(
            tx, &error, "SELECT host_reserve_mib FROM zones WHERE zone_name = $1 FOR UPDATE", DB_ARGS("home-1a"));
        g_assert_no_error(error);
        gint64 value = db_int64(res, 0, 0);
        g_assert_true(db_exec(tx, &error, "UPDATE zones SET host_reserve_mib = $2 WHERE zone_name = $1",
                              DB_ARGS("home-1a", db_int(tx, value + 1)), NULL));
        g_assert_true(db_commit(tx, &error));
        g_atomic_int_inc(&contest->done);
    }
    return NULL;
}

static void test_sixteen_writers_of_a_locked_row_lose_nothing(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autofree char *made = test_db_sql(
        db->region_dsn, "INSERT INTO zones (zone_name, zone_id, host_reserve_mib) "
                        "VALUES ('home-1a', 'h1-az1', 0) RETURNING 1");
    Contest contest = { .db = db };
    GThread *threads[16];

    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("writer", add_one, &contest);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    g_autofree char *sum = test_db_sql(db->region_dsn, "SELECT host_reserve_mib FROM zones");
    g_assert_cmpint(contest.done, ==, 400);
    g_assert_cmpstr(sum, ==, "400");
}

static void test_writers_have_their_own_facts_only(void)
{
    static const struct {
        const char *user, *sql;
        gboolean may;
    } cases[] = {
        { "berth_api", "UPDATE instances SET desired = desired", TRUE },
        { "berth_api", "UPDATE instances SET seen = seen", FALSE },
        { "berth_reconcile", "UPDATE instances SET seen = seen", TRUE },
        { "berth_reconcile", "UPDATE services SET desired_count = 0", FALSE },
        { "berth_api", "UPDATE images SET state = 'available'", FALSE },
        { "berth_reconcile", "UPDATE tasks SET acked_status = NULL", FALSE },
        { "berth_api", "UPDATE container_instances SET channel_owner = NULL", TRUE },
        { "berth_api", "DROP TABLE tasks", FALSE },
        { "berth_reconcile", "CREATE TABLE mine (x int)", FALSE },
    };
    g_autoptr(TestDb) db = test_db_new();

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        if (test_db_try(db->region_dsn, cases[i].user, cases[i].sql) != cases[i].may)
            g_error("%s %s: %s", cases[i].user, cases[i].may ? "may not" : "may", cases[i].sql);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_pg_init();
    g_test_add_func("/db/parameters", test_parameters_come_back_as_they_went);
    g_test_add_func("/db/times", test_times_keep_their_microseconds);
    g_test_add_func("/db/rollback", test_what_is_not_committed_did_not_happen);
    g_test_add_func("/db/failed-statement", test_a_failed_statement_leaves_the_session_usable);
    g_test_add_func("/db/deadlock", test_a_deadlock_is_a_conflict);
    g_test_add_func("/db/lost-session", test_a_lost_session_is_replaced);
    g_test_add_func("/db/killed-session", test_a_session_killed_at_work_is_unavailable);
    g_test_add_func("/db/wake", test_a_wake_is_heard_after_commit_only);
    g_test_add_func("/db/claims", test_a_claim_is_one_process_s);
    g_test_add_func("/db/locked-row", test_sixteen_writers_of_a_locked_row_lose_nothing);
    g_test_add_func("/db/grants", test_writers_have_their_own_facts_only);
    return g_test_run();
}
