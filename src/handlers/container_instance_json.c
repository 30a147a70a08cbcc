#include "handlers/container_instances.h"

#include <string.h>

static json_t *amount(const char *name, gint64 value)
{
    return json_pack("{s:s,s:s,s:f,s:I,s:I}", "name", name, "type", "INTEGER", "doubleValue", 0.0,
                     "longValue", (json_int_t)0, "integerValue", (json_int_t)value);
}

static void add_ports(json_t *list, const GArray *ports)
{
    for (guint n = 0; ports && n < ports->len; n++) {
        char text[24];
        g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, g_array_index(ports, gint64, n));
        json_array_append_new(list, json_string(text));
    }
}

static json_t *port_set(const char *name, const GArray *reserved, const GArray *held)
{
    json_t *list = json_array();

    add_ports(list, reserved);
    add_ports(list, held);
    return json_pack("{s:s,s:s,s:f,s:I,s:I,s:o}", "name", name, "type", "STRINGSET", "doubleValue",
                     0.0, "longValue", (json_int_t)0, "integerValue", (json_int_t)0,
                     "stringSetValue", list);
}

static json_t *version_json(const ContainerInstance *i)
{
    json_t *tree = json_object();

    if (i->agent_version)
        json_object_set_new(tree, "agentVersion", json_string(i->agent_version));
    if (i->agent_hash)
        json_object_set_new(tree, "agentHash", json_string(i->agent_hash));
    if (i->docker_version)
        json_object_set_new(tree, "dockerVersion", json_string(i->docker_version));
    return tree;
}

json_t *container_instance_json(const Request *rq, const char *cluster_name,
                                const ContainerInstance *i, json_t *tags)
{
    g_autofree char *arn = ecs_arn(rq, "container-instance", cluster_name, i->name);
    json_t *registered =
        json_pack("[o,o,o,o]", amount("CPU", i->cpu), amount("MEMORY", i->memory_mib),
                  port_set("PORTS", i->ports_tcp, NULL), port_set("PORTS_UDP", i->ports_udp, NULL));
    json_t *remaining = json_pack("[o,o,o,o]", amount("CPU", i->cpu - i->cpu_held),
                                  amount("MEMORY", i->memory_mib - i->memory_held_mib),
                                  port_set("PORTS", i->ports_tcp, i->tcp_held),
                                  port_set("PORTS_UDP", i->ports_udp, i->udp_held));
    json_t *tree = json_pack(
        "{s:s,s:s,s:b,s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:O,s:[],s:o}", "containerInstanceArn", arn,
        "status", i->status, "agentConnected", i->connected, "runningTasksCount",
        (json_int_t)i->running_tasks, "pendingTasksCount", (json_int_t)i->pending_tasks, "version",
        (json_int_t)i->version, "registeredAt", (json_int_t)i->registered_us, "versionInfo",
        version_json(i), "registeredResources", registered, "remainingResources", remaining,
        "attributes", i->attributes, "attachments", "tags", tags);

    if (i->ec2_instance_id)
        json_object_set_new(tree, "ec2InstanceId", json_string(i->ec2_instance_id));
    if (i->status_reason)
        json_object_set_new(tree, "statusReason", json_string(i->status_reason));
    return tree;
}
