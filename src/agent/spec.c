#include "agent/spec.h"
#include "agent/names.h"
#include "agent/pause.h"
#include "base/errors.h"
#include "base/tree.h"

#include <string.h>

#define MIB            (1024 * 1024)
#define CPU_SHARES_MIN 2
#define MEMORY_MIN_MIB 6 /* what Docker takes */
#define CPU_UNITS      1024
#define ENDPOINT       "http://169.254.170.2"

/* What a task definition may say that has no member of its own in the protocol. */
static const char *const config_keys[] = {
    "User",       "WorkingDir", "Hostname",  "Domainname",      "Labels",     "Healthcheck",
    "StopSignal", "Tty",        "OpenStdin", "NetworkDisabled", "MacAddress", NULL,
};
static const char *const host_keys[] = {
    "NetworkMode", "Privileged", "ReadonlyRootfs",    "CapAdd",     "CapDrop",
    "Dns",         "DnsSearch",  "DnsOptions",        "ExtraHosts", "SecurityOpt",
    "Ulimits",     "LogConfig",  "MemoryReservation", "MemorySwap", "MemorySwappiness",
    "ShmSize",     "Tmpfs",      "Devices",           "Init",       "Sysctls",
    "PidsLimit",   "UsernsMode", "Runtime",           NULL,
};

static gint64 int_of(const json_t *tree, const char *key)
{
    return json_integer_value(json_object_get(tree, key));
}

static const char *listed_key(const char *const *keys, const char *key)
{
    for (; *keys; keys++)
        if (g_ascii_strcasecmp(*keys, key) == 0)
            return *keys;
    return NULL;
}

void agent_spec_merge(json_t *base, const json_t *over, const char *const *keys)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)over, key, value)
    {
        const char *name = listed_key(keys, key);
        if (name && !json_is_null(value))
            json_object_set_new(base, name, json_deep_copy(value));
    }
}

static void merge_text(json_t *base, const char *text, const char *const *keys)
{
    json_auto_t *over = json_loads(text, 0, NULL);

    agent_spec_merge(base, over, keys);
}

static void add_text(json_t *list, const char *text)
{
    json_array_append_new(list, json_string(text));
}

/* The variables by which a container finds the agent's task endpoint take the place of its own. */
static void set_endpoints(const AgentTask *task, const AgentContainer *c, json_t *map)
{
    const json_t *role = json_object_get(task->payload, "roleCredentials");

    json_object_set_new(map, "ECS_CONTAINER_METADATA_URI",
                        json_sprintf(ENDPOINT "/v3/%s", c->endpoint_id));
    json_object_set_new(map, "ECS_CONTAINER_METADATA_URI_V4",
                        json_sprintf(ENDPOINT "/v4/%s", c->endpoint_id));
    json_object_set_new(map, "ECS_AGENT_URI", json_sprintf(ENDPOINT "/api/%s", c->endpoint_id));
    if (*text_of(role, "credentialsId"))
        json_object_set_new(map, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                            json_sprintf("/v2/credentials/%s", text_of(role, "credentialsId")));
}

static json_t *environment(const AgentTask *task, const AgentContainer *c)
{
    const json_t *own = json_object_get(c->spec, "environment");
    json_auto_t *map = json_is_object(own) ? json_copy((json_t *)own) : json_object();
    json_t *list = json_array();
    const char *name;
    json_t *value;

    if (!c->internal)
        set_endpoints(task, c, map);
    json_object_foreach(map, name, value)
    {
        g_autofree char *line = g_strconcat(name, "=", json_string_value(value), NULL);
        add_text(list, line);
    }
    return list;
}

/* -- ports */

static void expose(json_t *config, json_t *host, guint port, const char *protocol, gint64 host_port)
{
    g_autofree char *key = g_strdup_printf("%u/%s", port, *protocol ? protocol : "tcp");
    g_autofree char *number =
        host_port ? g_strdup_printf("%" G_GINT64_FORMAT, host_port) : g_strdup("");
    json_t *bindings = json_object_get(host, key);

    json_object_set_new(config, key, json_object());
    if (!bindings) {
        bindings = json_array();
        json_object_set_new(host, key, bindings);
    }
    json_array_append_new(bindings, json_pack("{s:s}", "HostPort", number));
}

/* Host ports that are 0 are chosen by Docker, within the kernel's range of ephemeral ports. */
static void set_ports(const json_t *spec, json_t *config, json_t *host)
{
    json_t *exposed = json_object();
    json_t *bound = json_object();
    const json_t *port;
    gsize n;

    json_array_foreach(json_object_get(spec, "portMappings"), n, port)
    {
        const char *protocol = text_of(port, "protocol");
        guint first = (guint)int_of(port, "containerPort"), last = first;
        agent_port_range(text_of(port, "containerPortRange"), &first, &last);
        for (guint p = first; p <= last; p++)
            expose(exposed, bound, p, protocol, first == last ? int_of(port, "hostPort") : 0);
    }
    json_object_set_new(config, "ExposedPorts", exposed);
    json_object_set_new(host, "PortBindings", bound);
}

/* -- volumes */

static const json_t *find_volume(const AgentTask *task, const char *name)
{
    const json_t *volume;
    gsize n;

    json_array_foreach(json_object_get(task->payload, "volumes"), n,
                       volume) if (strcmp(text_of(volume, "name"), name) == 0) return volume;
    return NULL;
}

static gboolean is_docker_volume(const json_t *volume)
{
    return strcmp(text_of(volume, "type"), "docker") == 0;
}

static gboolean is_shared(const json_t *volume)
{
    const json_t *docker = json_object_get(volume, "dockerVolumeConfiguration");

    return is_docker_volume(volume) && strcmp(text_of(docker, "scope"), "shared") == 0;
}

static gboolean is_host_path(const json_t *volume)
{
    return !is_docker_volume(volume) && *text_of(json_object_get(volume, "host"), "sourcePath");
}

/* What a volume is called in a bind: a path of the host, or a name in Docker. Caller frees. */
static char *volume_source(const AgentTask *task, const json_t *volume)
{
    if (is_host_path(volume))
        return g_strdup(text_of(json_object_get(volume, "host"), "sourcePath"));
    if (is_shared(volume))
        return g_strdup(text_of(volume, "name"));
    return agent_name_volume(task, text_of(volume, "name"));
}

static gboolean set_binds(const AgentTask *task, const json_t *spec, json_t *host, GError **error)
{
    json_t *binds = json_array();
    const json_t *mount;
    gsize n;

    json_object_set_new(host, "Binds", binds);
    json_array_foreach(json_object_get(spec, "mountPoints"), n, mount)
    {
        const char *name = text_of(mount, "sourceVolume");
        const json_t *volume = find_volume(task, name);
        if (!volume)
            return fail(error, INVALID_PARAMETER, "there is no volume \"%s\"", name);
        g_autofree char *source = volume_source(task, volume);
        g_autofree char *bind =
            g_strconcat(source, ":", text_of(mount, "containerPath"),
                        json_is_true(json_object_get(mount, "readOnly")) ? ":ro" : NULL, NULL);
        add_text(binds, bind);
    }
    return TRUE;
}

static const AgentContainer *sibling(const AgentTask *task, const char *name, GError **error)
{
    int index = agent_task_find(task, name);

    return index >= 0 ? agent_task_container(task, (guint)index)
                      : fail_null(error, INVALID_PARAMETER, "there is no container \"%s\"", name);
}

static gboolean set_siblings(const AgentTask *task, const json_t *spec, json_t *host,
                             GError **error)
{
    json_t *links = json_array();
    json_t *volumes = json_array();
    const json_t *item;
    gsize n;

    json_object_set_new(host, "Links", links);
    json_object_set_new(host, "VolumesFrom", volumes);
    json_array_foreach(json_object_get(spec, "links"), n, item)
    {
        g_auto(GStrv) parts = g_strsplit(json_string_value(item), ":", 2);
        const AgentContainer *other = sibling(task, parts[0] ? parts[0] : "", error);
        if (!other)
            return FALSE;
        g_autofree char *link =
            g_strconcat(other->docker_name, ":", parts[1] ? parts[1] : parts[0], NULL);
        add_text(links, link);
    }
    json_array_foreach(json_object_get(spec, "volumesFrom"), n, item)
    {
        const AgentContainer *other = sibling(task, text_of(item, "sourceContainer"), error);
        if (!other)
            return FALSE;
        g_autofree char *from =
            g_strconcat(other->docker_name,
                        json_is_true(json_object_get(item, "readOnly")) ? ":ro" : NULL, NULL);
        add_text(volumes, from);
    }
    return TRUE;
}

json_t *agent_spec_volumes(const AgentTask *task, const AgentContainer *container)
{
    json_t *specs = json_array();
    const json_t *mount;
    gsize n;

    json_array_foreach(json_object_get(container->spec, "mountPoints"), n, mount)
    {
        const json_t *volume = find_volume(task, text_of(mount, "sourceVolume"));
        const json_t *docker = json_object_get(volume, "dockerVolumeConfiguration");
        if (!volume || is_host_path(volume))
            continue;
        g_autofree char *name = volume_source(task, volume);
        json_t *spec = json_pack("{s:s}", "Name", name);
        /* a shared volume without autoprovision must be there already */
        if (is_shared(volume))
            json_object_set_new(
                spec, "Exists",
                json_boolean(!json_is_true(json_object_get(docker, "autoprovision"))));
        if (*text_of(docker, "driver"))
            json_object_set_new(spec, "Driver", json_string(text_of(docker, "driver")));
        if (json_is_object(json_object_get(docker, "driverOpts")))
            json_object_set_new(spec, "DriverOpts",
                                json_deep_copy(json_object_get(docker, "driverOpts")));
        if (json_is_object(json_object_get(docker, "labels")))
            json_object_set_new(spec, "Labels", json_deep_copy(json_object_get(docker, "labels")));
        json_array_append_new(specs, spec);
    }
    return specs;
}

GPtrArray *agent_spec_own_volumes(const AgentTask *task)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    const json_t *volume;
    gsize n;

    json_array_foreach(json_object_get(task->payload, "volumes"), n,
                       volume) if (!is_host_path(volume) && !is_shared(volume))
        g_ptr_array_add(names, volume_source(task, volume));
    return names;
}

/* -- the whole */

void agent_spec_limits(const AgentTask *task, AgentCgroupLimits *ret_limits)
{
    double cpu = json_number_value(json_object_get(task->payload, "cpu"));

    *ret_limits = (AgentCgroupLimits){ .quota_us = (gint64)(cpu * CGROUP_PERIOD_US),
                                       .memory_bytes = int_of(task->payload, "memory") * MIB };
    for (guint i = 0; i < task->containers->len; i++)
        if (!agent_task_container(task, i)->internal)
            ret_limits->shares +=
                MAX(int_of(agent_task_container(task, i)->spec, "cpu"), CPU_SHARES_MIN);
    if (cpu > 0)
        ret_limits->shares = (gint64)(cpu * CPU_UNITS);
    ret_limits->alone =
        task->containers->len == 1 && !ret_limits->quota_us && !ret_limits->memory_bytes;
}

/* CPU units are shares; a task's own size bounds each of its containers. */
static void set_limits(const AgentTask *task, const json_t *spec, json_t *host)
{
    double task_cpu = json_number_value(json_object_get(task->payload, "cpu"));
    gint64 memory = int_of(spec, "memory");

    if (memory == 0)
        memory = int_of(task->payload, "memory");
    if (memory > 0)
        json_object_set_new(host, "Memory", json_integer(MAX(memory, MEMORY_MIN_MIB) * MIB));
    json_object_set_new(host, "CpuShares", json_integer(MAX(int_of(spec, "cpu"), CPU_SHARES_MIN)));
    if (task_cpu > 0) {
        json_object_set_new(host, "CpuPeriod", json_integer(CGROUP_PERIOD_US));
        json_object_set_new(host, "CpuQuota", json_integer((gint64)(task_cpu * CGROUP_PERIOD_US)));
    }
}

/* What is the task's is the pause container's, which the others join. */
static void set_mode(const AgentTask *task, const AgentContainer *c, json_t *host,
                     const char *member, const char *key)
{
    const AgentContainer *pause = agent_pause_of(task);
    const char *mode = text_of(task->payload, member);
    gboolean shared = pause && strcmp(mode, "task") == 0;

    if (shared && c != pause)
        json_object_set_new(host, key, json_sprintf("container:%s", pause->docker_name));
    else if (!c->internal && *mode)
        json_object_set_new(host, key, json_string(mode));
    else if (shared && strcmp(key, "IpcMode") == 0)
        json_object_set_new(host, key, json_string("shareable"));
}

static void set_modes(const AgentTask *task, const AgentContainer *c, json_t *host)
{
    set_mode(task, c, host, "networkMode", "NetworkMode");
    set_mode(task, c, host, "pidMode", "PidMode");
    set_mode(task, c, host, "ipcMode", "IpcMode");
}

static void set_labels(const AgentTask *task, const AgentContainer *c, const char *cluster,
                       const char *owner, json_t *config)
{
    json_t *labels = json_object_get(config, "Labels");

    if (!json_is_object(labels)) {
        labels = json_object();
        json_object_set_new(config, "Labels", labels);
    }
    json_object_set_new(labels, AGENT_LABEL_CLUSTER, json_string(cluster));
    json_object_set_new(labels, AGENT_LABEL_CONTAINER, json_string(c->name));
    json_object_set_new(labels, AGENT_LABEL_TASK, json_string(task->arn));
    json_object_set_new(labels, AGENT_LABEL_FAMILY, json_string(task->family));
    json_object_set_new(labels, AGENT_LABEL_VERSION, json_string(task->version));
    if (owner)
        json_object_set_new(labels, AGENT_LABEL_OWNER, json_string(owner));
}

json_t *agent_spec_container(const AgentTask *task, const AgentContainer *container,
                             const char *cluster, const char *owner, GError **error)
{
    const json_t *spec = container->spec;
    const json_t *docker = json_object_get(spec, "dockerConfig");
    json_auto_t *config = json_object();
    json_t *host = json_object();

    json_object_set_new(config, "Image", json_string(container->image));
    json_object_set_new(config, "Env", environment(task, container));
    if (json_array_size(json_object_get(spec, "entryPoint")) > 0)
        json_object_set_new(config, "Entrypoint",
                            json_deep_copy(json_object_get(spec, "entryPoint")));
    if (json_array_size(json_object_get(spec, "command")) > 0)
        json_object_set_new(config, "Cmd", json_deep_copy(json_object_get(spec, "command")));
    if (container->stop_timeout_s) /* for Docker's own end; the agent says it with each stop */
        json_object_set_new(config, "StopTimeout", json_integer(container->stop_timeout_s));
    json_object_set_new(config, "HostConfig", host);
    set_limits(task, spec, host);
    set_modes(task, container, host);
    merge_text(config, text_of(docker, "config"), config_keys);
    merge_text(host, text_of(docker, "hostConfig"), host_keys);
    set_labels(task, container, cluster, owner, config);
    if (strcmp(text_of(host, "NetworkMode"), "host") != 0)
        set_ports(spec, config, host);
    if (container->checks_health && !json_object_get(config, "Healthcheck"))
        return fail_null(error, INVALID_PARAMETER,
                         "the container has no Healthcheck in its config");
    if (!set_binds(task, spec, host, error) || !set_siblings(task, spec, host, error))
        return NULL;
    return g_steal_pointer(&config);
}
