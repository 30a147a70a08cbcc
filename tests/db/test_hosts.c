/*
 * The pool of connections to hosts, with a libvirt of the test's own in the place of the driver: one
 * that breaks connections does so between two calls, which a real one cannot be made to.
 */
#include "../lib/pg.h"
#include "base/errors.h"
#include "reconcile/hosts.h"
#include "reconcile/queue.h"

#include <pthread.h>
#include <string.h>

#define URI     "fake://host/system"
#define FEW     5   /* tries, which a caller may make of a host that breaks them all */
#define MANY    100 /* tries, by which it would have gone on for ever */
#define WORKERS 8
#define BACK_S  30

/* ---- the driver */

struct Hyper {
    char *uri;
    int alive; /* atomic */
    HyperIdle idle;
    gpointer idle_user;
};

static int opened;  /* connections; atomic */
static int held;     /* whether it does not answer those who connect; atomic */
static int to_break; /* so many of the next are broken when they are looked at; atomic */

Hyper *hyper_open(const char *uri, const HyperSettings *settings G_GNUC_UNUSED,
                  HyperEvent event G_GNUC_UNUSED, gpointer user G_GNUC_UNUSED,
                  GError **error G_GNUC_UNUSED)
{
    Hyper *hyper = g_new0(Hyper, 1);

    hyper->uri = g_strdup(uri);
    hyper->alive = g_atomic_int_get(&to_break) == 0;
    if (!hyper->alive)
        g_atomic_int_dec_and_test(&to_break);
    g_atomic_int_inc(&opened);
    while (g_atomic_int_get(&held))
        g_usleep(1000);
    return hyper;
}

void hyper_on_idle(Hyper *hyper, HyperIdle idle, gpointer user)
{
    hyper->idle = idle;
    hyper->idle_user = user;
}

const char *hyper_uri(const Hyper *hyper)
{
    return hyper->uri;
}

gboolean hyper_alive(Hyper *hyper)
{
    return g_atomic_int_get(&hyper->alive);
}

void hyper_release(Hyper *hyper)
{
    if (!hyper || (hyper->idle && hyper->idle(hyper, hyper->idle_user)))
        return;
    g_free(hyper->uri);
    g_free(hyper);
}

/* ---- tests */

static const StepKind kinds[] = {
    { "hypervisor", NULL, NULL, LANE_SLOW, 0, NULL },
    { NULL, NULL, NULL, LANE_ROWS, 0, NULL },
};

typedef struct {
    TestDb *db;
    DbPool *region;
    Config *config;
    WakeQueue *wakes;
    HostPool *pool;
} Stage;

static Stage *stage_new(int breaks)
{
    Stage *s = g_new0(Stage, 1);

    g_atomic_int_set(&opened, 0);
    g_atomic_int_set(&to_break, breaks);
    s->db = test_db_new();
    s->region = db_pool_new(s->db->region_dsn, "berth_reconcile", WORKERS);
    s->config = config_for_root("/nonexistent", NULL);
    s->wakes = wake_queue_new(kinds);
    s->pool = host_pool_new(s->config, s->region, s->wakes);
    return s;
}

static void stage_free(Stage *s)
{
    host_pool_free(s->pool);
    wake_queue_free(s->wakes);
    config_free(s->config);
    db_pool_free(s->region);
    test_db_free(s->db);
    g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stage, stage_free)

static Hyper *get(Stage *s)
{
    g_autoptr(GError) error = NULL;
    Hyper *hyper = host_pool_get(s->pool, URI, &error);

    g_assert_no_error(error);
    return hyper;
}

static void break_one(Hyper *hyper)
{
    g_atomic_int_set(&hyper->alive, FALSE);
}

static void break_and_release(Hyper *hyper)
{
    break_one(hyper);
    hyper_release(hyper);
}

static void refused(Stage *s)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Hyper) hyper = host_pool_get(s->pool, URI, &error);

    g_assert_null(hyper);
    g_assert_true(error_is(error, ERROR_HOST_UNREACHABLE));
    g_assert_nonnull(strstr(error->message, "host \"" URI "\": its libvirt breaks"));
}

/* One that rests is tried again by itself. */
static Hyper *get_later(Stage *s)
{
    Hyper *hyper = NULL;

    for (int tenths = 0; !hyper && tenths < BACK_S * 10; tenths++) {
        hyper = host_pool_get(s->pool, URI, NULL);
        g_usleep(hyper ? 0 : 100000);
    }
    g_assert_nonnull(hyper);
    return hyper;
}

static void *worker(void *arg)
{
    return host_pool_get(((Stage *)arg)->pool, URI, NULL);
}

static void test_one_that_breaks_all_is_given_up(void)
{
    g_autoptr(Stage) s = stage_new(MANY);
    Hyper *back;
    char *woken = NULL;

    refused(s);
    int tries = g_atomic_int_get(&opened);
    g_assert_cmpint(tries, <=, FEW);
    refused(s); /* at once: it rests */
    g_assert_cmpint(g_atomic_int_get(&opened), ==, tries);
    g_atomic_int_set(&to_break, 0);
    back = get_later(s);
    g_assert_nonnull(wake_take(s->wakes, LANE_SLOW, &woken));
    g_assert_cmpstr(woken, ==, URI);
    g_free(woken);
    hyper_release(back);
}

static void test_one_that_breaks_all_in_use_is_given_up(void)
{
    g_autoptr(Stage) s = stage_new(0);
    Hyper *hyper = NULL;
    int tries = 0;

    while (tries < MANY && (hyper = host_pool_get(s->pool, URI, NULL))) {
        tries++;
        break_and_release(hyper);
    }
    g_assert_cmpint(tries, <=, FEW);
    refused(s);
}

/* When the host is tried again and the connection breaks, one that was on its way makes no other. */
static void test_one_given_up_rests_until_one_works(void)
{
    g_autoptr(Stage) s = stage_new(0);
    Hyper *first;
    void *second;
    pthread_t thread;

    while ((first = host_pool_get(s->pool, URI, NULL)))
        break_and_release(first);
    first = get_later(s);
    int tries = g_atomic_int_get(&opened);
    g_atomic_int_set(&held, TRUE);
    g_assert_cmpint(pthread_create(&thread, NULL, worker, s), ==, 0);
    while (g_atomic_int_get(&opened) == tries)
        g_usleep(1000);
    break_and_release(first);
    g_atomic_int_set(&held, FALSE);
    g_assert_cmpint(pthread_join(thread, &second), ==, 0);
    refused(s);
    g_assert_cmpint(g_atomic_int_get(&opened), ==, tries + 1);
    hyper_release(second);
    first = get(s);
    hyper_release(get(s));
    hyper_release(first);
}

/* Each time one connection breaks that nobody used and one before it was used. */
static void test_one_that_breaks_some_is_not(void)
{
    g_autoptr(Stage) s = stage_new(0);

    for (int restart = 1; restart <= 2 * FEW; restart++) {
        g_atomic_int_set(&to_break, 1);
        Hyper *hyper = get(s);
        break_and_release(hyper);
        g_assert_cmpint(g_atomic_int_get(&opened), ==, 3 * restart - 1);
        hyper = get(s);
        hyper_release(hyper);
        break_one(hyper);
    }
}

/* Those of all workers and those of none, at the same time. */
static void test_a_restart_breaks_all_at_once(void)
{
    g_autoptr(Stage) s = stage_new(0);
    Hyper *used[2 * FEW];
    const guint idle = 4;

    for (guint n = 0; n < G_N_ELEMENTS(used); n++)
        used[n] = get(s);
    for (guint n = 0; n < idle; n++)
        hyper_release(used[n]);
    for (guint n = 0; n < G_N_ELEMENTS(used); n++)
        break_one(used[n]);
    for (guint n = idle; n < G_N_ELEMENTS(used); n++)
        hyper_release(used[n]);
    hyper_release(get(s));
    g_assert_cmpint(g_atomic_int_get(&opened), ==, G_N_ELEMENTS(used) + 1);
}

/* How many of the workers that ask at the same time get a connection. */
static guint crowd(Stage *s)
{
    pthread_t threads[WORKERS];
    void *got[WORKERS] = { NULL };
    guint served = 0;

    for (guint n = 0; n < WORKERS; n++)
        g_assert_cmpint(pthread_create(&threads[n], NULL, worker, s), ==, 0);
    for (guint n = 0; n < WORKERS; n++)
        g_assert_cmpint(pthread_join(threads[n], &got[n]), ==, 0);
    for (guint n = 0; n < WORKERS; n++) {
        served += got[n] != NULL;
        hyper_release(got[n]);
    }
    return served;
}

static void test_a_crowd_gives_it_up_together(void)
{
    g_autoptr(Stage) s = stage_new(MANY);

    g_assert_cmpuint(crowd(s), ==, 0);
    g_assert_cmpint(g_atomic_int_get(&opened), <=, FEW);
}

static void test_a_crowd_is_served(void)
{
    g_autoptr(Stage) s = stage_new(1);

    g_assert_cmpuint(crowd(s), ==, WORKERS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_pg_init();
    g_test_add_func("/hosts/one that breaks each connection is given up, and tried again later",
                    test_one_that_breaks_all_is_given_up);
    g_test_add_func("/hosts/one that breaks each connection in use is given up",
                    test_one_that_breaks_all_in_use_is_given_up);
    g_test_add_func("/hosts/one that was given up rests until a connection worked",
                    test_one_given_up_rests_until_one_works);
    g_test_add_func("/hosts/one that breaks some is not", test_one_that_breaks_some_is_not);
    g_test_add_func("/hosts/one that restarts breaks all at once, and is not",
                    test_a_restart_breaks_all_at_once);
    g_test_add_func("/hosts/a crowd gives it up together", test_a_crowd_gives_it_up_together);
    g_test_add_func("/hosts/a crowd is served", test_a_crowd_is_served);
    return g_test_run();
}
