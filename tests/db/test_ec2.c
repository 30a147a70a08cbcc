/* EC2's actions against a real database: admission under contention, pages, statement counts. */
#include "../lib/pg.h"
#include "base/clock.h"
#include "base/errors.h"
#include "catalog/catalog.h"
#include "shape/check.h"
#include "handlers/request.h"
#include "server/perform.h"

#include <string.h>

#define ACCOUNT "123456789012"
#define IMAGE   "ami-00000000000000001"

typedef struct {
    TestDb *db;
    Config *config;
    HandlerContext context;
    Identity identity;
} Fixture;

static void fixture_clear(Fixture *f)
{
    config_free(f->config);
    test_db_free(f->db);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fixture, fixture_clear)

/* Two zones; a of two hosts of 8 vCPUs and 2048 MiB each, b of one; an image. */
static void fixture_init(Fixture *f)
{
    *f = (Fixture){ .db = test_db_new(), .config = config_load(NULL, NULL) };
    f->context.config = f->config;
    f->context.identity = f->db->identity;
    f->context.region = f->db->region;
    f->identity = (Identity){ .kind = PRINCIPAL_ROOT,
                              .account_id = (char *)ACCOUNT,
                              .principal_arn = (char *)"arn:aws:iam::" ACCOUNT ":root",
                              .is_admin = TRUE };
    g_free(test_db_sql(
        f->db->region_dsn,
        "INSERT INTO zones (zone_name, zone_id, host_reserve_mib) VALUES"
        " ('home-1a', 'ho1-az1', 0), ('home-1b', 'ho1-az2', 0);"
        "INSERT INTO hosts (host_id, zone_name, uri, state, vcpus, memory_mib, architecture) VALUES"
        " ('h-00000000000000001', 'home-1a', 'test:///1', 'up', 2, 2048, 'x86_64'),"
        " ('h-00000000000000002', 'home-1a', 'test:///2', 'up', 2, 2048, 'x86_64'),"
        " ('h-00000000000000003', 'home-1b', 'test:///3', 'up', 2, 1024, 'x86_64');"
        "INSERT INTO instance_types (instance_type, vcpus, memory_mib) VALUES"
        " ('lab1.small', 1, 128);"
        "INSERT INTO images (image_id, account_id, name, architecture, ssh_user, location, state,"
        " disk_format, disk_sha256, virtual_bytes, snapshot_id) VALUES ('" IMAGE "', '" ACCOUNT
        "', 'img', 'x86_64', 'admin', '/x', 'available', 'raw', 'x', 1, 'snap-1')"));
}

static gboolean keep_answer(const json_t *answer, gpointer user, GError **error)
{
    const Operation *operation = ((gpointer *)user)[0];

    *(json_t **)((gpointer *)user)[1] = json_incref((json_t *)answer);
    return shape_check_output(answer, operation_output(operation), error);
}

/* The checked answer of an action, or NULL with *error. Takes params. */
static json_t *call(Fixture *f, ServiceId service, const char *name, json_t *params, GError **error)
{
    const Service *s = &catalog_services[service];
    const Operation *operation = catalog_operation(s, name);
    json_t *answer = NULL;
    gpointer keep[] = { (gpointer)operation, &answer };
    Request rq = { .context = &f->context,
                   .identity = &f->identity,
                   .account_id = ACCOUNT,
                   .region = "home-1",
                   .request_id = "test",
                   .now_us = clock_now_us(),
                   .params = params };

    gboolean done = shape_check(params, operation_input(operation), s->protocol, error) &&
                    perform(&rq, s, operation, keep_answer, keep, error);
    json_decref(params);
    if (!done)
        g_clear_pointer(&answer, json_decref);
    return answer;
}

static json_t *launch(Fixture *f, gint minimum, gint maximum, const char *zone, GError **error)
{
    json_t *params = json_pack("{s:s, s:s, s:i, s:i}", "ImageId", IMAGE, "InstanceType",
                               "lab1.small", "MinCount", minimum, "MaxCount", maximum);

    if (zone)
        json_object_set_new(params, "Placement", json_pack("{s:s}", "AvailabilityZone", zone));
    return call(f, SERVICE_EC2, "RunInstances", params, error);
}

static gint64 sql_int(Fixture *f, const char *sql)
{
    g_autofree char *text = test_db_sql(f->db->region_dsn, sql);

    return g_ascii_strtoll(text ? text : "0", NULL, 10);
}

/* -- contention */

typedef struct {
    Fixture *f;
    guint seed;
    guint calls;
    gint launched; /* atomic */
    gint other;    /* failures that are no lack of capacity */
} Race;

static void *launch_many(void *data)
{
    Race *race = data;
    static const char *const zones[] = { NULL, "home-1a", "home-1b" };
    guint n = g_atomic_int_add(&race->seed, 1);

    for (guint i = 0; i < race->calls; i++) {
        g_autoptr(GError) error = NULL;
        json_auto_t *answer = launch(race->f, 1, 1 + (n + i) % 2, zones[(n + i) % 3], &error);
        if (answer)
            g_atomic_int_add(&race->launched,
                             (gint)json_array_size(json_object_get(answer, "Instances")));
        else if (!error_is(error, ERROR_INSUFFICIENT_CAPACITY)) {
            g_test_message("%s", error->message);
            g_atomic_int_inc(&race->other);
        }
    }
    return NULL;
}

static void run_threads(void *(*work)(void *), void *data, guint count)
{
    g_autofree pthread_t *threads = g_new(pthread_t, count);

    for (guint n = 0; n < count; n++)
        g_assert_cmpint(pthread_create(&threads[n], NULL, work, data), ==, 0);
    for (guint n = 0; n < count; n++)
        pthread_join(threads[n], NULL);
}

#define OVERSOLD                                                                                   \
    "SELECT count(*) FROM hosts h JOIN zones z USING (zone_name) JOIN LATERAL (SELECT"             \
    " sum(vcpus) v, sum(memory_mib) m FROM instances i WHERE i.host_id = h.host_id AND NOT"        \
    " (desired = 'stopped' AND seen = 'off')) u ON true WHERE u.v > h.vcpus * z.cpu_overcommit"    \
    " OR u.m > h.memory_mib"

static void test_a_thousand_launches_never_oversell(void)
{
    g_auto(Fixture) f;
    Race race = { .f = &f, .calls = 63 };

    fixture_init(&f);
    run_threads(launch_many, &race, 16);
    /* 2 * 4 vCPUs on each host; 16, 16 and 8 times 128 MiB */
    g_assert_cmpint(race.other, ==, 0);
    g_assert_cmpint(race.launched, ==, 24);
    g_assert_cmpint(sql_int(&f, "SELECT count(*) FROM instances"), ==, 24);
    g_assert_cmpint(sql_int(&f, "SELECT count(DISTINCT private_ip) FROM instances"), ==, 24);
    g_assert_cmpint(sql_int(&f, OVERSOLD), ==, 0);
    g_assert_cmpint(sql_int(&f, "SELECT max(c) - min(c) FROM (SELECT count(*) c FROM instances"
                                " GROUP BY host_id) x"),
                    ==, 0);
}

static char **stopped_ids(Fixture *f)
{
    g_autofree char *text = test_db_sql(
        f->db->region_dsn, "SELECT string_agg(instance_id, ' ') FROM instances WHERE seen = 'off'");

    return g_strsplit(text, " ", -1);
}

static void *start_many(void *data)
{
    Race *race = data;
    g_auto(GStrv) ids = stopped_ids(race->f);

    for (char **id = ids; *id; id++) {
        g_autoptr(GError) error = NULL;
        json_auto_t *answer = call(race->f, SERVICE_EC2, "StartInstances",
                                   json_pack("{s:[s]}", "InstanceIds", *id), &error);
        if (!answer && !error_is(error, ERROR_INSUFFICIENT_CAPACITY))
            g_atomic_int_inc(&race->other);
    }
    return launch_many(data);
}

static void test_starts_and_launches_never_oversell(void)
{
    g_auto(Fixture) f;
    Race race = { .f = &f, .calls = 4 };

    fixture_init(&f);
    json_auto_t *first = launch(&f, 16, 16, "home-1a", NULL);
    g_assert_nonnull(first);
    g_free(test_db_sql(f.db->region_dsn, "UPDATE instances SET desired = 'stopped', seen = 'off',"
                                         " seen_generation = generation"));
    json_auto_t *second = launch(&f, 10, 10, "home-1a", NULL);
    g_assert_nonnull(second);
    run_threads(start_many, &race, 8);
    g_assert_cmpint(race.other, ==, 0);
    g_assert_cmpint(sql_int(&f, OVERSOLD), ==, 0);
    g_assert_cmpint(sql_int(&f, "SELECT count(*) FROM instances WHERE zone_name = 'home-1a'"
                                " AND desired = 'running'"),
                    ==, 16);
}

/* -- whole behaviour */

static void test_minimum_is_all_or_nothing(void)
{
    g_auto(Fixture) f;
    g_autoptr(GError) error = NULL;

    fixture_init(&f);
    g_assert_null(launch(&f, 9, 20, "home-1b", &error));
    g_assert_true(error_is(error, ERROR_INSUFFICIENT_CAPACITY));
    g_assert_nonnull(strstr(error->message,
                            "We currently do not have sufficient lab1.small capacity in the"
                            " Availability Zone you requested (home-1b)"));
    g_assert_cmpint(sql_int(&f, "SELECT count(*) FROM instances"), ==, 0);
    json_auto_t *some = launch(&f, 1, 20, "home-1b", NULL);
    g_assert_cmpuint(json_array_size(json_object_get(some, "Instances")), ==, 8);
}

static void test_addresses_are_used_again(void)
{
    g_auto(Fixture) f;

    fixture_init(&f);
    json_auto_t *three = launch(&f, 3, 3, "home-1a", NULL);
    g_assert_nonnull(three);
    g_free(test_db_sql(f.db->region_dsn,
                       "UPDATE instances SET terminated_at = now(),"
                       " desired = 'terminated' WHERE private_ip = '172.31.0.5'"));
    json_auto_t *two = launch(&f, 2, 2, "home-1a", NULL);
    g_assert_nonnull(two);
    g_autofree char *ips =
        test_db_sql(f.db->region_dsn, "SELECT string_agg(host(private_ip), ' ' ORDER BY private_ip)"
                                      " FROM instances WHERE terminated_at IS NULL");
    g_assert_cmpstr(ips, ==, "172.31.0.4 172.31.0.5 172.31.0.6 172.31.0.7");
}

/* Statements that ran, by the server's own count. */
static gint64 statements(Fixture *f, const char *name, json_t *params, gsize *ret_count)
{
    g_autoptr(GError) error = NULL;
    gint64 before = sql_int(f, "SELECT sum(calls) FROM pg_stat_statements WHERE userid ="
                               " 'berth_api'::regrole");
    json_auto_t *answer = call(f, SERVICE_EC2, name, params, &error);

    g_assert_no_error(error);
    *ret_count = json_array_size(json_object_get(answer, "Instances"));
    return sql_int(f, "SELECT sum(calls) FROM pg_stat_statements WHERE userid ="
                      " 'berth_api'::regrole") -
           before;
}

static void test_launches_in_few_statements(void)
{
    g_auto(Fixture) f;
    gsize one = 0, many = 0;

    fixture_init(&f);
    g_assert_true(test_db_try(f.db->region_dsn, "postgres",
                              "CREATE EXTENSION pg_stat_statements;"
                              " GRANT pg_read_all_stats TO berth_owner"));
    json_t *params = json_pack("{s:s, s:s, s:i, s:i}", "ImageId", IMAGE, "InstanceType",
                               "lab1.small", "MinCount", 1, "MaxCount", 1);
    gint64 for_one = statements(&f, "RunInstances", json_deep_copy(params), &one);
    json_object_set_new(params, "MaxCount", json_integer(10));
    gint64 for_many = statements(&f, "RunInstances", params, &many);
    g_assert_cmpuint(one, ==, 1);
    g_assert_cmpuint(many, ==, 10);
    g_assert_cmpint(for_one, >, 5);
    g_assert_cmpint(for_many, ==, for_one);
}

static void test_a_thousand_in_pages(void)
{
    g_auto(Fixture) f;
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *token = NULL;
    guint pages = 0;

    fixture_init(&f);
    g_free(test_db_sql(f.db->region_dsn, "UPDATE hosts SET vcpus = 4000, memory_mib = 4000000"));
    for (guint n = 0; n < 10; n++) {
        json_auto_t *answer = launch(&f, 100, 100, NULL, NULL);
        g_assert_nonnull(answer);
    }
    gint64 from = g_get_monotonic_time();
    do {
        json_t *params = json_pack("{s:i}", "MaxResults", 300);
        if (token)
            json_object_set_new(params, "NextToken", json_string(token));
        json_auto_t *answer = call(&f, SERVICE_EC2, "DescribeInstances", params, NULL);
        const json_t *reservation, *instance;
        size_t r, i;
        json_array_foreach(json_object_get(answer, "Reservations"), r, reservation)
        {
            json_array_foreach(json_object_get(reservation, "Instances"), i, instance)
            {
                const char *id = json_string_value(json_object_get(instance, "InstanceId"));
                g_assert_true(g_hash_table_add(seen, g_strdup(id)));
            }
        }
        g_free(token);
        token = g_strdup(json_string_value(json_object_get(answer, "NextToken")));
        pages++;
    } while (token);
    g_test_message("%u pages in %d ms", pages, (gint)((g_get_monotonic_time() - from) / 1000));
    g_assert_cmpuint(g_hash_table_size(seen), ==, 1000);
    g_assert_cmpuint(pages, ==, 4);
}

/* What is decided on in C and what SQL sums over must be the same. */
static void test_sql_and_c_agree_on_what_holds(void)
{
    g_auto(Fixture) f;
    g_autoptr(GError) error = NULL;

    fixture_init(&f);
    g_free(test_db_sql(f.db->region_dsn, "UPDATE hosts SET vcpus = 4000, memory_mib = 4000000"));
    json_auto_t *many = launch(&f, 48, 48, "home-1b", NULL);
    g_assert_nonnull(many);
    /* every desired x seen x settled x ended */
    g_free(test_db_sql(
        f.db->region_dsn,
        "WITH cells AS (SELECT d, s, g, t, row_number() OVER () n FROM"
        " unnest('{running,stopped,terminated}'::text[]) d,"
        " unnest('{absent,off,running,halted}'::text[]) s,"
        " unnest('{0,1}'::int[]) g, unnest('{t,f}'::boolean[]) t),"
        " rows AS (SELECT instance_id, row_number() OVER (ORDER BY instance_id) n FROM instances)"
        "UPDATE instances i SET desired = d, seen = s, seen_generation = g,"
        " terminated_at = CASE WHEN t THEN now() END FROM cells JOIN rows USING (n)"
        " WHERE rows.instance_id = i.instance_id"));
    json_auto_t *answer =
        call(&f, SERVICE_BERTH, "DescribeHosts", json_pack("{s:s}", "ZoneName", "home-1b"), &error);
    g_assert_no_error(error);
    const json_t *host = json_array_get(json_object_get(answer, "Hosts"), 0);
    gint64 held = 0;
    g_autofree char *ids =
        test_db_sql(f.db->region_dsn, "SELECT string_agg(instance_id, ' ') FROM instances");
    g_auto(GStrv) list = g_strsplit(ids, " ", -1);
    for (char **id = list; *id; id++) {
        json_auto_t *why = call(&f, SERVICE_BERTH, "Explain", json_pack("{s:s}", "Id", *id), NULL);
        char *text = json_dumps(why, JSON_COMPACT);
        held += strstr(text, "\"holds its processors and memory\",\"Value\":\"yes\"") != NULL;
        free(text);
    }
    g_assert_cmpint(held, >, 10);
    g_assert_cmpint(json_integer_value(json_object_get(host, "UsedVCpus")), ==, held);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_pg_init();
    g_test_add_func("/ec2/a-thousand-launches-never-oversell",
                    test_a_thousand_launches_never_oversell);
    g_test_add_func("/ec2/starts-and-launches-never-oversell",
                    test_starts_and_launches_never_oversell);
    g_test_add_func("/ec2/minimum-is-all-or-nothing", test_minimum_is_all_or_nothing);
    g_test_add_func("/ec2/addresses-are-used-again", test_addresses_are_used_again);
    g_test_add_func("/ec2/launches-in-few-statements", test_launches_in_few_statements);
    g_test_add_func("/ec2/a-thousand-in-pages", test_a_thousand_in_pages);
    g_test_add_func("/ec2/sql-and-c-agree-on-what-holds", test_sql_and_c_agree_on_what_holds);
    return g_test_run();
}
