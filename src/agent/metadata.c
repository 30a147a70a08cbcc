#include "agent/metadata.h"
#include "agent/spec.h"
#include "base/clock.h"
#include "base/tree.h"

#include <string.h>

#define CPU_MIN 2

static void set_text(json_t *tree, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(tree, key, json_string(text));
}

static void set_time(json_t *tree, const char *key, gint64 us)
{
    char text[CLOCK_ISO_SIZE];

    if (us)
        set_text(tree, key, clock_iso_ms(us, text));
}

static const char *container_state(const AgentContainer *c)
{
    static const char *const names[AT__COUNT] = { "NONE",    "PULLED",  "CREATED",
                                                  "RUNNING", "STOPPED", "STOPPED" };

    return names[c->at];
}

static const char *wanted(const AgentTask *task)
{
    return task->want == WANT_RUNNING ? "RUNNING" : "STOPPED";
}

static const char *task_state(const AgentTask *task)
{
    gboolean created = task->containers->len > 0;

    for (guint i = 0; i < task->containers->len; i++)
        created = created && agent_task_container(task, i)->at >= AT_CREATED;
    if (task->status == TASK_PENDING)
        return created ? "CREATED" : "NONE";
    return task->status == TASK_RUNNING ? "RUNNING" : "STOPPED";
}

static json_t *about_of(const AgentContainer *c)
{
    return c->about ? json_loads(c->about, 0, NULL) : NULL;
}

/* -- parts of a container */

/* Bindings of single ports: a range has no place in this form. */
static json_t *ports(const AgentContainer *c, MetadataVersion version)
{
    json_t *list = json_array();
    const json_t *binding;
    gsize n;

    json_array_foreach(c->bindings, n, binding)
    {
        json_t *host_port = json_object_get(binding, "hostPort");
        if (!host_port)
            continue;
        json_t *port =
            json_pack("{s:O, s:O, s:O}", "ContainerPort", json_object_get(binding, "containerPort"),
                      "Protocol", json_object_get(binding, "protocol"), "HostPort", host_port);
        if (version == METADATA_V4)
            set_text(port, "HostIp", text_of(binding, "bindIP"));
        json_array_append_new(list, port);
    }
    return list;
}

static json_t *networks(json_t *about)
{
    json_t *list = json_array();
    const char *name;
    json_t *network;

    json_object_foreach(json_object_get(about, "Networks"), name, network)
    {
        const char *address = text_of(network, "IPAddress");
        const char *address6 = text_of(network, "GlobalIPv6Address");
        json_t *entry = json_pack("{s:s, s:[]}", "NetworkMode", name, "IPv4Addresses");
        if (*address)
            json_array_append_new(json_object_get(entry, "IPv4Addresses"), json_string(address));
        if (*address6)
            json_object_set_new(entry, "IPv6Addresses", json_pack("[s]", address6));
        json_array_append_new(list, entry);
    }
    return list;
}

static json_t *volumes(const json_t *about)
{
    json_t *list = json_array();
    const json_t *mount;
    gsize n;

    json_array_foreach(json_object_get(about, "Mounts"), n, mount)
    {
        json_t *entry = json_object();
        set_text(entry, "DockerName", text_of(mount, "Name"));
        set_text(entry, "Source", text_of(mount, "Source"));
        set_text(entry, "Destination", text_of(mount, "Destination"));
        json_array_append_new(list, entry);
    }
    return list;
}

/* Takes list; an empty one is left out. */
static void set_list(json_t *tree, const char *key, json_t *list)
{
    if (json_array_size(list) > 0)
        json_object_set(tree, key, list);
    json_decref(list);
}

static void set_health(json_t *tree, const AgentContainer *c)
{
    static const char *const names[] = {
        [HEALTH_UNKNOWN] = "UNKNOWN", [HEALTH_HEALTHY] = "HEALTHY", [HEALTH_UNHEALTHY] = "UNHEALTHY"
    };
    json_t *health;

    if (!c->checks_health)
        return;
    health = json_pack("{s:s}", "status", names[c->health]);
    set_time(health, "statusSince", c->health_since_us);
    json_object_set_new(tree, "Health", health);
}

/* What the container was asked to be made with. */
static void set_asked(json_t *tree, const AgentTask *task, const AgentContainer *c,
                      const char *cluster, MetadataVersion version)
{
    json_auto_t *spec = agent_spec_container(task, c, cluster, NULL, NULL);
    json_t *labels = json_object_get(spec, "Labels");
    json_t *log = json_object_get(json_object_get(spec, "HostConfig"), "LogConfig");

    if (labels)
        json_object_set(tree, "Labels", labels);
    if (version != METADATA_V4 || !log)
        return;
    set_text(tree, "LogDriver", text_of(log, "Type"));
    if (json_object_size(json_object_get(log, "Config")) > 0)
        json_object_set(tree, "LogOptions", json_object_get(log, "Config"));
}

json_t *agent_metadata_container(const AgentTask *task, const AgentContainer *c,
                                 const char *cluster, MetadataVersion version)
{
    json_auto_t *about = about_of(c);
    json_int_t cpu = json_integer_value(json_object_get(c->spec, "cpu"));
    json_int_t memory = json_integer_value(json_object_get(c->spec, "memory"));
    json_t *tree =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:I, s:I}}", "DockerId",
                  c->docker_id ? c->docker_id : "", "Name", c->name, "DockerName", c->docker_name,
                  "Image", c->image, "DesiredStatus", wanted(task), "KnownStatus",
                  container_state(c), "Type", c->internal ? "NAMESPACE_PAUSE" : "NORMAL", "Limits",
                  "CPU", MAX(cpu, CPU_MIN), "Memory", memory);

    set_text(tree, "ImageID", text_of(about, "Image"));
    set_list(tree, "Ports", ports(c, version));
    set_asked(tree, task, c, cluster, version);
    if (c->has_exit)
        json_object_set_new(tree, "ExitCode", json_integer(c->exit_code));
    set_text(tree, "CreatedAt", text_of(about, "Created"));
    set_time(tree, "StartedAt", c->started_us);
    set_time(tree, "FinishedAt", c->finished_us);
    set_list(tree, "Networks", networks(about));
    set_health(tree, c);
    set_list(tree, "Volumes", volumes(about));
    if (version == METADATA_V4 && c->restarts)
        json_object_set_new(tree, "RestartCount", json_integer(c->restart_count));
    if (version == METADATA_V4)
        set_text(tree, "ContainerARN", text_of(c->spec, "containerArn"));
    return tree;
}

/* A task's own sizes, when it has them. */
static void set_limits(json_t *tree, const AgentTask *task)
{
    json_t *cpu = json_object_get(task->payload, "cpu");
    json_t *memory = json_object_get(task->payload, "memory");
    json_t *limits = json_object();

    if (json_number_value(cpu) > 0)
        json_object_set(limits, "CPU", cpu);
    if (json_integer_value(memory) > 0)
        json_object_set(limits, "Memory", memory);
    if (json_object_size(limits) > 0)
        json_object_set(tree, "Limits", limits);
    json_decref(limits);
}

json_t *agent_metadata_task(const AgentTask *task, const char *cluster, MetadataVersion version)
{
    AgentAt least = version == METADATA_V4 ? AT_PULLED : AT_CREATED;
    json_t *containers = json_array();
    json_t *tree =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "Cluster", cluster, "TaskARN", task->arn,
                  "Family", task->family, "Revision", task->version, "DesiredStatus", wanted(task),
                  "KnownStatus", task_state(task), "Containers", containers);

    for (guint i = 0; i < task->containers->len; i++)
        if (agent_task_container(task, i)->at >= least)
            json_array_append_new(
                containers,
                agent_metadata_container(task, agent_task_container(task, i), cluster, version));
    set_limits(tree, task);
    set_time(tree, "PullStartedAt", task->pull_started_us);
    set_time(tree, "PullStoppedAt", task->pull_stopped_us);
    set_time(tree, "ExecutionStoppedAt", task->execution_stopped_us);
    if (version == METADATA_V4) {
        set_text(tree, "LaunchType", text_of(task->payload, "launchType"));
        set_text(tree, "ServiceName", text_of(task->payload, "serviceName"));
    }
    return tree;
}

json_t *agent_metadata_listed(const AgentTask *task)
{
    static const char *const states[] = {
        [TASK_PENDING] = "PENDING", [TASK_RUNNING] = "RUNNING", [TASK_STOPPED] = "STOPPED"
    };
    json_t *containers = json_array();

    for (guint i = 0; i < task->containers->len; i++) {
        const AgentContainer *c = agent_task_container(task, i);
        if (c->internal)
            continue;
        json_auto_t *about = about_of(c);
        json_t *entry = json_pack("{s:s, s:s, s:s}", "DockerId", c->docker_id ? c->docker_id : "",
                                  "DockerName", c->docker_name, "Name", c->name);
        set_list(entry, "Ports", ports(c, METADATA_V3));
        set_list(entry, "Networks", networks(about));
        set_list(entry, "Volumes", volumes(about));
        json_array_append_new(containers, entry);
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "Arn", task->arn, "DesiredStatus",
                     wanted(task), "KnownStatus", states[task->status], "Family", task->family,
                     "Version", task->version, "Containers", containers);
}

gboolean agent_metadata_has_address(const AgentContainer *c, const char *address)
{
    json_auto_t *about = about_of(c);
    const char *name;
    json_t *network;

    json_object_foreach(json_object_get(about, "Networks"), name,
                        network) if (strcmp(text_of(network, "IPAddress"), address) ==
                                     0) return TRUE;
    return FALSE;
}
