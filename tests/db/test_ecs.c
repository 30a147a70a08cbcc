/* ECS on a real database: many clients at once, and the steps of the schedulers. */
#include "../lib/pg.h"
#include "base/clock.h"
#include "base/errors.h"
#include "handlers/table.h"
#include "reconcile/kinds.h"
#include "store/daemons.h"

#include <string.h>

#define ACCOUNT   "123456789012"
#define CLIENTS   16
#define INSTANCES 4
#define ROOM      10 /* tasks on one instance */

typedef struct {
    TestDb *db;
    DbPool *reconcile;
    Config *config;
    HandlerContext context;
    Identity identity;
    World world;
} Stage;

static char *sql(const Stage *s, const char *text)
{
    return test_db_sql(s->db->region_dsn, text);
}

static void run_sql(const Stage *s, const char *text)
{
    g_free(sql(s, text));
}

static gint64 number(const Stage *s, const char *text)
{
    g_autofree char *value = sql(s, text);

    return value ? g_ascii_strtoll(value, NULL, 10) : -1;
}

static Stage *stage_new(void)
{
    Stage *s = g_new0(Stage, 1);

    s->db = test_db_new();
    s->reconcile = db_pool_new(s->db->region_dsn, "berth_reconcile", 4);
    s->config = config_for_root("/nonexistent", NULL);
    s->context = (HandlerContext){ .config = s->config, .region = s->db->region };
    s->identity = (Identity){ .account_id = (char *)ACCOUNT,
                              .principal_arn = (char *)"arn:aws:iam::" ACCOUNT ":root" };
    s->world = (World){ .config = s->config, .region = s->reconcile };
    run_sql(s, "INSERT INTO zones (zone_name, zone_id) VALUES ('home-1a', 'a'), ('home-1b', 'b')");
    run_sql(s, "INSERT INTO daemons (daemon_id, role) VALUES ('d', 'all')");
    run_sql(s, "INSERT INTO clusters (account_id, cluster_name) VALUES ('" ACCOUNT "', 'default')");
    run_sql(s, "INSERT INTO container_instances (container_instance_id, account_id, cluster_id,"
               " zone_name, cpu, memory_mib, channel_owner, attributes) SELECT lpad(n::text, 32, '0'),"
               " '" ACCOUNT "', cluster_id, 'home-1a', 1024, 1000, 'd', '[]' FROM clusters,"
               " generate_series(1, 4) n");
    return s;
}

static void stage_free(Stage *s)
{
    db_pool_free(s->reconcile);
    config_free(s->config);
    test_db_free(s->db);
    g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stage, stage_free)

/* Calls handler in a transaction of its own, again while it meets conflicts. */
static json_t *call(const Stage *s, ActionHandler handler, const char *params, GError **error)
{
    json_auto_t *tree = json_loads(params, 0, NULL);

    for (;;) {
        g_autoptr(GError) cause = NULL;
        g_autoptr(DbTx) tx = db_begin(s->db->region, DB_MODE_WRITE, &cause);
        Request rq = { .context = &s->context, .identity = &s->identity, .account_id = ACCOUNT,
                       .region = "home-1", .request_id = "r", .now_us = clock_now_us(),
                       .params = tree, .tx = tx };
        json_t *answer = tx ? handler(&rq, &cause) : NULL;
        if (answer && db_commit(g_steal_pointer(&tx), &cause))
            return answer;
        json_decref(answer);
        if (!error_is(cause, ERROR_TX_CONFLICT)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return NULL;
        }
    }
}

static json_t *must(const Stage *s, ActionHandler handler, const char *params)
{
    g_autoptr(GError) error = NULL;
    json_t *answer = call(s, handler, params, &error);

    g_assert_no_error(error);
    return answer;
}

static void register_definition(const Stage *s)
{
    json_decref(must(s, register_task_definition,
                     "{\"family\":\"t\",\"containerDefinitions\":[{\"name\":\"a\",\"image\":\"i\","
                     "\"memory\":100,\"cpu\":10}]}"));
}

static void step(const Stage *s, StepFunction function, const char *id)
{
    g_autoptr(GError) error = NULL;
    gint64 again = 0;
    World world = s->world;
    StepResult result = function(&world, id, &again, &error);

    g_assert_no_error(error);
    g_assert_cmpint(result, !=, STEP_FAILED);
}

static const char most_held[] = "SELECT max(held) FROM (SELECT sum(memory_mib) AS held FROM tasks"
                                " WHERE ci_id IS NOT NULL AND last_status <> 'STOPPED'"
                                " GROUP BY ci_id) t";
static const char placed_tasks[] = "SELECT count(*) FROM tasks WHERE ci_id IS NOT NULL";

static gpointer run_tasks(gpointer data)
{
    const Stage *s = data;

    for (guint n = 0; n < 4; n++)
        json_decref(must(s, run_task, "{\"taskDefinition\":\"t\",\"count\":3}"));
    return NULL;
}

static void test_no_client_takes_room_twice(void)
{
    g_autoptr(Stage) s = stage_new();
    GThread *threads[CLIENTS];

    register_definition(s);
    for (guint n = 0; n < CLIENTS; n++)
        threads[n] = g_thread_new("client", run_tasks, s);
    for (guint n = 0; n < CLIENTS; n++)
        g_thread_join(threads[n]);
    g_assert_cmpint(number(s, most_held), ==, ROOM * 100);
    g_assert_cmpint(number(s, placed_tasks), ==, INSTANCES * ROOM);
    g_assert_cmpint(number(s, "SELECT count(*) FROM tasks t WHERE NOT EXISTS (SELECT 1 FROM"
                              " containers c WHERE c.task_key = t.task_key)"), ==, 0);
}

static gpointer place_often(gpointer data)
{
    for (guint n = 0; n < 20; n++)
        step(data, cluster_step, "1");
    return NULL;
}

static void test_batches_and_calls_share_the_room(void)
{
    g_autoptr(Stage) s = stage_new();
    GThread *clients[4], *placers[2];

    register_definition(s);
    json_decref(must(s, create_service, "{\"serviceName\":\"w\",\"taskDefinition\":\"t\","
                                        "\"desiredCount\":30}"));
    step(s, service_step, "1");
    for (guint n = 0; n < 2; n++)
        placers[n] = g_thread_new("placer", place_often, s);
    for (guint n = 0; n < 4; n++)
        clients[n] = g_thread_new("client", run_tasks, s);
    for (guint n = 0; n < 4; n++)
        g_thread_join(clients[n]);
    for (guint n = 0; n < 2; n++)
        g_thread_join(placers[n]);
    g_assert_cmpint(number(s, most_held), <=, ROOM * 100);
    g_assert_cmpint(number(s, placed_tasks), ==, INSTANCES * ROOM);
}

static void agents_report(const Stage *s)
{
    run_sql(s, "UPDATE tasks SET last_status = 'RUNNING', ever_running = true"
               " WHERE last_status = 'PENDING' AND desired_status = 'RUNNING'");
    run_sql(s, "UPDATE tasks SET last_status = 'STOPPED', stopped_at = now()"
               " WHERE desired_status = 'STOPPED'");
}

static void test_a_step_repeated_changes_nothing(void)
{
    g_autoptr(Stage) s = stage_new();

    register_definition(s);
    json_decref(must(s, create_service, "{\"serviceName\":\"w\",\"taskDefinition\":\"t\","
                                        "\"desiredCount\":5}"));
    for (guint n = 0; n < 3; n++)
        step(s, service_step, "1");
    g_assert_cmpint(number(s, "SELECT count(*) FROM tasks"), ==, 5);
    for (guint n = 0; n < 3; n++)
        step(s, cluster_step, "1");
    g_assert_cmpint(number(s, placed_tasks), ==, 5);
    agents_report(s);
    for (guint n = 0; n < 3; n++)
        step(s, service_step, "1");
    g_assert_cmpint(number(s, "SELECT count(*) FROM tasks"), ==, 5);
    g_assert_cmpint(number(s, "SELECT count(*) FROM service_events WHERE message ="
                              " '(service w) has reached a steady state.'"), ==, 1);
    g_assert_cmpint(number(s, "SELECT count(*) FROM deployments WHERE rollout_state = 'COMPLETED'"
                              " AND status = 'PRIMARY'"), ==, 1);
}

static void test_a_failed_rollout_goes_back(void)
{
    g_autoptr(Stage) s = stage_new();

    register_definition(s);
    json_decref(must(s, create_service,
                     "{\"serviceName\":\"w\",\"taskDefinition\":\"t\",\"desiredCount\":1,"
                     "\"deploymentConfiguration\":{\"deploymentCircuitBreaker\":{\"enable\":true,"
                     "\"rollback\":true}}}"));
    for (guint n = 0; n < 2; n++) {
        step(s, service_step, "1");
        step(s, cluster_step, "1");
        agents_report(s);
    }
    register_definition(s);
    json_decref(must(s, update_service, "{\"service\":\"w\",\"taskDefinition\":\"t:2\"}"));
    for (guint n = 0; n < 6; n++) { /* one step counts a failure, the next one starts again */
        run_sql(s, "UPDATE services SET next_start_at = NULL");
        step(s, service_step, "1");
        step(s, cluster_step, "1");
        run_sql(s, "UPDATE tasks SET last_status = 'STOPPED', desired_status = 'STOPPED',"
                   " stopped_at = now(), stop_code = 'TaskFailedToStart'"
                   " WHERE last_status = 'PENDING'");
    }
    step(s, service_step, "1");
    g_assert_cmpint(number(s, "SELECT count(*) FROM deployments WHERE rollout_state = 'FAILED'"), ==,
                    1);
    g_assert_cmpint(number(s, "SELECT revision FROM deployments JOIN task_definitions"
                              " USING (task_definition_id) WHERE deployments.status = 'PRIMARY'"),
                    ==, 1);
    g_assert_cmpint(number(s, "SELECT count(*) FROM tasks WHERE last_status = 'RUNNING'"), ==, 1);
}

static void test_tasks_end_with_their_host(void)
{
    g_autoptr(Stage) s = stage_new();
    g_autofree char *reason = NULL;

    run_sql(s, "INSERT INTO hosts (host_id, zone_name, uri) VALUES ('h-00000000000000001',"
               " 'home-1a', 'test:///')");
    run_sql(s, "INSERT INTO reservations (reservation_id, account_id) VALUES"
               " ('r-00000000000000001', '" ACCOUNT "')");
    run_sql(s, "INSERT INTO images (image_id, account_id, name, architecture, ssh_user, location,"
               " snapshot_id) VALUES ('ami-00000000000000001', '" ACCOUNT "', 'image', 'x86_64',"
               " 'admin', '/', 'snap-1')");
    run_sql(s, "INSERT INTO instances (instance_id, account_id, reservation_id, launch_index,"
               " image_id, instance_type, vcpus, memory_mib, zone_name, host_id, subnet_id,"
               " private_ip, mac, domain_uuid, eni_id, root_volume_id, root_volume_gib,"
               " root_device_name) VALUES ('i-00000000000000001', '" ACCOUNT "',"
               " 'r-00000000000000001', 0, 'ami-00000000000000001', 't2.micro', 1, 1024, 'home-1a',"
               " 'h-00000000000000001', 'subnet-1', '172.31.0.5', '02:00:00:00:00:01',"
               " gen_random_uuid(), 'eni-1', 'vol-1', 8, '/dev/sda1')");
    run_sql(s, "UPDATE container_instances SET ec2_instance_id = 'i-00000000000000001'"
               " WHERE ci_id = 1");
    register_definition(s);
    json_decref(must(s, create_service, "{\"serviceName\":\"w\",\"taskDefinition\":\"t\","
                                        "\"desiredCount\":4}"));
    for (guint n = 0; n < 2; n++) {
        step(s, service_step, "1");
        step(s, cluster_step, "1");
        agents_report(s);
    }
    run_sql(s, "UPDATE instances SET ever_defined = true, seen = 'off'");
    step(s, container_instance_step, "1");
    reason = sql(s, "SELECT stopped_reason FROM tasks WHERE ci_id = 1");
    g_assert_cmpstr(reason, ==, "Host EC2 (instance i-00000000000000001) stopped.");
    g_clear_pointer(&reason, g_free);
    run_sql(s, "UPDATE tasks SET last_status = 'RUNNING', desired_status = 'RUNNING',"
               " stopped_reason = NULL, stop_code = NULL WHERE ci_id = 1");
    run_sql(s, "UPDATE instances SET terminated_at = now(), desired = 'terminated'");
    step(s, container_instance_step, "1");
    g_assert_cmpint(number(s, "SELECT count(*) FROM container_instances WHERE status = 'INACTIVE'"),
                    ==, 1);
    reason = sql(s, "SELECT stopped_reason FROM tasks WHERE ci_id = 1");
    g_assert_cmpstr(reason, ==, "Host EC2 (instance i-00000000000000001) terminated.");
    step(s, service_step, "1");
    step(s, cluster_step, "1");
    g_assert_cmpint(number(s, "SELECT count(*) FROM tasks WHERE last_status <> 'STOPPED'"
                              " AND ci_id <> 1"), ==, 4);
}

/* The daemon ends and begins; instances 1 to 4 come back one by one, the last of them never does. */
static void test_tasks_wait_for_agents_that_return(void)
{
    g_autoptr(Stage) s = stage_new();
    g_autoptr(GError) error = NULL;
    gint64 again_ms = 0;

    register_definition(s);
    json_decref(must(s, create_service, "{\"serviceName\":\"w\",\"taskDefinition\":\"t\","
                                        "\"desiredCount\":6}"));
    step(s, service_step, "1");
    g_autoptr(DbTx) tx = db_begin(s->db->region, DB_MODE_WRITE, NULL);
    g_assert_true(daemons_remove(tx, "d", NULL) && db_commit(g_steal_pointer(&tx), NULL));
    for (guint n = 1; n <= 3; n++) {
        g_assert_cmpint(cluster_step(&s->world, "1", &again_ms, &error), ==, STEP_LATER);
        g_assert_no_error(error);
        g_assert_cmpint(again_ms, >, 0);
        g_assert_cmpint(again_ms, <=, 10000);
        g_assert_cmpint(number(s, placed_tasks), ==, 0);
        g_autofree char *back = g_strdup_printf("UPDATE container_instances SET channel_owner = 'e'"
                                                " WHERE ci_id = %u", n);
        run_sql(s, back);
    }
    run_sql(s, "UPDATE container_instances SET disconnected_at = now() - interval '11 s' WHERE ci_id = 4");
    step(s, cluster_step, "1");
    g_assert_cmpint(number(s, placed_tasks), ==, 6);
    g_assert_cmpint(number(s, "SELECT max(n) - min(n) FROM (SELECT count(*) AS n FROM tasks"
                              " GROUP BY ci_id) t"), ==, 0);
}

static void test_old_tasks_are_forgotten(void)
{
    g_autoptr(Stage) s = stage_new();

    register_definition(s);
    json_decref(must(s, run_task, "{\"taskDefinition\":\"t\",\"count\":3}"));
    run_sql(s, "UPDATE tasks SET last_status = 'STOPPED', stopped_at = now() - interval '91 days'"
               " WHERE task_key <= 2");
    step(s, janitor_step, "region");
    g_assert_cmpint(number(s, "SELECT count(*) FROM tasks"), ==, 1);
    g_assert_cmpint(number(s, "SELECT count(*) FROM containers"), ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_pg_init();
    g_test_add_func("/ecs/no client takes room twice", test_no_client_takes_room_twice);
    g_test_add_func("/ecs/batches and calls share the room", test_batches_and_calls_share_the_room);
    g_test_add_func("/ecs/a step repeated changes nothing", test_a_step_repeated_changes_nothing);
    g_test_add_func("/ecs/a failed rollout goes back", test_a_failed_rollout_goes_back);
    g_test_add_func("/ecs/tasks end with their host", test_tasks_end_with_their_host);
    g_test_add_func("/ecs/tasks wait for agents that return", test_tasks_wait_for_agents_that_return);
    g_test_add_func("/ecs/old tasks are forgotten", test_old_tasks_are_forgotten);
    return g_test_run();
}
