/* agent/payload, spec, names, place, config, facts, stats: what is read and what is built from it */
#include "agent/config.h"
#include "agent/facts.h"
#include "agent/names.h"
#include "agent/pause.h"
#include "agent/payload.h"
#include "agent/place.h"
#include "agent/report.h"
#include "agent/restart.h"
#include "agent/rules.h"
#include "agent/spec.h"
#include "agent/state.h"
#include "agent/stats.h"
#include "base/errors.h"

#include <glib/gstdio.h>
#include <string.h>

#define ARN "arn:aws:ecs:r:1:task/default/0123abcd"

/* A task whose container has these further members, and these of its own. */
static json_t *tree_of(const char *container, const char *task)
{
    g_autofree char *text = g_strdup_printf(
        "{\"arn\": \"" ARN "\", \"desiredStatus\": \"RUNNING\", \"family\": \"f-1\","
        " \"version\": \"2\"%s%s, \"containers\": [{\"name\": \"my_app.x\", \"image\": \"i:1\"%s%s}]}",
        *task ? ", " : "", task, *container ? ", " : "", container);
    json_error_t cause;
    json_t *tree = json_loads(text, 0, &cause);

    if (!tree)
        g_error("%s: %s", text, cause.text);
    return tree;
}

static AgentTask *task_of(const char *container, const char *task, GError **error)
{
    json_auto_t *tree = tree_of(container, task);

    return agent_payload_task(tree, error);
}

static void test_wrong_members_are_refused(void)
{
    static const char *const containers[] = {
        "\"memory\": \"128\"", "\"memory\": -1", "\"cpu\": 1.5", "\"essential\": 1",
        "\"command\": \"sh\"", "\"command\": [1]", "\"environment\": {\"a\": 1}",
        "\"environment\": []", "\"portMappings\": [{}]",
        "\"portMappings\": [{\"containerPort\": 70000}]",
        "\"portMappings\": [{\"containerPort\": 1, \"protocol\": \"sctp\"}]",
        "\"portMappings\": [{\"containerPort\": 1, \"containerPortRange\": \"1-2\"}]",
        "\"portMappings\": [{\"containerPortRange\": \"5-4\"}]",
        "\"portMappings\": [{\"containerPortRange\": \"1-60000\"}]", "\"portMappings\": [1]",
        "\"dockerConfig\": {\"config\": \"{\"}", "\"dockerConfig\": {\"hostConfig\": {}}",
        "\"dockerConfig\": {\"hostConfig\": \"[]\"}", "\"dockerConfig\": []",
        "\"overrides\": \"{\\\"environment\\\": []}\"", "\"overrides\": {}",
        "\"image\": \"\"", "\"name\": \"\"", "\"stopTimeout\": \"3\"", "\"links\": [null]",
        "\"mountPoints\": [[]]", "\"dependsOn\": {}", "\"restartPolicy\": []",
        "\"restartPolicy\": {\"enabled\": 1}", "\"restartPolicy\": {\"ignoredExitCodes\": [\"1\"]}",
        "\"restartPolicy\": {\"restartAttemptPeriod\": \"60\"}",
        "\"restartPolicy\": {\"restartAttemptPeriod\": -1}", "\"name\": \"~internal~x\"",
        "\"environmentFiles\": {}", "\"environmentFiles\": [{\"type\": \"s3\"}]",
        "\"environmentFiles\": [{\"type\": \"http\", \"value\": \"arn:aws:s3:::b/k.env\"}]",
    };
    static const char *const tasks[] = {
        "\"desiredStatus\": \"PAUSED\"", "\"cpu\": \"1\"", "\"volumes\": [{\"name\": \"v\"}]",
        "\"volumes\": [{\"host\": {}}]", "\"volumes\": [{\"name\": \"v\", \"type\": \"efs\"}]",
        "\"volumes\": [{\"name\": \"v\", \"type\": \"docker\"}]",
        "\"volumes\": [{\"name\": \"v\", \"host\": {\"sourcePath\": 1}}]", "\"family\": 1",
        "\"containers\": 5", "\"arn\": 1",
    };

    for (guint i = 0; i < G_N_ELEMENTS(containers) + G_N_ELEMENTS(tasks); i++) {
        g_autoptr(GError) error = NULL;
        gboolean inner = i < G_N_ELEMENTS(containers);
        const char *part = inner ? containers[i] : tasks[i - G_N_ELEMENTS(containers)];
        json_auto_t *tree = tree_of(inner ? part : "", "");
        g_autofree char *braced = g_strdup_printf("{%s}", part);
        json_auto_t *more = json_loads(braced, 0, NULL);
        if (!inner)
            json_object_update(tree, more);
        g_autoptr(AgentTask) task = agent_payload_task(tree, &error);
        if (task)
            g_error("%s was taken", part);
        g_assert_true(error_is(error, ERROR_INVALID_PARAMETER));
    }
}

static void test_arns(void)
{
    static const char *const bad[] = { "", "task/x", "arn:aws:ecs:r:1:task/", "arn:aws:ecs:r:1:job/x",
                                       "arn:aws:ecs:r:1:task/../x.json", "arn:aws:ecs:r:1:task/a b",
                                       "arn:aws:ecs:r:1:task/a/..", "a:aws:ecs:r:1:task/x" };
    const char *arn;

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        json_auto_t *tree = json_pack("{s:s}", "arn", bad[i]);
        g_autofree char *id = NULL;
        g_assert_false(agent_payload_arn(tree, &arn, &id));
    }
    json_auto_t *tree = json_pack("{s:s}", "arn", "arn:aws:ecs:r:1:task/0123");
    g_autofree char *id = NULL;
    g_assert_true(agent_payload_arn(tree, &arn, &id));
    g_assert_cmpstr(id, ==, "0123");
}

static void test_what_cannot_run_is_stopped_with_a_reason(void)
{
    static const struct {
        const char *container, *task, *reason;
    } cases[] = {
        { "\"dependsOn\": [{\"containerName\": \"x\", \"condition\": \"START\"}]", "",
          "Task dependencies cannot be resolved" },
        { "\"dependsOn\": [{\"containerName\": \"my_app.x\", \"condition\": \"START\"}]", "",
          "Task dependencies cannot be resolved" },
        { "\"links\": [\"nobody:x\"]", "", "Task dependencies cannot be resolved" },
        { "\"memory\": 16", "\"memory\": 8", "resource cannot be initialized for task" },
        { "", "\"networkMode\": \"awsvpc\"", "networkMode awsvpc is not supported" },
        { "", "\"pidMode\": \"none\"", "pidMode none is not supported" },
        { "", "\"ipcMode\": \"private\"", "ipcMode private is not supported" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AgentTask) task = task_of(cases[i].container, cases[i].task, &error);
        g_assert_no_error(error);
        g_assert_cmpint(task->want, ==, WANT_STOPPED);
        g_assert_true(g_str_has_prefix(task->reason, cases[i].reason));
        g_assert_false(agent_rules_circular(task)); /* or it could never be stepped to its end */
    }
}

static void test_credentials_are_not_kept(void)
{
    g_autoptr(AgentTask) task =
        task_of("", "\"roleCredentials\": {\"credentialsId\": \"a\", \"secretAccessKey\": \"tell-nobody\"},"
                    " \"executionRoleCredentials\": {\"credentialsId\": \"b\","
                    " \"sessionToken\": \"tell-nobody\"}", NULL);
    g_autoptr(AgentTask) nameless =
        task_of("", "\"roleCredentials\": {\"accessKeyId\": \"x\"}", NULL);
    json_auto_t *saved = agent_task_save(task);
    char *text = json_dumps(saved, 0);

    g_assert_null(strstr(text, "tell-nobody"));
    g_assert_null(nameless);
    json_auto_t *spec = agent_spec_container(task, agent_task_container(task, 0), "c", NULL, NULL);
    char *env = json_dumps(json_object_get(spec, "Env"), 0);
    g_assert_nonnull(strstr(env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/a\""));
    free(env);
    free(text);
}

static void test_names_follow_from_the_task(void)
{
    g_autoptr(AgentTask) a = task_of("", "", NULL), b = task_of("", "", NULL);
    const char *name = agent_task_container(a, 0)->docker_name;

    g_assert_cmpstr(name, ==, agent_task_container(b, 0)->docker_name);
    g_assert_true(g_regex_match_simple("^ecs-f-1-2-myappx-[0-9a-f]{20}$", name, 0, 0));
    g_autofree char *other = agent_name_container(a, "my_appx");
    g_autofree char *volume = agent_name_volume(a, "my_app.x");
    g_assert_cmpstr(name, !=, other);
    g_assert_cmpstr(name, !=, volume);
}

static json_t *spec_of(const char *container, const char *task_members)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(AgentTask) task = task_of(container, task_members, &error);

    g_assert_no_error(error);
    json_t *spec = agent_spec_container(task, agent_task_container(task, 0), "cl", "i-1:/data", &error);
    g_assert_no_error(error);
    return spec;
}

static void assert_at(const json_t *spec, const char *path, const char *want)
{
    g_auto(GStrv) keys = g_strsplit(path, ".", -1);

    for (char **key = keys; *key; key++)
        spec = json_object_get(spec, *key);
    char *text = json_dumps(spec, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    g_assert_cmpstr(text ? text : "nothing", ==, want);
    free(text);
}

static void test_spec(void)
{
    json_auto_t *spec = spec_of(
        "\"cpu\": 1, \"memory\": 4, \"portMappings\": [{\"containerPort\": 80, \"hostPort\": 8080},"
        " {\"containerPort\": 80}, {\"containerPortRange\": \"90-91\", \"protocol\": \"udp\"}],"
        " \"overrides\": \"{\\\"command\\\": [\\\"new\\\"]}\", \"command\": [\"old\"],"
        " \"mountPoints\": [{\"sourceVolume\": \"v\", \"containerPath\": \"/d\", \"readOnly\": true}],"
        " \"dockerConfig\": {\"config\": \"{\\\"uSER\\\": \\\"u\\\", \\\"Image\\\": \\\"evil\\\","
        " \\\"labels\\\": {\\\"com.amazonaws.ecs.task-arn\\\": \\\"evil\\\", \\\"l\\\": \\\"1\\\","
        " \\\"org.berth.agent\\\": \\\"evil\\\"}}\","
        " \"hostConfig\": \"{\\\"networkmode\\\": \\\"none\\\", \\\"Binds\\\": [\\\"/:/x\\\"]}\"}",
        "\"networkMode\": \"bridge\", \"cpu\": 0.5,"
        " \"volumes\": [{\"name\": \"v\", \"host\": {\"sourcePath\": \"/srv\"}}]");

    assert_at(spec, "Image", "\"i:1\"");
    assert_at(spec, "User", "\"u\"");
    assert_at(spec, "Cmd", "[\"new\"]");
    assert_at(spec, "Entrypoint", "nothing");
    assert_at(spec, "ExposedPorts", "{\"80/tcp\":{},\"90/udp\":{},\"91/udp\":{}}");
    assert_at(spec, "HostConfig.PortBindings",
              "{\"80/tcp\":[{\"HostPort\":\"8080\"},{\"HostPort\":\"\"}],"
              "\"90/udp\":[{\"HostPort\":\"\"}],\"91/udp\":[{\"HostPort\":\"\"}]}");
    assert_at(spec, "HostConfig.Binds", "[\"/srv:/d:ro\"]");
    assert_at(spec, "HostConfig.CpuShares", "2");
    assert_at(spec, "HostConfig.Memory", "6291456");
    assert_at(spec, "HostConfig.CpuQuota", "50000");
    assert_at(spec, "HostConfig.NetworkMode", "\"none\"");
    g_assert_cmpstr(json_string_value(json_object_get(json_object_get(spec, "Labels"),
                                                      AGENT_LABEL_TASK)), ==, ARN);
    g_assert_cmpstr(json_string_value(json_object_get(json_object_get(spec, "Labels"), "l")), ==, "1");
    g_assert_cmpstr(json_string_value(json_object_get(json_object_get(spec, "Labels"),
                                                      AGENT_LABEL_OWNER)), ==, "i-1:/data");
    json_auto_t *host = spec_of("\"portMappings\": [{\"containerPort\": 80}]",
                                "\"networkMode\": \"host\"");
    assert_at(host, "ExposedPorts", "nothing");
}

/* The same directory of the machine is the same place from inside a container. */
static void test_places(void)
{
    static const char host[] = "21 1 8:1 / / rw - ext4 /dev/vda1 rw\n"
                               "22 21 0:5 / /proc rw - proc proc rw\n"
                               "23 21 8:2 / /srv rw - ext4 /dev/vdb rw\n"
                               "24 21 8:1 /other /mnt rw - ext4 /dev/vda1 rw\n"
                               "25 21 8:1 /last /mnt rw - ext4 /dev/vda1 rw\n";
    static const char inside[] = "90 80 0:44 / / rw - overlay overlay rw\n"
                                 "91 90 8:1 /var/lib/a\\040b/data /data rw - ext4 /dev/vda1 rw\n"
                                 "short line\n";
    static const char *const cases[][3] = {
        { host, "/var/lib/a b/data", "/var/lib/a b/data" },
        { inside, "/data", "/var/lib/a b/data" },
        { inside, "/data/deep", "/var/lib/a b/data/deep" },
        { inside, "/database", "/database" },
        { host, "/srv/data", "/data" },
        { host, "/srvs", "/srvs" },
        { host, "/mnt/x", "/last/x" },
        { host, "/mnt", "/last" },
        { "", "/data", NULL },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *place = agent_place_by(cases[i][0], cases[i][1]);
        g_assert_cmpstr(place, ==, cases[i][2]);
    }
}

/* Two agents of one machine own different containers; so do one's successors on other machines. */
static void test_owners(void)
{
    g_autofree char *dir = g_dir_make_tmp("berth-agent-XXXXXX", NULL);
    g_autofree char *one = g_build_filename(dir, "one", NULL), *two = g_build_filename(dir, "two", NULL);
    AgentState *states[] = { agent_state_open(one, "i-1", NULL), agent_state_open(two, "i-1", NULL) };
    g_autofree char *owner = g_strdup(states[0]->owner);

    g_assert_true(g_str_has_prefix(owner, "i-1:/") && g_str_has_suffix(owner, "/one"));
    g_assert_cmpstr(owner, !=, states[1]->owner);
    agent_state_free(states[0]);
    states[0] = agent_state_open(one, "i-1", NULL);
    g_assert_cmpstr(states[0]->owner, ==, owner);
    agent_state_free(states[0]);
    states[0] = agent_state_open(one, "i-2", NULL);
    g_assert_cmpstr(states[0]->owner, !=, owner);
    agent_state_free(states[0]);
    agent_state_free(states[1]);
}

static void test_saved_and_restored(void)
{
    g_autofree char *dir = g_dir_make_tmp("berth-agent-XXXXXX", NULL);
    g_autoptr(GError) error = NULL;
    guint bad;

    g_autoptr(AgentState) state = agent_state_open(dir, "i-1", &error);
    g_assert_no_error(error);
    g_assert_true(agent_state_is_used(dir));
    g_autoptr(AgentState) second = agent_state_open(dir, "i-1", NULL);
    g_assert_null(second);
    g_autoptr(AgentTask) task = task_of("\"essential\": true", "", &error);
    AgentContainer *c = agent_task_container(task, 0);
    c->at = AT_STOPPED;
    c->has_exit = TRUE;
    c->exit_code = -1;
    c->again = TRUE;
    c->restart_count = 3;
    c->reported = AT_RUNNING;
    agent_container_blame(c, "A", "b");
    task->status = TASK_STOPPED;
    task->execution_stopped_us = 1795338658409000;
    state->arn = g_strdup("arn");
    state->timeline = 1LL << 40;
    g_assert_true(agent_state_save(state, &error));
    g_assert_true(agent_state_save_task(state, task, &error));
    g_autofree char *junk = g_build_filename(dir, "tasks", "junk.json", NULL);
    g_assert_true(g_file_set_contents(junk, "{\"payload\": 1", -1, NULL));
    g_clear_pointer(&state, agent_state_free);

    state = agent_state_open(dir, "i-1", &error);
    g_assert_no_error(error);
    g_assert_cmpint(state->timeline, ==, 1LL << 40);
    g_autoptr(GPtrArray) tasks = agent_state_tasks(state, &bad, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(bad, ==, 1);
    g_assert_cmpuint(tasks->len, ==, 1);
    json_auto_t *before = agent_task_save(task);
    json_auto_t *after = agent_task_save(tasks->pdata[0]);
    g_assert_true(json_equal(before, after));
    g_assert_true(agent_state_drop_task(state, task, &error));
    g_assert_true(agent_state_drop_task(state, task, &error));
    g_clear_pointer(&state, agent_state_free);

    state = agent_state_open(dir, "i-2", &error); /* a copied disk */
    g_assert_no_error(error);
    g_assert_null(state->arn);
    g_autofree char *remove = g_strdup_printf("rm -r '%s'", dir);
    g_assert_cmpint(system(remove), ==, 0);
}

static const char *host_text(const json_t *create, const char *key)
{
    return json_string_value(json_object_get(json_object_get(create, "HostConfig"), key));
}

static void test_shared_namespaces(void)
{
    g_autoptr(AgentTask) task =
        task_of("", "\"pidMode\": \"task\", \"ipcMode\": \"task\", \"networkMode\": \"host\"", NULL);
    const AgentContainer *c = agent_task_container(task, 0), *pause = agent_pause_of(task);
    json_auto_t *create = agent_spec_container(task, c, "x", NULL, NULL);
    json_auto_t *hold = agent_spec_container(task, pause, "x", NULL, NULL);
    g_autofree char *join = g_strconcat("container:", pause->docker_name, NULL);
    AgentSaid said;

    g_assert_cmpuint(task->containers->len, ==, 2);
    g_assert_cmpstr(host_text(create, "PidMode"), ==, join);
    g_assert_cmpstr(host_text(create, "IpcMode"), ==, join);
    g_assert_cmpstr(host_text(create, "NetworkMode"), ==, "host");
    g_assert_cmpstr(host_text(hold, "PidMode"), ==, NULL);
    g_assert_cmpstr(host_text(hold, "IpcMode"), ==, "shareable");
    g_assert_cmpstr(host_text(hold, "NetworkMode"), ==, "none");
    g_assert_cmpuint(json_array_size(json_object_get(hold, "Env")), ==, 0);
    agent_task_container(task, 1)->at = AT_RUNNING; /* nothing to say: it is the agent's own */
    g_assert_cmpint(agent_report_due(task), ==, REPORT_NONE);
    json_auto_t *body = agent_report_body(task, "x", &said);
    g_assert_cmpuint(json_array_size(json_object_get(body, "containers")), ==, 0);

    g_autoptr(AgentTask) mixed =
        task_of("", "\"pidMode\": \"host\", \"ipcMode\": \"task\"", NULL);
    json_auto_t *one = agent_spec_container(mixed, agent_task_container(mixed, 0), "x", NULL, NULL);
    json_auto_t *two = agent_spec_container(mixed, agent_pause_of(mixed), "x", NULL, NULL);
    g_assert_cmpstr(host_text(one, "PidMode"), ==, "host");
    g_assert_true(g_str_has_prefix(host_text(one, "IpcMode"), "container:"));
    g_assert_cmpstr(host_text(two, "PidMode"), ==, NULL);
    g_autoptr(AgentTask) none = task_of("", "\"ipcMode\": \"none\"", NULL);
    g_assert_null(agent_pause_of(none));
}

static void test_restarts(void)
{
    static const struct {
        const char *policy;
        int exit_code;
        gint64 ran_s;
        gboolean due;
    } cases[] = {
        { "{}", 1, 1000, FALSE },
        { "{\"enabled\": false}", 1, 1000, FALSE },
        { "{\"enabled\": true}", 1, 299, FALSE },
        { "{\"enabled\": true}", 0, 300, TRUE },
        { "{\"enabled\": true, \"restartAttemptPeriod\": 60}", 1, 60, TRUE },
        { "{\"enabled\": true, \"ignoredExitCodes\": [0, 3]}", 3, 1000, FALSE },
        { "{\"enabled\": true, \"ignoredExitCodes\": [0, 3]}", 137, 1000, TRUE },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *member = g_strconcat("\"restartPolicy\": ", cases[i].policy, NULL);
        g_autoptr(AgentTask) task = task_of(member, "", NULL);
        const DockerContainer seen = { .was_started = TRUE,
                                       .exit_code = cases[i].exit_code,
                                       .started_us = 5,
                                       .finished_us = 5 + cases[i].ran_s * G_USEC_PER_SEC };
        g_assert_cmpint(agent_restart_due(agent_task_container(task, 0), &seen), ==, cases[i].due);
    }
}

static void test_durations(void)
{
    static const struct {
        const char *text;
        guint ms;
    } good[] = { { "10s", 10000 }, { "1h30m", 5400000 }, { "250ms", 250 }, { "1m1s", 61000 }, { "0s", 0 } };
    static const char *const bad[] = { "", "10", "s", "-1s", "1x", "1s 2s", "99999999h" };
    guint ms;

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(agent_config_duration(good[i].text, &ms));
        g_assert_cmpuint(ms, ==, good[i].ms);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(agent_config_duration(bad[i], &ms));
}

static void test_figures(void)
{
    json_auto_t *stats = json_loads(
        "{\"cpu_stats\": {\"cpu_usage\": {\"total_usage\": 300}, \"system_cpu_usage\": 2000},"
        " \"memory_stats\": {\"usage\": 5242880, \"stats\": {\"inactive_file\": 1048576}}}", 0, NULL);
    const AgentCpu before = { 200, 1000, -1 };
    AgentCpu now;
    double percent = 0;

    g_assert_false(agent_stats_cpu(stats, NULL, &now, &percent));
    g_assert_true(agent_stats_cpu(stats, &before, &now, &percent));
    g_assert_cmpfloat_with_epsilon(percent, 10.0, 1e-9);
    g_assert_cmpint(now.machine_ns, ==, 2000);
    g_assert_false(agent_stats_cpu(stats, &now, &now, &percent)); /* no time has passed */
    g_assert_cmpint(agent_stats_memory_mib(stats), ==, 4);
    g_assert_cmpint(agent_facts_memory_mib("MemTotal:       16384000 kB\nMemFree: 1 kB\n"), ==, 16000);
    g_assert_cmpint(agent_facts_memory_mib("nothing"), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/agent/payload/wrong-members-are-refused", test_wrong_members_are_refused);
    g_test_add_func("/agent/payload/arns", test_arns);
    g_test_add_func("/agent/payload/what-cannot-run-is-stopped-with-a-reason",
                    test_what_cannot_run_is_stopped_with_a_reason);
    g_test_add_func("/agent/payload/credentials-are-not-kept", test_credentials_are_not_kept);
    g_test_add_func("/agent/names/follow-from-the-task", test_names_follow_from_the_task);
    g_test_add_func("/agent/spec/merged-as-asked", test_spec);
    g_test_add_func("/agent/place/same-inside-and-outside", test_places);
    g_test_add_func("/agent/state/owners", test_owners);
    g_test_add_func("/agent/state/saved-and-restored", test_saved_and_restored);
    g_test_add_func("/agent/pause/shared-namespaces", test_shared_namespaces);
    g_test_add_func("/agent/restart/due", test_restarts);
    g_test_add_func("/agent/config/durations", test_durations);
    g_test_add_func("/agent/figures", test_figures);
    return g_test_run();
}
