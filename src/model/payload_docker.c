/* A container definition's part that only Docker knows: config and hostConfig. */
#include "model/payload.h"
#include "model/task_definition.h"

#include <stdlib.h>
#include <string.h>

#define MIB       (G_GINT64_CONSTANT(1024) * 1024)
#define SECOND_NS G_GINT64_CONSTANT(1000000000)

/* Lowest Docker API that knows what is asked for. */
#define API_PLAIN  "1.21"
#define API_HEALTH "1.24"
#define API_INIT   "1.25"

static void rename_member(json_t *to, const char *docker, const json_t *from, const char *name)
{
    const json_t *value = json_object_get(from, name);

    if (value)
        json_object_set_new(to, docker, json_deep_copy(value));
}

gboolean payload_checks_health(const json_t *container)
{
    const json_t *command = json_object_get(json_object_get(container, "healthCheck"), "command");
    const char *first = json_string_value(json_array_get(command, 0));

    return first && strcmp(first, "NONE") != 0;
}

static json_t *health_check(const json_t *check)
{
    json_t *out = json_object();

    rename_member(out, "Test", check, "command");
    json_object_set_new(out, "Interval", json_integer(tree_int(check, "interval", 30) * SECOND_NS));
    json_object_set_new(out, "Timeout", json_integer(tree_int(check, "timeout", 5) * SECOND_NS));
    json_object_set_new(out, "Retries", json_integer(tree_int(check, "retries", 3)));
    json_object_set_new(out, "StartPeriod",
                        json_integer(tree_int(check, "startPeriod", 0) * SECOND_NS));
    return out;
}

static json_t *config_tree(const json_t *container)
{
    static const char *const members[][2] = {
        { "User", "user" },
        { "WorkingDir", "workingDirectory" },
        { "Hostname", "hostname" },
        { "Labels", "dockerLabels" },
        { "Tty", "pseudoTerminal" },
        { "OpenStdin", "interactive" },
        { "NetworkDisabled", "disableNetworking" },
    };
    json_t *out = json_object();

    for (gsize i = 0; i < G_N_ELEMENTS(members); i++)
        rename_member(out, members[i][0], container, members[i][1]);
    if (payload_checks_health(container))
        json_object_set_new(out, "Healthcheck",
                            health_check(json_object_get(container, "healthCheck")));
    return out;
}

static void add_extra_hosts(json_t *out, const json_t *hosts)
{
    json_t *list = json_array();
    const json_t *host;
    size_t n;

    json_array_foreach(hosts, n, host) json_array_append_new(
        list, json_sprintf("%s:%s", tree_text(host, "hostname"), tree_text(host, "ipAddress")));
    if (json_array_size(list))
        json_object_set_new(out, "ExtraHosts", list);
    else
        json_decref(list);
}

static void add_ulimits(json_t *out, const json_t *ulimits)
{
    json_t *list = json_array();
    const json_t *limit;
    size_t n;

    json_array_foreach(ulimits, n, limit)
        json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "Name", tree_text(limit, "name"),
                                              "Soft", (json_int_t)tree_int(limit, "softLimit", 0),
                                              "Hard", (json_int_t)tree_int(limit, "hardLimit", 0)));
    if (json_array_size(list))
        json_object_set_new(out, "Ulimits", list);
    else
        json_decref(list);
}

static void add_sysctls(json_t *out, const json_t *controls)
{
    const json_t *control;
    size_t n;

    if (json_array_size(controls))
        json_object_set_new(out, "Sysctls", json_object());
    json_array_foreach(controls, n, control)
        json_object_set_new(json_object_get(out, "Sysctls"), tree_text(control, "namespace"),
                            json_string(tree_text(control, "value")));
}

static void add_log(json_t *out, const json_t *log)
{
    const json_t *options = json_object_get(log, "options");

    if (log)
        json_object_set_new(out, "LogConfig",
                            json_pack("{s:s, s:o}", "Type", tree_text(log, "logDriver"), "Config",
                                      options ? json_deep_copy(options) : json_object()));
}

/* "rwm" from ["read", "write", "mknod"]; everything when nothing is said. */
static const char *device_permissions(const json_t *list, char ret_text[4])
{
    static const char *const names[] = { "read", "write", "mknod" };
    const json_t *name;
    gsize used = 0, n;

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        json_array_foreach(list, n, name) if (g_strcmp0(json_string_value(name), names[i]) == 0 &&
                                              used < 3) ret_text[used++] = "rwm"[i];
    ret_text[used] = '\0';
    return used ? ret_text : "rwm";
}

static json_t *devices(const json_t *list)
{
    json_t *out = json_array();
    const json_t *device;
    size_t n;

    json_array_foreach(list, n, device)
    {
        const char *host = tree_text(device, "hostPath");
        const char *inside = tree_text(device, "containerPath");
        char permissions[4];
        json_array_append_new(
            out,
            json_pack("{s:s, s:s, s:s}", "PathOnHost", host, "PathInContainer",
                      inside ? inside : host, "CgroupPermissions",
                      device_permissions(json_object_get(device, "permissions"), permissions)));
    }
    return out;
}

static json_t *tmpfs(const json_t *list)
{
    json_t *out = json_object();
    const json_t *mount, *option;
    size_t n, m;

    json_array_foreach(list, n, mount)
    {
        g_autoptr(GString) options = g_string_new(NULL);
        g_string_printf(options, "size=%" G_GINT64_FORMAT "m", tree_int(mount, "size", 0));
        json_array_foreach(json_object_get(mount, "mountOptions"), m, option)
            g_string_append_printf(options, ",%s", json_string_value(option));
        json_object_set_new(out, tree_text(mount, "containerPath"), json_string(options->str));
    }
    return out;
}

/* maxSwap 0 means no swap; Docker wants memory and swap together. */
static void add_swap(json_t *out, const json_t *linux_parameters, gint64 memory_mib)
{
    const json_t *swap = json_object_get(linux_parameters, "maxSwap");

    if (swap && memory_mib)
        json_object_set_new(out, "MemorySwap",
                            json_integer((memory_mib + json_integer_value(swap)) * MIB));
    rename_member(out, "MemorySwappiness", linux_parameters, "swappiness");
}

static void add_linux(json_t *out, const json_t *linux_parameters, gint64 memory_mib)
{
    const json_t *capabilities = json_object_get(linux_parameters, "capabilities");
    const json_t *list = json_object_get(linux_parameters, "devices");
    gint64 shared = tree_int(linux_parameters, "sharedMemorySize", 0);

    rename_member(out, "CapAdd", capabilities, "add");
    rename_member(out, "CapDrop", capabilities, "drop");
    rename_member(out, "Init", linux_parameters, "initProcessEnabled");
    if (json_array_size(list))
        json_object_set_new(out, "Devices", devices(list));
    list = json_object_get(linux_parameters, "tmpfs");
    if (json_array_size(list))
        json_object_set_new(out, "Tmpfs", tmpfs(list));
    if (shared)
        json_object_set_new(out, "ShmSize", json_integer(shared * MIB));
    add_swap(out, linux_parameters, memory_mib);
}

static json_t *host_config_tree(const json_t *container, const char *network_mode,
                                gint64 memory_mib, gint64 reservation_mib)
{
    static const char *const members[][2] = {
        { "Privileged", "privileged" },
        { "ReadonlyRootfs", "readonlyRootFilesystem" },
        { "Dns", "dnsServers" },
        { "DnsSearch", "dnsSearchDomains" },
        { "SecurityOpt", "dockerSecurityOptions" },
    };
    json_t *out = json_object();

    /* an awsvpc task's containers join their pause container's network: the agent sets it */
    if (g_strcmp0(network_mode, "awsvpc") != 0)
        json_object_set_new(out, "NetworkMode",
                            json_string(network_mode ? network_mode : "bridge"));
    for (gsize i = 0; i < G_N_ELEMENTS(members); i++)
        rename_member(out, members[i][0], container, members[i][1]);
    if (reservation_mib)
        json_object_set_new(out, "MemoryReservation", json_integer(reservation_mib * MIB));
    add_extra_hosts(out, json_object_get(container, "extraHosts"));
    add_ulimits(out, json_object_get(container, "ulimits"));
    add_sysctls(out, json_object_get(container, "systemControls"));
    add_log(out, json_object_get(container, "logConfiguration"));
    add_linux(out, json_object_get(container, "linuxParameters"), memory_mib);
    return out;
}

/* Takes tree. */
static json_t *as_string(json_t *tree)
{
    g_autofree char *text = json_dumps(tree, JSON_COMPACT);

    json_decref(tree);
    return json_string(text);
}

json_t *payload_docker_config(const json_t *container, const char *network_mode, gint64 memory_mib,
                              gint64 memory_reservation_mib)
{
    const json_t *linux_parameters = json_object_get(container, "linuxParameters");
    const char *version = tree_bool(linux_parameters, "initProcessEnabled", FALSE) ? API_INIT
                          : payload_checks_health(container)                       ? API_HEALTH
                                                                                   : API_PLAIN;

    return json_pack(
        "{s:o, s:o, s:s}", "config", as_string(config_tree(container)), "hostConfig",
        as_string(host_config_tree(container, network_mode, memory_mib, memory_reservation_mib)),
        "version", version);
}
