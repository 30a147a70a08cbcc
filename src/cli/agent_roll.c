#include "cli/agent_roll.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "cli/cluster.h"
#include "cli/groups.h"
#include "cli/install.h"
#include "cli/machine.h"
#include "cli/verbs.h"

#include <glib/gstdio.h>
#include <string.h>

#define HEALTHY_SECONDS 120
#define TIMEOUT_MOST    3600

char *agent_archive(Cli *cli, GError **error)
{
    const char *given = cli_option(cli, "image");

    return given ? g_strdup(given) : install_share("berth-agent.tar", error);
}

gboolean agent_place(GPtrArray *argv, const char *archive, const char *folder, GError **error)
{
    gsize length = 0;
    g_autofree char *bytes = verb_read(archive, &length, error);
    g_autofree char *path = g_build_filename(folder, "berth-agent.tar", NULL);

    if (!bytes) {
        g_ptr_array_unref(argv);
        return FALSE;
    }
    GString *files = g_string_sized_new(length + 1024);
    machine_add_file(files, path, "0644", bytes, length);
    return machine_place(argv, files, error);
}

static json_t *agents(Cli *cli, GError **error)
{
    json_auto_t *answer = client_call(cli, "berth", "DescribeAgents",
                                      json_pack("{s:s}", "Cluster", cluster_name(cli)), error);

    return answer ? json_incref(json_object_get(answer, "Agents")) : NULL;
}

static json_t *find(const json_t *list, const char *instance_id)
{
    json_t *agent;
    size_t n;

    json_array_foreach(list, n, agent) if (strcmp(verb_text(agent, "InstanceId"), instance_id) ==
                                           0) return agent;
    return NULL;
}

json_t *agent_get(Cli *cli, const char *instance_id, GError **error)
{
    json_auto_t *list = agents(cli, error);
    json_t *agent = find(list, instance_id);

    if (list && !agent)
        return fail_null(
            error, NOT_FOUND,
            "cluster \"%s\" has no container instance on \"%s\"; \"berth agent status\""
            " shows them",
            cluster_name(cli), instance_id);
    return json_incref(agent);
}

/* -- waiting for one */
typedef struct {
    const char *instance_id;
    gint64 after_us;
    const char *sha256;
} AgentWait;

static gboolean look_agent(Cli *cli, gpointer data, gboolean *ret_done, GError **error)
{
    const AgentWait *wait = data;
    json_auto_t *list = agents(cli, error);
    const json_t *agent = find(list, wait->instance_id);

    if (!list)
        return FALSE;
    *ret_done = json_is_true(json_object_get(agent, "Connected")) &&
                json_integer_value(json_object_get(agent, "ConnectedAt")) > wait->after_us &&
                (!wait->sha256 || strcmp(verb_text(agent, "SeenImageSha256"), wait->sha256) == 0);
    ui_step_progress("%s", agent ? verb_text(agent, "Bootstrap") : "not registered yet");
    return TRUE;
}

gboolean agent_wait(Cli *cli, const char *instance_id, gint64 after_us, const char *sha256,
                    gint64 timeout_s, GError **error)
{
    AgentWait wait = { instance_id, after_us, sha256 };

    return verb_wait(cli, "waiting for the agent to connect", timeout_s, look_agent, &wait, error);
}

/* -- the tasks that must not notice */
static json_t *tasks_on(Cli *cli, const json_t *agent, GError **error)
{
    json_t *params =
        cluster_params(cli, "containerInstance", verb_text(agent, "ContainerInstanceId"));
    json_auto_t *arns = client_pages(cli, "ecs", "ListTasks", params, "taskArns", error);

    return arns ? cluster_describe(cli, "DescribeTasks", cluster_name(cli), "tasks",
                                   json_incref(arns), "tasks", NULL, error)
                : NULL;
}

static gboolean runs(const json_t *container)
{
    return strcmp(verb_text(container, "lastStatus"), "RUNNING") == 0;
}

static guint count_running(const json_t *tasks)
{
    const json_t *task, *container;
    guint count = 0;
    size_t t, c;

    json_array_foreach(tasks, t, task)
        json_array_foreach(json_object_get(task, "containers"), c, container) count +=
        (guint)runs(container);
    return count;
}

/* Somebody else wanted its end meanwhile. */
static gboolean stop_was_asked(const json_t *task)
{
    const char *code = verb_text(task, "stopCode");

    return strcmp(code, "UserInitiated") == 0 || strcmp(code, "ServiceSchedulerInitiated") == 0;
}

static gboolean check_task(const json_t *before, const json_t *now, GError **error)
{
    const json_t *container;
    size_t n;

    json_array_foreach(json_object_get(before, "containers"), n, container)
    {
        const json_t *same = json_array_get(json_object_get(now, "containers"), n);
        if (runs(container) && (!runs(same) || strcmp(verb_text(container, "runtimeId"),
                                                      verb_text(same, "runtimeId")) != 0))
            return fail(error, COMMAND, "container \"%s\" of task \"%s\" does not run as before",
                        verb_text(container, "name"), verb_text(before, "taskArn"));
    }
    return TRUE;
}

static gboolean check_tasks(Cli *cli, const json_t *before, GError **error)
{
    json_auto_t *arns = json_array();
    const json_t *task;
    size_t n, m;

    json_array_foreach(before, n, task) json_array_append(arns, json_object_get(task, "taskArn"));
    json_auto_t *now = cluster_describe(cli, "DescribeTasks", cluster_name(cli), "tasks",
                                        json_incref(arns), "tasks", NULL, error);
    if (!now)
        return FALSE;
    json_array_foreach(before, n, task)
    {
        const json_t *same = NULL, *one;
        json_array_foreach(now, m, one) if (json_equal(json_object_get(one, "taskArn"),
                                                       json_object_get(task, "taskArn"))) same =
            one;
        if (!stop_was_asked(same) && !check_task(task, same, error))
            return FALSE;
    }
    return TRUE;
}

/* -- one machine */
typedef struct {
    Cli *cli;
    const char *archive;
    gint64 timeout_s; /* until an agent is connected again */
    char sha256[CRYPTO_SHA256_HEX_SIZE];
} Roll;

/* Instances of ours: the control plane's store has it, its reconciler brings it. */
static gboolean store_archive(const Roll *roll, const char *archive, char *ret_sha256,
                              GError **error)
{
    const Config *config = cli_config(roll->cli, error);
    g_autoptr(GError) cause = NULL;
    gsize length = 0;
    g_autofree char *bytes = config ? verb_read(archive, &length, error) : NULL;

    if (!bytes)
        return FALSE;
    crypto_sha256_hex(bytes, length, ret_sha256);
    g_autofree char *folder = g_build_filename(config->state_dir, "agents", NULL);
    g_autofree char *file = g_strdup_printf("%s/%s.tar", folder, ret_sha256);
    g_mkdir_with_parents(folder, 0755);
    if (!g_file_test(file, G_FILE_TEST_EXISTS) &&
        !g_file_set_contents(file, bytes, (gssize)length, &cause))
        return fail(error, COMMAND,
                    "cannot keep the agent's archive: %s; run it with sudo on the"
                    " control plane's machine",
                    cause->message);
    return TRUE;
}

static gboolean want(Cli *cli, const char *id, const char *sha256, GError **error)
{
    json_auto_t *answer =
        client_call(cli, "berth", "UpgradeAgent",
                    json_pack("{s:s, s:s}", "InstanceId", id, "ImageSha256", sha256), error);
    return answer != NULL;
}

static gboolean there(const Roll *roll, const json_t *agent, const char *verb, GError **error)
{
    const json_t *external = json_object_get(agent, "External");
    GPtrArray *argv =
        machine_ssh_to(roll->cli, verb_text(agent, "InstanceId"), external, FALSE, error);

    return argv && machine_agent(argv, verb, verb_text(external, "DockerSocket"),
                                 verb_text(external, "Folder"), NULL, error);
}

/* *ret_touched: whether the agent that was there may be gone. */
static gboolean put(const Roll *roll, const json_t *agent, gboolean *ret_touched, GError **error)
{
    const json_t *external = json_object_get(agent, "External");
    const char *id = verb_text(agent, "InstanceId");
    char sha256[CRYPTO_SHA256_HEX_SIZE];

    *ret_touched = FALSE;
    if (!external)
        return store_archive(roll, roll->archive, sha256, error) &&
               (*ret_touched = want(roll->cli, id, sha256, error));
    GPtrArray *argv = machine_ssh_to(roll->cli, id, external, FALSE, error);
    if (!argv || !agent_place(argv, roll->archive, verb_text(external, "Folder"), error))
        return FALSE;
    *ret_touched = there(roll, agent, "load", error);
    return *ret_touched && there(roll, agent, "start", error);
}

/* The agent before: of an instance of ours the archive it was seen with, else the installed one. */
static gboolean put_back(const Roll *roll, const json_t *agent, GError **error)
{
    const char *former = verb_text(agent, "SeenImageSha256");
    char installed[CRYPTO_SHA256_HEX_SIZE];

    if (json_object_get(agent, "External"))
        return there(roll, agent, "back", error);
    g_autofree char *archive = *former ? NULL : install_share("berth-agent.tar", error);
    if (!*former && (!archive || !store_archive(roll, archive, installed, error)))
        return FALSE;
    return want(roll->cli, verb_text(agent, "InstanceId"), *former ? former : installed, error);
}

static gint64 connected_at(const json_t *agent)
{
    return json_integer_value(json_object_get(agent, "ConnectedAt"));
}

static gboolean upgrade_one(const Roll *roll, const json_t *agent, GError **error)
{
    const char *id = verb_text(agent, "InstanceId");
    const char *sha256 = json_object_get(agent, "External") ? NULL : roll->sha256;
    json_auto_t *before = tasks_on(roll->cli, agent, error);
    g_autoptr(GError) cause = NULL, worse = NULL;
    gboolean touched;

    if (!before)
        return FALSE;
    ui_step(id);
    gboolean placed = put(roll, agent, &touched, &cause);
    if (placed)
        ui_step_done("replaced; %u containers run", count_running(before));
    else
        ui_step_failed();
    if (!touched) {
        g_propagate_prefixed_error(error, g_steal_pointer(&cause), "%s: ", id);
        return FALSE;
    }
    if (placed && agent_wait(roll->cli, id, connected_at(agent), sha256, roll->timeout_s, &cause) &&
        check_tasks(roll->cli, before, &cause))
        return TRUE;
    if (!put_back(roll, agent, &worse) ||
        !agent_wait(roll->cli, id, connected_at(agent), NULL, HEALTHY_SECONDS, &worse))
        return fail(error, COMMAND, "%s: %s; going back failed too: %s", id, cause->message,
                    worse->message);
    return fail(error, COMMAND, "%s: %s; the former agent is back, the others were not touched", id,
                cause->message);
}

/* -- berth agent upgrade */
static gboolean roll_out(const Roll *roll, const json_t *list, GError **error)
{
    const json_t *agent;
    guint done = 0;
    size_t n;

    json_array_foreach(list, n, agent)
    {
        const char *id = verb_text(agent, "InstanceId");
        if (strcmp(verb_text(agent, "SeenImageSha256"), roll->sha256) == 0 || !*id)
            continue;
        if (!json_is_true(json_object_get(agent, "Connected"))) {
            ui_note("%s is not connected and left alone; \"berth why %s\"", id, id);
            continue;
        }
        if (!upgrade_one(roll, agent, error))
            return FALSE;
        done++;
        if (cli_flag(roll->cli, "one"))
            break;
    }
    ui_print("%u agents upgraded", done);
    return TRUE;
}

gboolean run_agent_upgrade(Cli *cli, GError **error)
{
    g_autofree char *archive = agent_archive(cli, error);
    gsize length = 0;
    g_autofree char *bytes = archive ? verb_read(archive, &length, error) : NULL;
    json_auto_t *list = bytes ? agents(cli, error) : NULL;
    Roll roll = { .cli = cli, .archive = archive };

    if (!list ||
        !cli_number(cli, "timeout", 1, TIMEOUT_MOST, HEALTHY_SECONDS, &roll.timeout_s, error))
        return FALSE;
    crypto_sha256_hex(bytes, length, roll.sha256);
    return roll_out(&roll, list, error);
}
