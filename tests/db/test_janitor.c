/* The janitor on real databases, as its own role: what may go goes, what must stay stays. */
#include "../lib/pg.h"
#include "reconcile/kinds.h"

#define ACCOUNT "123456789012"
#define EC2(n)  "lpad(" n "::text, 17, '0')"

typedef struct {
    TestDb *db;
    DbPool *region, *identity;
    Config *config;
    World world;
} Stage;

static void run_sql(const char *dsn, const char *text)
{
    g_free(test_db_sql(dsn, text));
}

static void assert_count(const char *dsn, const char *from, const char *expected)
{
    g_autofree char *text = g_strconcat("SELECT count(*) FROM ", from, NULL);
    g_autofree char *count = test_db_sql(dsn, text);

    if (g_strcmp0(count, expected) != 0)
        g_test_message("%s: %s, expected %s", from, count, expected);
    g_assert_cmpstr(count, ==, expected);
}

static Stage *stage_new(void)
{
    Stage *s = g_new0(Stage, 1);

    s->db = test_db_new();
    s->region = db_pool_new(s->db->region_dsn, "berth_reconcile", 2);
    s->identity = db_pool_new(s->db->identity_dsn, "berth_reconcile", 2);
    s->config = config_for_root("/nonexistent", NULL);
    s->world = (World){ .config = s->config, .region = s->region, .identity = s->identity };
    return s;
}

static void stage_free(Stage *s)
{
    db_pool_free(s->region);
    db_pool_free(s->identity);
    config_free(s->config);
    test_db_free(s->db);
    g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stage, stage_free)

/* Steps until nothing is left to do; how often. */
static guint clean(Stage *s, const char *id)
{
    for (guint steps = 1;; steps++) {
        g_autoptr(GError) error = NULL;
        gint64 again_ms = 0;
        StepResult result = janitor_step(&s->world, id, &again_ms, &error);
        g_assert_no_error(error);
        if (result == STEP_SETTLED)
            return steps;
        g_assert_cmpint(result, ==, STEP_AGAIN);
        g_assert_cmpuint(steps, <, 20);
    }
}

static void test_identity(void)
{
    g_autoptr(Stage) s = stage_new();
    const char *dsn = s->db->identity_dsn;

    run_sql(dsn, "INSERT INTO accounts (account_id, name) VALUES ('" ACCOUNT "', 'a')");
    run_sql(dsn, "INSERT INTO sessions (access_key_id, account_id, role_name, role_id, session_name,"
                 " sealed_secret, token_sha256, expires_at) SELECT 'ASIA' || repeat(k, 16),"
                 " '" ACCOUNT "', 'r', 'AROA' || repeat('A', 17), 's', 'x', repeat('0', 64),"
                 " now() + e FROM (VALUES ('A', interval '-2 hours'), ('B', interval '-1 minute'),"
                 " ('C', interval '1 hour')) v (k, e)");
    run_sql(dsn, "INSERT INTO client_tokens SELECT '" ACCOUNT "', 'a', n::text, 'h', '{}',"
                 " now() - n * interval '10 hours' FROM generate_series(1, 4) n");
    clean(s, "identity");
    assert_count(dsn, "sessions", "2");
    assert_count(dsn, "sessions WHERE access_key_id LIKE 'ASIAA%'", "0");
    assert_count(dsn, "client_tokens", "2");
    assert_count(dsn, "accounts", "1");
}

static void add_instances(const char *dsn)
{
    run_sql(dsn, "INSERT INTO zones (zone_name, zone_id) VALUES ('home-1a', 'a')");
    run_sql(dsn, "INSERT INTO hosts (host_id, zone_name, uri) VALUES ('h-00000000000000001',"
                 " 'home-1a', 'test:///default')");
    run_sql(dsn, "INSERT INTO reservations (reservation_id, account_id, created_at) SELECT"
                 " 'r-' || " EC2("n") ", '" ACCOUNT "', now() - interval '3 hours'"
                 " FROM generate_series(1, 5) n");
    run_sql(dsn, "INSERT INTO images (image_id, account_id, name, architecture, ssh_user, location,"
                 " snapshot_id) VALUES ('ami-00000000000000001', '" ACCOUNT "', 'image', 'x86_64',"
                 " 'admin', '/', 'snap-1')");
    /* 1 ended long ago, 2 just now, 3 lives, 4 ended long ago with a container instance of its own */
    run_sql(dsn,
            "INSERT INTO instances (instance_id, account_id, reservation_id, launch_index, image_id,"
            " instance_type, vcpus, memory_mib, zone_name, host_id, subnet_id, private_ip, mac,"
            " domain_uuid, eni_id, root_volume_id, root_volume_gib, root_device_name, terminated_at)"
            " SELECT 'i-' || " EC2("n") ", '" ACCOUNT "', 'r-' || " EC2("n") ", 0,"
            " 'ami-00000000000000001', 't2.micro', 1, 1024, 'home-1a', 'h-00000000000000001',"
            " 'subnet-1', ('172.31.0.' || n)::inet, ('02:00:00:00:00:0' || n)::macaddr,"
            " gen_random_uuid(), 'eni-' || n, 'vol-' || n, 8, '/dev/sda1', now() - e"
            " FROM (VALUES (1, interval '2 hours'), (2, interval '5 minutes'), (3, NULL),"
            " (4, interval '2 hours')) v (n, e)");
    run_sql(dsn, "INSERT INTO bootstraps (instance_id, account_id, cluster_name)"
                 " SELECT instance_id, account_id, 'default' FROM instances");
    run_sql(dsn, "INSERT INTO console_output (instance_id) SELECT instance_id FROM instances");
    run_sql(dsn, "INSERT INTO tags SELECT '" ACCOUNT "', unnest(ARRAY[instance_id, root_volume_id,"
                 " eni_id]), 'x', 'k', 'v' FROM instances");
    run_sql(dsn, "INSERT INTO clusters (account_id, cluster_name) VALUES ('" ACCOUNT "', 'default')");
    run_sql(dsn, "INSERT INTO container_instances (container_instance_id, account_id, cluster_id,"
                 " zone_name, ec2_instance_id, cpu, memory_mib) SELECT lpad('4', 32, '0'),"
                 " '" ACCOUNT "', cluster_id, 'home-1a', 'i-' || " EC2("4") ", 1024, 1024"
                 " FROM clusters");
}

static void test_instances(void)
{
    g_autoptr(Stage) s = stage_new();
    const char *dsn = s->db->region_dsn;

    add_instances(dsn);
    clean(s, "region");
    assert_count(dsn, "instances", "3");
    assert_count(dsn, "instances WHERE eni_id = 'eni-1'", "0");
    assert_count(dsn, "bootstraps", "3");
    assert_count(dsn, "console_output", "3");
    assert_count(dsn, "tags", "9");
    assert_count(dsn, "reservations", "3"); /* the fifth never had an instance */
    run_sql(dsn, "UPDATE container_instances SET status = 'INACTIVE'");
    clean(s, "region");
    assert_count(dsn, "instances", "2");
    assert_count(dsn, "container_instances", "1");
}

static void add_services(const char *dsn)
{
    add_instances(dsn);
    run_sql(dsn, "INSERT INTO task_definitions (account_id, family, revision, definition, cpu,"
                 " memory_mib, registered_by) VALUES ('" ACCOUNT "', 'f', 1, '{}', 1, 1, 'me')");
    /* a is long gone; b is gone, and a task of it stays; c is gone since today; d lives */
    run_sql(dsn, "INSERT INTO services (account_id, cluster_id, service_name, status, desired_count,"
                 " minimum_healthy_percent, maximum_percent, created_by, ended_at) SELECT"
                 " '" ACCOUNT "', cluster_id, n, t, 0, 100, 200, 'me', now() - e FROM clusters,"
                 " (VALUES ('a', 'INACTIVE', interval '91 days'), ('b', 'INACTIVE',"
                 " interval '91 days'), ('c', 'INACTIVE', NULL), ('d', 'ACTIVE', NULL)) v (n, t, e)"
                 " ORDER BY n");
    run_sql(dsn, "INSERT INTO deployments (deployment_id, service_id, status, task_definition_id,"
                 " desired_count, updated_at) SELECT 'ecs-svc/' || lpad((service_id * 10 + n)::text,"
                 " 19, '0'), service_id, t, 1, 0, now() - interval '91 days' FROM services,"
                 " (VALUES (1, 'INACTIVE'), (2, 'PRIMARY')) v (n, t)");
    run_sql(dsn, "INSERT INTO service_events (service_id, message) SELECT service_id, 'm'"
                 " FROM services");
    run_sql(dsn, "INSERT INTO tags SELECT '" ACCOUNT "', 'arn:aws:ecs:home-1:" ACCOUNT
                 ":service/default/' || service_name, 'service', 'k', 'v' FROM services");
    run_sql(dsn, "INSERT INTO tasks (task_id, account_id, cluster_id, service_id, deployment_id,"
                 " task_definition_id, task_group, cpu, memory_mib, last_status, stopped_at)"
                 " SELECT lpad(service_id::text, 32, '0'), account_id, cluster_id, service_id,"
                 " 'ecs-svc/' || lpad((service_id * 10 + 2)::text, 19, '0'), 1, 'g', 1, 1, 'STOPPED',"
                 " now() - CASE service_name WHEN 'a' THEN interval '91 days' ELSE interval '1 day'"
                 " END FROM services");
}

static void test_services(void)
{
    g_autoptr(Stage) s = stage_new();
    const char *dsn = s->db->region_dsn;

    add_services(dsn);
    clean(s, "region");
    clean(s, "region"); /* what the first found ended has not ended long ago */
    assert_count(dsn, "tasks", "3");
    assert_count(dsn, "services WHERE service_name = 'a'", "0");
    assert_count(dsn, "services", "3");
    assert_count(dsn, "services WHERE service_name = 'c' AND ended_at IS NOT NULL", "1");
    assert_count(dsn, "services WHERE service_name = 'd' AND ended_at IS NULL", "1");
    /* of living services the INACTIVE ones without tasks are gone, of b the one without tasks too */
    assert_count(dsn, "deployments", "3");
    assert_count(dsn, "deployments WHERE status = 'PRIMARY'", "3");
    assert_count(dsn, "service_events", "3");
    assert_count(dsn, "tags WHERE resource_type = 'service'", "3");
    run_sql(dsn, "UPDATE container_instances SET status = 'INACTIVE', ended_at = now()"
                 " - interval '91 days'");
    clean(s, "region");
    assert_count(dsn, "container_instances", "0");
}

static void test_the_rest(void)
{
    g_autoptr(Stage) s = stage_new();
    const char *dsn = s->db->region_dsn;

    run_sql(dsn, "INSERT INTO client_tokens SELECT '" ACCOUNT "', 'a', n::text, 'h', '{}',"
                 " now() - CASE WHEN n > 2500 THEN interval '1 hour' ELSE interval '25 hours' END"
                 " FROM generate_series(1, 2510) n");
    run_sql(dsn, "INSERT INTO history (kind, object_id, what, at) VALUES ('x', 'x', 'x',"
                 " now() - interval '91 days'), ('x', 'x', 'x', now() - interval '89 days')");
    run_sql(dsn, "INSERT INTO metric_samples SELECT 1, 1, 1, 1, 'c', now() - n * interval '10 hours',"
                 " 1, 0, 0, 0, 1, 0, 0, 0 FROM generate_series(1, 4) n");
    run_sql(dsn, "INSERT INTO secrets (account_id, name, suffix, deleted_at, delete_at) SELECT"
                 " '" ACCOUNT "', n, 'aaaaaa', now() + e, now() + e FROM (VALUES ('a',"
                 " interval '-1 s'), ('b', interval '1 day'), ('c', NULL)) v (n, e)");
    run_sql(dsn, "INSERT INTO secret_versions (secret_id, version_id, sealed) SELECT secret_id,"
                 " repeat('v', 32), 'x' FROM secrets");
    run_sql(dsn, "INSERT INTO daemons (daemon_id, role, seen_at) VALUES ('dead', 'all',"
                 " now() - interval '2 hours'), ('alive', 'all', now())");
    g_assert_cmpuint(clean(s, "region"), ==, 3); /* each statement is bounded */
    assert_count(dsn, "client_tokens", "10");
    assert_count(dsn, "history", "1");
    assert_count(dsn, "metric_samples", "2");
    assert_count(dsn, "secrets", "2");
    assert_count(dsn, "secret_versions", "2");
    assert_count(dsn, "daemons WHERE daemon_id = 'alive'", "1");
    assert_count(dsn, "daemons", "1");
    g_assert_cmpuint(clean(s, "region"), ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_pg_init();
    g_test_add_func("/janitor/expired sessions and old answers go", test_identity);
    g_test_add_func("/janitor/terminated instances go with what was theirs", test_instances);
    g_test_add_func("/janitor/services, deployments and tasks go when their time is over",
                    test_services);
    g_test_add_func("/janitor/tokens, history, metrics, secrets, daemons", test_the_rest);
    return g_test_run();
}
