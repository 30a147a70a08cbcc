#include "base/errors.h"
#include "cli/groups.h"
#include "cli/image.h"
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Column instance_columns[] = {
    { "INSTANCE", "InstanceId", FORM_TEXT },
    { "NAME", "Name", FORM_TEXT },
    { "STATE", "State.Name", FORM_TEXT },
    { "TYPE", "InstanceType", FORM_TEXT },
    { "ADDRESS", "PrivateIpAddress", FORM_TEXT },
    { "ZONE", "Placement.AvailabilityZone", FORM_TEXT },
    { 0 },
};

/* Gives each instance its tag Name as a member, for the table. */
static void add_names(json_t *instances)
{
    json_t *instance;
    const json_t *tag;
    size_t n, t;

    json_array_foreach(instances, n, instance) json_array_foreach(
        json_object_get(instance, "Tags"), t, tag) if (strcmp(verb_text(tag, "Key"), "Name") == 0)
        json_object_set(instance, "Name", json_object_get(tag, "Value"));
}

static void show(const Cli *cli, json_t *instances)
{
    const json_t *instance;
    size_t n;

    if (!cli_flag(cli, "json"))
        add_names(instances);
    ui_table(instance_columns, instances, cli_flag(cli, "json"));
    if (cli_flag(cli, "json"))
        return;
    json_array_foreach(instances, n, instance)
    {
        const char *why = verb_text(json_object_get(instance, "StateReason"), "Message");
        const char *state = verb_text(json_object_get(instance, "State"), "Name");
        if (*why && strcmp(state, why) != 0)
            ui_print("%s: %s", verb_text(instance, "InstanceId"), why);
    }
}

static gboolean run_instances(Cli *cli, GError **error)
{
    json_auto_t *params = json_object();

    if (cli_arg(cli, 0))
        json_object_set_new(params, "InstanceIds", verb_args(cli, 0));
    json_auto_t *list =
        verb_instances(cli, json_incref(params), cli_flag(cli, "all") || cli_arg(cli, 0), error);
    if (!list)
        return FALSE;
    show(cli, list);
    return TRUE;
}

/* -- launch */
static gboolean add_tags(const Cli *cli, json_t *params, GError **error)
{
    const char *name = cli_option(cli, "name");
    json_auto_t *tags = verb_pairs(cli, "tag", "Key", "Value", error);

    if (!tags)
        return FALSE;
    if (name)
        json_array_append_new(tags, json_pack("{s:s, s:s}", "Key", "Name", "Value", name));
    if (json_array_size(tags) > 0)
        json_object_set_new(params, "TagSpecifications",
                            json_pack("[{s:s, s:O}]", "ResourceType", "instance", "Tags", tags));
    return TRUE;
}

static gboolean add_user_data(const Cli *cli, json_t *params, GError **error)
{
    const char *file = cli_option(cli, "user-data");
    gsize length = 0;

    if (!file)
        return TRUE;
    g_autofree char *text = verb_read(file, &length, error);
    if (!text)
        return FALSE;
    g_autofree char *encoded = g_base64_encode((const guint8 *)text, length);
    verb_set(params, "UserData", encoded);
    return TRUE;
}

static json_t *launch_params(Cli *cli, GError **error)
{
    const char *type = cli_option(cli, "type"), *zone = cli_option(cli, "zone");
    const char *image = cli_option(cli, "image");
    gint64 count = 1;

    if (!cli_number(cli, "count", 1, 1000, 1, &count, error))
        return NULL;
    g_autofree char *image_id = image_resolve(cli, image ? image : "ecs-optimized", error);
    if (!image_id)
        return NULL;
    json_auto_t *params =
        json_pack("{s:s, s:s, s:i, s:i}", "ImageId", image_id, "InstanceType",
                  type ? type : "t3.micro", "MinCount", (int)count, "MaxCount", (int)count);
    verb_set(params, "KeyName", cli_option(cli, "key"));
    verb_set(params, "ClientToken", cli_option(cli, "token"));
    if (zone)
        json_object_set_new(params, "Placement", json_pack("{s:s}", "AvailabilityZone", zone));
    if (cli_option(cli, "cluster"))
        json_object_set_new(params, "IamInstanceProfile",
                            json_pack("{s:s}", "Name", "ecsInstanceRole"));
    if (!add_tags(cli, params, error) || !add_user_data(cli, params, error))
        return NULL;
    return json_incref(params);
}

typedef struct {
    json_t *ids;
    const char *wanted; /* state all shall be in */
    json_t *seen;
} StateWait;

static gboolean look_states(Cli *cli, gpointer data, gboolean *ret_done, GError **error)
{
    StateWait *wait = data;
    const json_t *instance;
    size_t n, there = 0;

    json_decref(wait->seen);
    wait->seen = verb_instances(cli, json_pack("{s:O}", "InstanceIds", wait->ids), TRUE, error);
    if (!wait->seen)
        return FALSE;
    json_array_foreach(wait->seen, n, instance)
    {
        const char *state = verb_text(json_object_get(instance, "State"), "Name");
        if (strcmp(state, "terminated") == 0 && strcmp(wait->wanted, "terminated") != 0)
            return fail(error, COMMAND, "%s ended: %s", verb_text(instance, "InstanceId"),
                        verb_text(json_object_get(instance, "StateReason"), "Message"));
        there += strcmp(state, wait->wanted) == 0;
    }
    ui_step_progress("%zu of %zu", there, json_array_size(wait->ids));
    *ret_done = there == json_array_size(wait->ids);
    return TRUE;
}

/* Waits for the state and gives the instances as they are then. */
static json_t *wait_state(Cli *cli, json_t *ids, const char *wanted, GError **error)
{
    StateWait wait = { .ids = ids, .wanted = wanted };
    g_autofree char *what = g_strdup_printf("waiting until %s", wanted);
    gboolean there = verb_wait(cli, what, 300, look_states, &wait, error);
    json_auto_t *seen = wait.seen;

    return there ? json_incref(seen) : NULL;
}

static gboolean join_cluster(Cli *cli, const json_t *ids, const char *cluster, GError **error)
{
    const json_t *id;
    size_t n;

    json_array_foreach(ids, n, id)
    {
        json_auto_t *asked =
            client_call(cli, "berth", "BootstrapContainerInstance",
                        json_pack("{s:O, s:s}", "InstanceId", id, "Cluster", cluster), error);
        if (!asked)
            return FALSE;
    }
    return !cli_flag(cli, "wait") || agents_wait(cli, ids, cluster, error);
}

static gboolean run_launch(Cli *cli, GError **error)
{
    const char *cluster = cli_option(cli, "cluster");
    json_t *params = launch_params(cli, error);
    json_auto_t *answer = params ? client_call(cli, "ec2", "RunInstances", params, error) : NULL;
    json_auto_t *ids = json_array();
    const json_t *instance;
    size_t n;

    if (!answer)
        return FALSE;
    json_auto_t *list = json_incref(json_object_get(answer, "Instances"));
    json_array_foreach(list, n, instance)
        json_array_append(ids, json_object_get(instance, "InstanceId"));
    if (cli_flag(cli, "wait")) {
        json_auto_t *running = wait_state(cli, ids, "running", error);
        if (!running)
            return FALSE;
        json_decref(list);
        list = json_incref(running);
    }
    if (cluster && !join_cluster(cli, ids, cluster, error))
        return FALSE;
    show(cli, list);
    return TRUE;
}

/* -- lifecycle */
/* The ids of the arguments, each an id or a name; NULL with error. */
static json_t *ids_of(Cli *cli, GError **error)
{
    json_auto_t *ids = json_array();

    for (guint i = 0; cli_arg(cli, i); i++) {
        g_autofree char *id = verb_instance_id(cli, cli_arg(cli, i), error);
        if (!id)
            return NULL;
        json_array_append_new(ids, json_string(id));
    }
    return json_incref(ids);
}

static const Column change_columns[] = {
    { "INSTANCE", "InstanceId", FORM_TEXT },
    { "WAS", "PreviousState.Name", FORM_TEXT },
    { "IS", "CurrentState.Name", FORM_TEXT },
    { 0 },
};

/* Calls action on the instances; member is the answer's list, wanted what --wait waits for. */
static gboolean lifecycle(Cli *cli, const char *action, const char *member, const char *wanted,
                          GError **error)
{
    json_auto_t *ids = ids_of(cli, error);
    json_auto_t *params = ids ? json_pack("{s:O}", "InstanceIds", ids) : NULL;

    if (params && cli_flag(cli, "force"))
        json_object_set_new(params, "Force", json_true());
    json_auto_t *answer =
        params ? client_call(cli, "ec2", action, json_incref(params), error) : NULL;
    if (!answer)
        return FALSE;
    if (cli_flag(cli, "wait")) {
        json_auto_t *seen = wait_state(cli, ids, wanted, error);
        if (!seen)
            return FALSE;
        show(cli, seen);
        return TRUE;
    }
    ui_table(change_columns, json_object_get(answer, member), cli_flag(cli, "json"));
    return TRUE;
}

static gboolean run_start(Cli *cli, GError **error)
{
    return lifecycle(cli, "StartInstances", "StartingInstances", "running", error);
}

static gboolean run_stop(Cli *cli, GError **error)
{
    return lifecycle(cli, "StopInstances", "StoppingInstances", "stopped", error);
}

static gboolean run_terminate(Cli *cli, GError **error)
{
    return lifecycle(cli, "TerminateInstances", "TerminatingInstances", "terminated", error);
}

static gboolean run_reboot(Cli *cli, GError **error)
{
    json_auto_t *ids = ids_of(cli, error);

    return ids && verb_do(cli, "ec2", "RebootInstances", json_pack("{s:O}", "InstanceIds", ids),
                          "asked", error);
}

typedef struct {
    const char *id;
    json_t *answer;
} ConsoleWait;

/* The first call of GetConsoleOutput asks the host for the log; it is there a moment later. */
static gboolean look_console(Cli *cli, gpointer data, gboolean *ret_done, GError **error)
{
    ConsoleWait *wait = data;

    json_decref(wait->answer);
    wait->answer = client_call(cli, "ec2", "GetConsoleOutput",
                               json_pack("{s:s}", "InstanceId", wait->id), error);
    *ret_done = wait->answer && *verb_text(wait->answer, "Output");
    return wait->answer != NULL;
}

static gboolean run_console(Cli *cli, GError **error)
{
    g_autofree char *id = verb_instance_id(cli, cli_arg(cli, 0), error);
    ConsoleWait wait = { .id = id };
    gboolean there = FALSE;
    gsize length = 0;

    if (!id || !look_console(cli, &wait, &there, error))
        return FALSE;
    if (!there)
        there = verb_wait(cli, "fetching the log", 15, look_console, &wait, error);
    json_auto_t *answer = wait.answer;
    if (!there)
        return FALSE;
    g_autofree guint8 *text = g_base64_decode(verb_text(answer, "Output"), &length);
    if (fwrite(text, 1, length, stdout) != length)
        return fail(error, COMMAND, "cannot write the log");
    return TRUE;
}

static const Option instances_options[] = { { "all", NULL, "terminated ones too" }, { 0 } };
static const Option wait_options[] = { { "wait", NULL, "until it is so" }, { 0 } };
static const Option stop_options[] = {
    { "wait", NULL, "until it is so" },
    { "force", NULL, "without asking the guest" },
    { 0 },
};
static const Option launch_options[] = {
    { "count", "N", "how many; 1" },
    { "type", "TYPE", "instance type; t3.micro (berth type list)" },
    { "image", "IMAGE", "id or name of an image; ecs-optimized" },
    { "key", "NAME", "key pair for SSH (berth key create)" },
    { "zone", "ZONE", "where; else the zone with most room" },
    { "user-data", "FILE", "script or cloud-config for the first boot; - is standard input" },
    { "name", "NAME", "tag Name: ssh and others take it in place of the id" },
    { "tag", "KEY=VALUE", "another tag; may be repeated" },
    { "cluster", "NAME", "install the container agent and join this cluster" },
    { "token", "TEXT", "client token: the same call again launches nothing new" },
    { "wait", NULL, "until running and, with --cluster, registered" },
    { 0 },
};

const Command instance_commands[] = {
    { "launch", "", 0, 0, "launch instances",
      "Addresses are known at once. Without --wait it returns before they have booted.",
      "berth key create mine\n"
      "berth launch --key mine --name web-1 --cluster default --wait\n"
      "berth launch --count 2 --type t2.nano --zone home-1b --user-data setup.sh",
      launch_options, run_launch, FALSE },
    { "instances", "[ID ...]", 0, ANY_NUMBER, "list instances", NULL, NULL, instances_options,
      run_instances, FALSE },
    { "start", "INSTANCE ...", 1, ANY_NUMBER, "start stopped instances", NULL, NULL, wait_options,
      run_start, FALSE },
    { "stop", "INSTANCE ...", 1, ANY_NUMBER, "stop instances", NULL, NULL, stop_options, run_stop,
      FALSE },
    { "reboot", "INSTANCE ...", 1, ANY_NUMBER, "reboot instances", NULL, NULL, NULL, run_reboot,
      FALSE },
    { "terminate", "INSTANCE ...", 1, ANY_NUMBER, "end instances and delete their disks", NULL,
      NULL, wait_options, run_terminate, FALSE },
    { "console", "INSTANCE", 1, 1, "print an instance's boot log", NULL, NULL, NULL, run_console,
      FALSE },
    { 0 },
};
