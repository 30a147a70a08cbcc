/* Channels of container instances on a real database: found and claimed in lots, each by one. */
#include "../lib/pg.h"
#include "store/channels.h"
#include "store/daemons.h"

#include <string.h>

#define ACCOUNT "123456789012"
#define ME      "daemon-1"
#define CI      "0000000000000000000000000000000" /* and a digit: name of a container instance */

static TestDb *stage_new(void)
{
    TestDb *db = test_db_new();

    g_free(test_db_sql(
        db->region_dsn,
        "INSERT INTO zones (zone_name, zone_id) VALUES ('home-1a', 'a');"
        "INSERT INTO clusters (account_id, cluster_name) VALUES ('" ACCOUNT "', 'default');"
        "INSERT INTO daemons (daemon_id, role) VALUES ('" ME "', 'all'), ('other', 'api');"
        "INSERT INTO container_instances (container_instance_id, account_id, cluster_id, zone_name,"
        " cpu, memory_mib) SELECT lpad(n::text, 32, '0'), '" ACCOUNT "', cluster_id, 'home-1a', 1024, 1000"
        " FROM clusters, generate_series(1, 6) n;"
        "INSERT INTO task_definitions (account_id, family, revision, definition, cpu,"
        " memory_mib, registered_by) VALUES ('" ACCOUNT "', 't', 1, '{}', 1, 1, 'me')"));
    return db;
}

static void run_sql(TestDb *db, const char *text)
{
    g_free(test_db_sql(db->region_dsn, text));
}

static void claim(TestDb *db, ChannelClaim *claims, gsize count)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(db->region, DB_MODE_READ, &error);

    g_assert_no_error(error);
    channels_claim(tx, ME, claims, count, &error);
    g_assert_no_error(error);
}

static void test_all_are_found_at_once(void)
{
    TestDb *db = stage_new();
    g_autoptr(DbTx) tx = db_begin(db->region, DB_MODE_READ, NULL);
    ChannelLookup lookups[] = { { ACCOUNT, CI "2", NULL },
                                { ACCOUNT, "missing", NULL },
                                { "999999999999", CI "1", NULL },
                                { ACCOUNT, "c\\\"{},NULL", NULL },
                                { ACCOUNT, CI "1", NULL },
                                { ACCOUNT, CI "2", NULL } };
    static const gint64 expected[] = { 2, 0, 0, 0, 1, 2 };

    g_assert_true(channels_find(tx, lookups, G_N_ELEMENTS(lookups), NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(lookups); i++) {
        g_assert_cmpint(lookups[i].row ? lookups[i].row->ci_id : 0, ==, expected[i]);
        channel_row_free(lookups[i].row);
    }
    g_clear_pointer(&tx, db_rollback);
    test_db_free(db);
}

/* 1 is free; 2 is held here by a session that is over; 3 here by one that lives; 4 by another daemon;
 * 5 by one that died; 6 is deregistered. */
static void test_a_channel_is_taken_from_nobody_who_lives(void)
{
    static const char *const hash = "hash";
    TestDb *db = stage_new();
    ChannelClaim claims[] = {
        { .ci_id = 6, .session = "s6" },
        { .ci_id = 5, .session = "s5", .agent = { .version = "1.70.0" } },
        { .ci_id = 4, .session = "s4", .over_session = "old" },
        { .ci_id = 3, .session = "s3" },
        { .ci_id = 2, .session = "s2", .over_session = "old", .agent = { .hash = hash } },
        { .ci_id = 1, .session = "s1" },
    };
    static const gboolean taken[] = { FALSE, TRUE, FALSE, FALSE, TRUE, TRUE };

    run_sql(db, "UPDATE container_instances SET channel_owner = '" ME "', channel_session = 'old'"
                " WHERE ci_id = 2;"
                "UPDATE container_instances SET channel_owner = '" ME "', channel_session = 'new'"
                " WHERE ci_id = 3;"
                "UPDATE container_instances SET channel_owner = 'other', channel_session = 'new'"
                " WHERE ci_id = 4;"
                "UPDATE container_instances SET channel_owner = 'dead', channel_session = 'new'"
                " WHERE ci_id = 5;"
                "UPDATE container_instances SET status = 'INACTIVE' WHERE ci_id = 6");
    claim(db, claims, G_N_ELEMENTS(claims));
    for (gsize i = 0; i < G_N_ELEMENTS(claims); i++)
        g_assert_cmpint(claims[i].taken, ==, taken[i]);
    g_autofree char *rows = test_db_sql(
        db->region_dsn, "SELECT string_agg(concat_ws(':', ci_id, channel_owner, channel_session,"
                        " agent_version, agent_hash), ' ' ORDER BY ci_id) FROM container_instances");
    g_assert_cmpstr(rows, ==, "1:" ME ":s1 2:" ME ":s2:hash 3:" ME ":new 4:other:new 5:" ME
                              ":s5:1.70.0 6");
    test_db_free(db);
}

static void test_two_of_a_lot_cannot_have_the_same(void)
{
    TestDb *db = stage_new();
    ChannelClaim claims[] = { { .ci_id = 1, .session = "a" }, { .ci_id = 1, .session = "b" } };

    claim(db, claims, G_N_ELEMENTS(claims));
    g_assert_cmpint(claims[0].taken + claims[1].taken, ==, 1);
    g_autofree char *session =
        test_db_sql(db->region_dsn, "SELECT channel_session FROM container_instances WHERE ci_id = 1");
    g_assert_cmpstr(session, ==, claims[0].taken ? "a" : "b");
    test_db_free(db);
}

static void test_a_claim_tells_what_waits(void)
{
    static const struct {
        const char *status, *desired, *sent, *acked;
        gboolean credentials, work;
    } cases[] = {
        { "PENDING", "RUNNING", "NULL", "NULL", FALSE, TRUE },          /* never sent */
        { "PENDING", "RUNNING", "'RUNNING'", "NULL", TRUE, TRUE },      /* not acknowledged */
        { "RUNNING", "RUNNING", "'RUNNING'", "NULL", TRUE, FALSE },     /* it runs */
        { "RUNNING", "STOPPED", "'RUNNING'", "'RUNNING'", FALSE, TRUE },/* to be stopped */
        { "STOPPED", "STOPPED", "NULL", "NULL", FALSE, FALSE },         /* over */
    };
    TestDb *db = stage_new();
    ChannelClaim claims[G_N_ELEMENTS(cases)] = { 0 };
    static const char *const sessions[] = { "1", "2", "3", "4", "5" };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf(
            "WITH made AS (INSERT INTO tasks (task_id, account_id, cluster_id, task_group,"
            " task_definition_id, ci_id, cpu, memory_mib, last_status, desired_status, sent_status,"
            " acked_status) SELECT lpad('%zu', 32, '0'), account_id, cluster_id, 'g', 1, %zu, 1, 1, '%s', '%s', %s, %s"
            " FROM clusters RETURNING task_key) INSERT INTO task_credentials (task_key, kind, role_arn,"
            " expires_at) SELECT task_key, 'task', 'r', now() FROM made WHERE %s",
            i, i + 1, cases[i].status, cases[i].desired, cases[i].sent, cases[i].acked,
            cases[i].credentials ? "true" : "false");
        run_sql(db, text);
        claims[i] = (ChannelClaim){ .ci_id = (gint64)i + 1, .session = sessions[i] };
    }
    claim(db, claims, G_N_ELEMENTS(claims));
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("case %zu", i);
        g_assert_true(claims[i].taken);
        g_assert_cmpint(claims[i].work, ==, cases[i].work);
        g_assert_cmpint(claims[i].credentials, ==, cases[i].credentials);
    }
    test_db_free(db);
}

#define CLIENTS 8

static gpointer claim_alone(gpointer data)
{
    TestDb *db = data;
    g_autofree char *session = g_strdup_printf("%p", (void *)g_thread_self());
    guint won = 0;

    for (gint64 ci_id = 1; ci_id <= 6; ci_id++) {
        ChannelClaim one = { .ci_id = ci_id, .session = session };
        claim(db, &one, 1);
        won += one.taken;
    }
    return GUINT_TO_POINTER(won);
}

static void test_of_many_clients_one_has_it(void)
{
    TestDb *db = stage_new();
    GThread *threads[CLIENTS];
    guint won = 0;

    for (guint i = 0; i < CLIENTS; i++)
        threads[i] = g_thread_new("client", claim_alone, db);
    for (guint i = 0; i < CLIENTS; i++)
        won += GPOINTER_TO_UINT(g_thread_join(threads[i]));
    g_assert_cmpuint(won, ==, 6);
    test_db_free(db);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_pg_init();
    g_test_add_func("/channels/found", test_all_are_found_at_once);
    g_test_add_func("/channels/living", test_a_channel_is_taken_from_nobody_who_lives);
    g_test_add_func("/channels/twice", test_two_of_a_lot_cannot_have_the_same);
    g_test_add_func("/channels/waits", test_a_claim_tells_what_waits);
    g_test_add_func("/channels/race", test_of_many_clients_one_has_it);
    return g_test_run();
}
