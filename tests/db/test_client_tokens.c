#include "../lib/pg.h"
#include "base/errors.h"
#include "store/client_tokens.h"
#include "store/sessions.h"

#include <pthread.h>
#include <string.h>

#define CLIENTS 16
#define ACCOUNT "123456789012"

typedef struct {
    TestDb *db;
    pthread_barrier_t *start;
    const char *hash;
    gboolean made;  /* this client made the answer */
    gint64 answer;
    ErrorCode code; /* when it failed */
} Client;

/* What the dispatcher does with a token; the "action" counts how often it was done. */
static gboolean call_once(Client *client, int number, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(client->db->region, DB_MODE_WRITE, error);
    json_auto_t *earlier = NULL;

    g_assert_nonnull(tx);
    if (!client_tokens_claim(tx, ACCOUNT, "ecs:RunTask", "token", client->hash, &earlier, error))
        return FALSE;
    client->made = earlier == NULL;
    client->answer = json_integer_value(json_object_get(earlier, "n"));
    if (earlier)
        return db_commit(g_steal_pointer(&tx), error);
    json_auto_t *answer = json_pack("{s:i}", "n", number);
    client->answer = number;
    return db_exec(tx, error,
                   "INSERT INTO installation VALUES ('calls', '1') ON CONFLICT (name) DO UPDATE"
                   " SET value = installation.value::int + 1",
                   DB_NO_ARGS, NULL) &&
           client_tokens_keep(tx, ACCOUNT, "ecs:RunTask", "token", answer, error) &&
           db_commit(g_steal_pointer(&tx), error);
}

static void *client_main(void *arg)
{
    Client *client = arg;
    g_autoptr(GError) error = NULL;

    pthread_barrier_wait(client->start);
    if (!call_once(client, (int)GPOINTER_TO_INT(client) & 0xffff, &error))
        client->code = error_code(error);
    return NULL;
}

static void race(TestDb *db, Client clients[CLIENTS], const char *const *hashes)
{
    pthread_t threads[CLIENTS];
    pthread_barrier_t start;

    g_free(test_db_sql(db->region_dsn, "GRANT INSERT, UPDATE ON installation TO berth_api"));
    pthread_barrier_init(&start, NULL, CLIENTS);
    for (guint i = 0; i < CLIENTS; i++) {
        clients[i] = (Client){ .db = db, .start = &start, .hash = hashes[i % 2] };
        pthread_create(&threads[i], NULL, client_main, &clients[i]);
    }
    for (guint i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
}

static void test_one_of_many_acts(void)
{
    static const char *const hashes[] = { "same", "same" };
    g_autoptr(TestDb) db = test_db_new();
    Client clients[CLIENTS];
    guint made = 0;

    race(db, clients, hashes);
    for (guint i = 0; i < CLIENTS; i++) {
        g_assert_cmpint(clients[i].code, ==, 0);
        g_assert_cmpint(clients[i].answer, ==, clients[0].answer);
        made += clients[i].made;
    }
    g_assert_cmpuint(made, ==, 1);
    g_autofree char *calls =
        test_db_sql(db->region_dsn, "SELECT value FROM installation WHERE name = 'calls'");
    g_assert_cmpstr(calls, ==, "1");
}

static void test_other_requests_are_refused(void)
{
    static const char *const hashes[] = { "one", "other" };
    g_autoptr(TestDb) db = test_db_new();
    Client clients[CLIENTS];
    guint refused = 0;

    race(db, clients, hashes);
    for (guint i = 0; i < CLIENTS; i++)
        refused += clients[i].code == ERROR_TOKEN_MISMATCH;
    g_assert_cmpuint(refused, ==, CLIENTS / 2);
}

static void test_a_failed_call_leaves_no_token(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    json_t *earlier = NULL;

    DbTx *tx = db_begin(db->region, DB_MODE_WRITE, &error);
    g_assert_true(client_tokens_claim(tx, ACCOUNT, "a", "t", "one", &earlier, &error));
    db_rollback(tx);
    tx = db_begin(db->region, DB_MODE_WRITE, &error);
    g_assert_true(client_tokens_claim(tx, ACCOUNT, "a", "t", "other", &earlier, &error));
    g_assert_null(earlier);
    db_rollback(tx);
}

static void test_tokens_are_forgotten_after_a_day(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;

    g_free(test_db_sql(db->region_dsn,
                       "INSERT INTO client_tokens VALUES"
                       " ('" ACCOUNT "', 'a', 'old', 'h', '{}', now() - interval '25 hours'),"
                       " ('" ACCOUNT "', 'a', 'new', 'h', '{}', now() - interval '23 hours')"));
    g_autoptr(DbTx) tx = db_begin(db->region, DB_MODE_READ, &error);
    g_assert_true(client_tokens_prune(tx, &error));
    g_autofree char *left =
        test_db_sql(db->region_dsn, "SELECT string_agg(token, ',') FROM client_tokens");
    g_assert_cmpstr(left, ==, "new");
}

static void test_a_session_is_found_as_it_was_made(void)
{
    g_autoptr(TestDb) db = test_db_new();
    g_autoptr(GError) error = NULL;
    guint8 key[CRYPTO_KEY_SIZE] = { 7 };

    g_free(test_db_sql(db->identity_dsn,
                       "INSERT INTO accounts (account_id, name) VALUES ('" ACCOUNT "', 'a')"));
    DbTx *tx = db_begin(db->identity, DB_MODE_WRITE, &error);
    g_autoptr(SessionCredentials) made = sessions_make(tx, key, ACCOUNT, SESSION_AGENT_ROLE, "i-1",
                                                       "i-1", 1900000000000000, &error);
    g_assert_no_error(error);
    g_autoptr(SessionCredentials) again = sessions_make(tx, key, ACCOUNT, SESSION_AGENT_ROLE, "i-2",
                                                        "i-2", 1900000000000000, &error);
    g_assert_true(g_str_has_prefix(made->access_key_id, "ASIA"));
    g_assert_cmpuint(strlen(made->token), ==, 356);
    g_autoptr(RoleSession) one = sessions_find(tx, made->access_key_id, &error);
    g_autoptr(RoleSession) two = sessions_find(tx, again->access_key_id, &error);
    g_autoptr(RoleSession) none = sessions_find(tx, "ASIANONE", &error);
    g_assert_null(none);
    g_assert_no_error(error);
    g_autofree char *secret = crypto_unseal(key, one->sealed_secret, &error);
    g_assert_cmpstr(secret, ==, made->secret);
    g_assert_cmpstr(one->subject, ==, "i-1");
    g_assert_cmpint(one->expires_us, ==, 1900000000000000);
    g_assert_cmpstr(one->role_id, ==, two->role_id);
    g_assert_cmpstr(one->token_sha256, !=, two->token_sha256);
    db_rollback(tx);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_pg_init();
    g_test_add_func("/client-tokens/one-of-many-acts", test_one_of_many_acts);
    g_test_add_func("/client-tokens/other-requests-are-refused", test_other_requests_are_refused);
    g_test_add_func("/client-tokens/failed-call-leaves-none", test_a_failed_call_leaves_no_token);
    g_test_add_func("/client-tokens/forgotten-after-a-day", test_tokens_are_forgotten_after_a_day);
    g_test_add_func("/sessions/found-as-made", test_a_session_is_found_as_it_was_made);
    return g_test_run();
}
