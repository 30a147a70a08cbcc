#include "base/errors.h"
#include "cli/groups.h"
#include "cli/verbs.h"

/* -- zones */
static const Column zone_columns[] = {
    { "ZONE", "ZoneName", FORM_TEXT },
    { "HOSTS", "Hosts", FORM_TEXT },
    { "VCPUS", "UsedVCpus/CapacityVCpus", FORM_TEXT },
    { "MIB", "UsedMemoryMiB/CapacityMemoryMiB", FORM_TEXT },
    { "INSTANCES", "Instances", FORM_TEXT },
    { "CPU RATIO", "CpuOvercommit", FORM_TEXT },
    { "MEM RATIO", "MemoryOvercommit", FORM_TEXT },
    { 0 },
};

static gboolean run_zone_list(Cli *cli, GError **error)
{
    return verb_table(cli, "berth", "DescribeZones", NULL, "Zones", zone_columns, error);
}

static gboolean set_ratio(const Cli *cli, json_t *params, const char *member, const char *option)
{
    const char *text = cli_option(cli, option);

    if (text)
        json_object_set_new(params, member, json_real(g_ascii_strtod(text, NULL)));
    return TRUE;
}

static json_t *zone_params(const Cli *cli, GError **error)
{
    json_auto_t *params = json_pack("{s:s}", "ZoneName", cli_arg(cli, 0));

    set_ratio(cli, params, "CpuOvercommit", "cpu-ratio");
    set_ratio(cli, params, "MemoryOvercommit", "memory-ratio");
    if (!verb_set_number(cli, params, "ReserveMemoryMiB", "reserve-mib", 0, G_MAXINT32, error))
        return NULL;
    return json_incref(params);
}

static gboolean run_zone_create(Cli *cli, GError **error)
{
    json_t *params = zone_params(cli, error);

    return params && verb_do(cli, "berth", "CreateZone", params, "made", error);
}

static gboolean run_zone_update(Cli *cli, GError **error)
{
    json_t *params = zone_params(cli, error);

    return params && verb_do(cli, "berth", "UpdateZone", params, "changed", error);
}

static gboolean run_zone_delete(Cli *cli, GError **error)
{
    return verb_do(cli, "berth", "DeleteZone", json_pack("{s:s}", "ZoneName", cli_arg(cli, 0)),
                   "deleted", error);
}

/* -- hosts */
static const Column host_columns[] = {
    { "HOST", "HostId", FORM_TEXT },
    { "ZONE", "ZoneName", FORM_TEXT },
    { "STATE", "State", FORM_TEXT },
    { "HEALTH", "Health", FORM_TEXT },
    { "VCPUS", "UsedVCpus/CapacityVCpus", FORM_TEXT },
    { "MIB", "UsedMemoryMiB/CapacityMemoryMiB", FORM_TEXT },
    { "NETWORK", "Network", FORM_TEXT },
    { "URI", "Uri", FORM_TEXT },
    { "FAULT", "Detail", FORM_TEXT },
    { 0 },
};

static gboolean run_host_list(Cli *cli, GError **error)
{
    json_t *params = json_object();

    verb_set(params, "ZoneName", cli_option(cli, "zone"));
    return verb_table(cli, "berth", "DescribeHosts", params, "Hosts", host_columns, error);
}

/* Calls an action that answers {Host} and shows it. Takes params. */
static gboolean host_action(Cli *cli, const char *action, json_t *params, GError **error)
{
    json_auto_t *answer = client_call(cli, "berth", action, params, error);

    if (!answer)
        return FALSE;
    json_auto_t *rows = json_pack("[O]", json_object_get(answer, "Host"));
    ui_table(host_columns, rows, cli_flag(cli, "json"));
    return TRUE;
}

static gboolean run_host_add(Cli *cli, GError **error)
{
    json_auto_t *params = json_pack("{s:s}", "Uri", cli_arg(cli, 0));

    if (!cli_option(cli, "zone"))
        return fail(error, USAGE,
                    "in which zone? give --zone ZONE; \"berth zone list\" lists them");
    verb_set(params, "ZoneName", cli_option(cli, "zone"));
    if (!verb_set_number(cli, params, "SharePercent", "share", 1, 100, error))
        return FALSE;
    return host_action(cli, "AddHost", json_incref(params), error);
}

typedef struct {
    const char *host_id;
    json_int_t before_us; /* when it was last checked before this check */
    json_t *host;
} CheckWait;

static gboolean look_checked(Cli *cli, gpointer data, gboolean *ret_done, GError **error)
{
    CheckWait *wait = data;

    if (!client_look(cli, "berth", "DescribeHosts", json_pack("{s:[s]}", "HostIds", wait->host_id),
                     "Hosts", &wait->host, error))
        return FALSE;
    *ret_done = json_integer_value(json_object_get(wait->host, "CheckedAt")) > wait->before_us;
    return TRUE;
}

static gboolean run_host_check(Cli *cli, GError **error)
{
    CheckWait wait = { .host_id = cli_arg(cli, 0) };
    json_auto_t *asked =
        client_call(cli, "berth", "CheckHost", json_pack("{s:s}", "HostId", wait.host_id), error);

    if (!asked)
        return FALSE;
    wait.before_us =
        json_integer_value(json_object_get(json_object_get(asked, "Host"), "CheckedAt"));
    gboolean checked = verb_wait(cli, "checking the host", 60, look_checked, &wait, error);
    json_auto_t *host = wait.host;
    if (!checked)
        return FALSE;
    json_auto_t *rows = json_pack("[O]", host);
    ui_table(host_columns, rows, cli_flag(cli, "json"));
    if (*verb_text(host, "Detail") && !cli_flag(cli, "json"))
        ui_print("%s", verb_text(host, "Detail"));
    return TRUE;
}

static gboolean run_host_drain(Cli *cli, GError **error)
{
    return host_action(cli, "DrainHost", json_pack("{s:s}", "HostId", cli_arg(cli, 0)), error);
}

static gboolean run_host_activate(Cli *cli, GError **error)
{
    return host_action(cli, "ActivateHost", json_pack("{s:s}", "HostId", cli_arg(cli, 0)), error);
}

static gboolean confirm_lost(const char *host, GError **error)
{
    g_autofree char *what =
        g_strdup_printf("this ends every instance of host \"%s\" and forgets their disks", host);

    return ui_confirm(what, host, error);
}

static gboolean run_host_remove(Cli *cli, GError **error)
{
    const char *host = cli_arg(cli, 0);
    json_t *params = json_pack("{s:s}", "HostId", host);

    if (!cli_flag(cli, "lost"))
        return verb_do(cli, "berth", "RemoveHost", params, "removed", error);
    json_object_set_new(params, "Lost", json_true());
    if (cli_flag(cli, "yes") || confirm_lost(host, error))
        return verb_do(cli, "berth", "RemoveHost", params, "given up; its instances end", error);
    json_decref(params);
    return FALSE;
}

/* -- instance types */
static const Column type_columns[] = {
    { "TYPE", "InstanceType", FORM_TEXT },
    { "VCPUS", "VCpus", FORM_TEXT },
    { "MIB", "MemoryMiB", FORM_TEXT },
    { "ARCHITECTURE", "Architectures", FORM_TEXT },
    { "NETWORK", "NetworkPerformance", FORM_TEXT },
    { "BUILT IN", "BuiltIn", FORM_TEXT },
    { 0 },
};

static gboolean run_type_list(Cli *cli, GError **error)
{
    json_t *params = json_object();

    if (cli_arg(cli, 0))
        json_object_set_new(params, "InstanceTypes", verb_args(cli, 0));
    return verb_table(cli, "berth", "DescribeInstanceTypes", params, "InstanceTypes", type_columns,
                      error);
}

static gboolean run_type_put(Cli *cli, GError **error)
{
    json_auto_t *params = json_pack("{s:s}", "InstanceType", cli_arg(cli, 0));

    if (!verb_set_number(cli, params, "VCpus", "vcpus", 1, 448, error) ||
        !verb_set_number(cli, params, "MemoryMiB", "memory-mib", 64, 25165824, error))
        return FALSE;
    verb_set(params, "NetworkPerformance", cli_option(cli, "network"));
    return verb_do(cli, "berth", "PutInstanceType", json_incref(params), "set", error);
}

static gboolean run_type_delete(Cli *cli, GError **error)
{
    return verb_do(cli, "berth", "DeleteInstanceType",
                   json_pack("{s:s}", "InstanceType", cli_arg(cli, 0)), "deleted", error);
}

static const Option zone_options[] = {
    { "cpu-ratio", "R", "virtual CPUs sold for each real one" },
    { "memory-ratio", "R", "memory sold for what there is; above 1 trusts guests not to use it" },
    { "reserve-mib", "MIB", "memory kept for each host itself" },
    { 0 },
};
static const Option host_add_options[] = {
    { "zone", "ZONE", "the zone it belongs to" },
    { "share", "PERCENT", "how much of it; 100" },
    { 0 },
};
static const Option host_list_options[] = { { "zone", "ZONE", "hosts of this zone only" }, { 0 } };
static const Option host_remove_options[] = {
    { "lost", NULL, "it is gone for good: its instances end without it" },
    { "yes", NULL, "do not ask" },
    { 0 },
};
static const Option type_options[] = {
    { "vcpus", "N", "virtual CPUs" },
    { "memory-mib", "MIB", "memory" },
    { "network", "TEXT", "what DescribeInstanceTypes says of its network" },
    { 0 },
};

const Command where_commands[] = {
    { "zone list", "", 0, 0, "list availability zones with what they hold", NULL, NULL, NULL,
      run_zone_list, FALSE },
    { "zone create", "ZONE", 1, 1, "make a zone of this region", NULL,
      "berth zone create home-1c --cpu-ratio 8", zone_options, run_zone_create, FALSE },
    { "zone update", "ZONE", 1, 1, "change what a zone sells of its hosts", NULL,
      "berth zone update home-1a --memory-ratio 1.5", zone_options, run_zone_update, FALSE },
    { "zone delete", "ZONE", 1, 1, "delete a zone that has no host", NULL, NULL, NULL,
      run_zone_delete, FALSE },
    { "host list", "", 0, 0, "list hypervisors with their load", NULL, NULL, host_list_options,
      run_host_list, FALSE },
    { "host add", "URI", 1, 1, "add a libvirt host to a zone",
      "The URI is libvirt's. One host may be in several zones, with a share in each. Guests on a\n"
      "host of another machine have a network of their own (NETWORK is APART in the list):\n"
      "no agent, no metadata and no berth ssh there.",
      "berth host add qemu+ssh://root@kvm7/system --zone home-1a\n"
      "berth host add qemu:///system --zone home-1b --share 50",
      host_add_options, run_host_add, FALSE },
    { "host check", "HOST", 1, 1, "look at a host now: libvirt, network, pools, KVM", NULL, NULL,
      NULL, run_host_check, FALSE },
    { "host drain", "HOST", 1, 1, "place nothing new on a host", NULL, NULL, NULL, run_host_drain,
      FALSE },
    { "host activate", "HOST", 1, 1, "place on a drained host again", NULL, NULL, NULL,
      run_host_activate, FALSE },
    { "host remove", "HOST", 1, 1, "forget a host that holds no instance",
      "With --lost one that is not reached any more, with all that ran there. See to it first "
      "that\n"
      "it is off, or will never be on the network again: its guests would still run. Should it be\n"
      "added again, they are ended before anything is placed there.",
      "berth host remove h-0123456789abcdef0 --lost", host_remove_options, run_host_remove, FALSE },
    { "type list", "[TYPE ...]", 0, ANY_NUMBER, "list instance types", NULL, NULL, NULL,
      run_type_list, FALSE },
    { "type put", "TYPE", 1, 1, "make an instance type of your own, or change it", NULL,
      "berth type put lab.small --vcpus 1 --memory-mib 512", type_options, run_type_put, FALSE },
    { "type delete", "TYPE", 1, 1, "delete an instance type of your own", NULL, NULL, NULL,
      run_type_delete, FALSE },
    { 0 },
};
