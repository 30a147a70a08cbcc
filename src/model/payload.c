#include "model/payload.h"
#include "model/ecs_arn.h"
#include "model/task_definition.h"

#include <string.h>

#define CPU_UNITS_PER_VCPU 1024.0
#define RESTART_PERIOD_S   300

/* What the agent takes under the definition's own name and form. */
static const char *const container_members[] = {
    "image",       "essential", "entryPoint",   "links",       "mountPoints",
    "volumesFrom", "dependsOn", "startTimeout", "stopTimeout", "environmentFiles",
};

static void copy_member(json_t *to, const json_t *from, const char *name)
{
    const json_t *value = json_object_get(from, name);

    if (value)
        json_object_set_new(to, name, json_deep_copy(value));
}

static const json_t *override_of(const PayloadTask *task, const char *name)
{
    const json_t *entry;
    size_t n;

    json_array_foreach(json_object_get(task->overrides, "containerOverrides"), n,
                       entry) if (g_strcmp0(tree_text(entry, "name"), name) == 0) return entry;
    return NULL;
}

static void add_environment(json_t *map, const json_t *list)
{
    const json_t *pair;
    size_t n;

    json_array_foreach(list, n, pair)
    {
        const char *name = tree_text(pair, "name"), *value = tree_text(pair, "value");
        if (name)
            json_object_set_new(map, name, json_string(value ? value : ""));
    }
}

/* The definition's variables, then the override's, as one map. */
static json_t *environment(const json_t *container, const json_t *override)
{
    json_t *map = json_pack("{s:s}", "AWS_EXECUTION_ENV", "AWS_ECS_EC2");

    add_environment(map, json_object_get(container, "environment"));
    add_environment(map, json_object_get(override, "environment"));
    return map;
}

static json_t *port_mappings(const json_t *container)
{
    static const char *const members[] = { "containerPort", "hostPort", "protocol",
                                           "containerPortRange" };
    json_t *list = json_array();
    const json_t *mapping;
    size_t n;

    json_array_foreach(json_object_get(container, "portMappings"), n, mapping)
    {
        json_t *entry = json_object();
        for (gsize i = 0; i < G_N_ELEMENTS(members); i++)
            copy_member(entry, mapping, members[i]);
        json_array_append_new(list, entry);
    }
    return list;
}

static void add_container_arn(json_t *out, const PayloadTask *task, const char *name)
{
    const char *uuid = tree_text(task->container_uuids, name);

    if (uuid)
        json_object_set_new(out, "containerArn",
                            json_sprintf("arn:aws:ecs:%s:%s:container/%s/%s/%s", task->region,
                                         task->account_id, task->cluster_name, task->task_id,
                                         uuid));
}

static gint64 overridden(const json_t *container, const json_t *override, const char *name)
{
    return tree_int(override, name, tree_int(container, name, 0));
}

/* The agent's decoder knows no default for the period. */
static void add_restart_policy(json_t *out, const json_t *container)
{
    json_t *policy = json_deep_copy(json_object_get(container, "restartPolicy"));

    if (!policy)
        return;
    if (!json_object_get(policy, "restartAttemptPeriod"))
        json_object_set_new(policy, "restartAttemptPeriod", json_integer(RESTART_PERIOD_S));
    json_object_set_new(out, "restartPolicy", policy);
}

/* A private registry's credentials are a secret that the agent reads in the execution role's name.
 */
static void add_registry(json_t *out, const PayloadTask *task, const json_t *container)
{
    const char *secret =
        tree_text(json_object_get(container, "repositoryCredentials"), "credentialsParameter");

    if (secret)
        json_object_set_new(out, "registryAuthentication",
                            json_pack("{s:s, s:{s:s, s:s}}", "type", "asm", "asmAuthData",
                                      "credentialsParameter", secret, "region", task->region));
}

static json_t *container_tree(const PayloadTask *task, const json_t *container)
{
    const char *name = tree_text(container, "name");
    const json_t *override = override_of(task, name);
    const json_t *command = json_object_get(override, "command");
    gint64 memory = overridden(container, override, "memory");
    json_t *out = json_pack("{s:s, s:I, s:I, s:s}", "name", name, "cpu",
                            (json_int_t)overridden(container, override, "cpu"), "memory",
                            (json_int_t)memory, "overrides", "{}");

    for (gsize i = 0; i < G_N_ELEMENTS(container_members); i++)
        copy_member(out, container, container_members[i]);
    copy_member(out, command ? override : container, "command");
    add_container_arn(out, task, name);
    add_registry(out, task, container);
    add_restart_policy(out, container);
    copy_member(out, override, "environmentFiles");
    json_object_set_new(out, "environment", environment(container, override));
    json_object_set_new(out, "portMappings", port_mappings(container));
    json_object_set_new(
        out, "dockerConfig",
        payload_docker_config(container, tree_text(task->definition, "networkMode"), memory,
                              overridden(container, override, "memoryReservation")));
    if (payload_checks_health(container))
        json_object_set_new(out, "healthCheckType", json_string("docker"));
    return out;
}

/* The type and the object it names must both be there. */
static json_t *volume_tree(const json_t *volume)
{
    static const struct {
        const char *member;
        const char *type;
    } kinds[] = {
        { "dockerVolumeConfiguration", "docker" },
        { "efsVolumeConfiguration", "efs" },
        { "fsxWindowsFileServerVolumeConfiguration", "fsxWindowsFileServer" },
    };
    json_t *out = json_pack("{s:s*}", "name", tree_text(volume, "name"));

    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!json_object_get(volume, kinds[i].member))
            continue;
        json_object_set_new(out, "type", json_string(kinds[i].type));
        copy_member(out, volume, kinds[i].member);
        return out;
    }
    const json_t *host = json_object_get(volume, "host");
    json_object_set_new(out, "type", json_string("host"));
    json_object_set_new(out, "host", host ? json_deep_copy(host) : json_object());
    return out;
}

static json_t *mapped(const json_t *list, json_t *(*map)(const json_t *))
{
    json_t *out = json_array();
    const json_t *element;
    size_t n;

    json_array_foreach(list, n, element) json_array_append_new(out, map(element));
    return out;
}

static json_t *containers_tree(const PayloadTask *task)
{
    json_t *out = json_array();
    const json_t *container;
    size_t n;

    json_array_foreach(json_object_get(task->definition, "containerDefinitions"), n, container)
        json_array_append_new(out, container_tree(task, container));
    return out;
}

/* Sizes of the task are decimal text, in a definition and in overrides alike. 0: none. */
static gint64 task_size(const PayloadTask *task, const char *name)
{
    const char *text = tree_text(task->overrides, name);

    if (!text)
        text = tree_text(task->definition, name);
    return text ? g_ascii_strtoll(text, NULL, 10) : 0;
}

static void add_task_sizes(json_t *out, const PayloadTask *task)
{
    gint64 cpu = task_size(task, "cpu"), memory = task_size(task, "memory");

    if (cpu)
        json_object_set_new(out, "cpu", json_real((double)cpu / CPU_UNITS_PER_VCPU));
    if (memory)
        json_object_set_new(out, "memory", json_integer(memory));
}

static void add_running(json_t *out, const PayloadTask *task)
{
    static const char *const members[] = { "networkMode", "pidMode", "ipcMode" };

    json_object_set_new(out, "family", json_string(task->family));
    json_object_set_new(out, "version", json_sprintf("%" G_GINT64_FORMAT, task->revision));
    json_object_set_new(out, "taskDefinitionAccountId", json_string(task->account_id));
    json_object_set_new(out, "overrides", json_string("{}"));
    json_object_set_new(out, "launchType", json_string(task->launch_type));
    json_object_set_new(out, "group", json_string(task->task_group));
    if (task->service_name)
        json_object_set_new(out, "serviceName", json_string(task->service_name));
    for (gsize i = 0; i < G_N_ELEMENTS(members); i++)
        copy_member(out, task->definition, members[i]);
    add_task_sizes(out, task);
    if (task->role_credentials)
        json_object_set(out, "roleCredentials", task->role_credentials);
    if (task->execution_credentials)
        json_object_set(out, "executionRoleCredentials", task->execution_credentials);
    json_object_set_new(out, "volumes",
                        mapped(json_object_get(task->definition, "volumes"), volume_tree));
    json_object_set_new(out, "containers", containers_tree(task));
}

json_t *payload_task(const PayloadTask *task)
{
    g_autofree char *arn = ecs_arn_in_cluster(task->region, task->account_id, "task",
                                              task->cluster_name, task->task_id);
    g_autofree char *cluster = ecs_arn_cluster(task->region, task->account_id, task->cluster_name);
    json_t *out = json_pack("{s:s, s:s, s:s}", "arn", arn, "desiredStatus", task->desired_status,
                            "taskClusterArn", cluster);

    if (strcmp(task->desired_status, "RUNNING") == 0)
        add_running(out, task);
    return out;
}

json_t *payload_message(const char *message_id, gint64 sequence, const char *cluster_arn,
                        const char *container_instance_arn, gint64 now_us, json_t *task)
{
    return json_pack("{s:s, s:{s:s, s:s, s:s, s:I, s:I, s:[o]}}", "type", "PayloadMessage",
                     "message", "messageId", message_id, "clusterArn", cluster_arn,
                     "containerInstanceArn", container_instance_arn, "generatedAt",
                     (json_int_t)(now_us / 1000), "seqNum", (json_int_t)sequence, "tasks", task);
}
