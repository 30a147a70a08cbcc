#include "agent/facts.h"
#include "base/id.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CPU_UNITS  1024
#define API_OLDEST 17
#define API_NEWEST 32

/* What this agent does; a task that needs more is not placed here. */
static const char *const capabilities[] = {
    "com.amazonaws.ecs.capability.privileged-container",
    "com.amazonaws.ecs.capability.logging-driver.json-file",
    "com.amazonaws.ecs.capability.logging-driver.none",
    "com.amazonaws.ecs.capability.logging-driver.syslog",
    "com.amazonaws.ecs.capability.logging-driver.journald",
    "com.amazonaws.ecs.capability.logging-driver.gelf",
    "com.amazonaws.ecs.capability.logging-driver.fluentd",
    "com.amazonaws.ecs.capability.task-iam-role",
    "com.amazonaws.ecs.capability.task-iam-role-network-host",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.container-restart-policy",
    "ecs.capability.docker-plugin.local",
    "ecs.capability.full-sync",
    "ecs.capability.network.container-port-range",
    "ecs.capability.pid-ipc-namespace-sharing",
    "ecs.capability.private-registry-authentication.secretsmanager",
    "ecs.capability.secrets.asm.environment-variables", /* the control plane opens them */
    "ecs.capability.secrets.ssm.environment-variables",
    "ecs.capability.task-cpu-mem-limit",
};

gint64 agent_facts_memory_mib(const char *meminfo)
{
    const char *line = strstr(meminfo, "MemTotal:");

    return line ? g_ascii_strtoll(line + strlen("MemTotal:"), NULL, 10) / 1024 : 0;
}

static void add_attribute(json_t *list, const char *name, const char *value)
{
    json_t *attribute = json_pack("{s:s}", "name", name);

    if (value)
        json_object_set_new(attribute, "value", json_string(value));
    json_array_append_new(list, attribute);
}

static json_t *attributes(const AgentConfig *config, gboolean first)
{
    json_t *list = json_array();
    json_auto_t *own = json_loads(config->attributes, 0, NULL);
    struct utsname kernel;
    const char *name;
    json_t *value;

    for (gsize i = 0; i < G_N_ELEMENTS(capabilities); i++)
        add_attribute(list, capabilities[i], NULL);
    for (guint minor = API_OLDEST; minor <= API_NEWEST; minor++) {
        g_autofree char *api =
            g_strdup_printf("com.amazonaws.ecs.capability.docker-remote-api.1.%u", minor);
        add_attribute(list, api, NULL);
    }
    add_attribute(list, "ecs.os-type", "linux");
    add_attribute(list, "ecs.os-family", "LINUX");
    if (uname(&kernel) == 0)
        add_attribute(list, "ecs.cpu-architecture",
                      strcmp(kernel.machine, "aarch64") == 0 ? "arm64" : kernel.machine);
    if (*config->s3_endpoint)
        add_attribute(list, "ecs.capability.env-files.s3", NULL);
    json_object_foreach(own, name, value) if (first)
        add_attribute(list, name, json_string_value(value));
    return list;
}

static json_t *integer_resource(const char *name, gint64 value)
{
    return json_pack("{s:s, s:s, s:I}", "name", name, "type", "INTEGER", "integerValue",
                     (json_int_t)value);
}

/* Port numbers as the strings the protocol wants. */
static json_t *ports_resource(const char *name, const char *ports)
{
    json_auto_t *numbers = json_loads(ports, 0, NULL);
    json_t *list = json_array();
    const json_t *number;
    gsize n;

    json_array_foreach(numbers, n, number)
    {
        g_autofree char *text =
            g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(number));
        json_array_append_new(list, json_string(text));
    }
    return json_pack("{s:s, s:s, s:o}", "name", name, "type", "STRINGSET", "stringSetValue", list);
}

static json_t *resources(const AgentConfig *config)
{
    g_autofree char *meminfo = NULL;
    gint64 memory_mib = 0;

    if (g_file_get_contents("/proc/meminfo", &meminfo, NULL, NULL))
        memory_mib = agent_facts_memory_mib(meminfo) - config->reserved_memory_mib;
    return json_pack("[o, o, o, o]",
                     integer_resource("CPU", sysconf(_SC_NPROCESSORS_ONLN) * CPU_UNITS),
                     integer_resource("MEMORY", MAX(memory_mib, 0)),
                     ports_resource("PORTS", config->reserved_ports),
                     ports_resource("PORTS_UDP", config->reserved_ports_udp));
}

/* The part of an instance identity document that is known here. Caller frees. */
static char *identity(const AgentConfig *config)
{
    json_auto_t *tree =
        json_pack("{s:s, s:s}", "instanceId", config->instance_id, "region", config->region);

    return *config->instance_id ? json_dumps(tree, JSON_COMPACT) : NULL;
}

json_t *agent_facts_registration(const AgentConfig *config, const AgentState *state,
                                 const char *cluster, const char *docker_version)
{
    g_autofree char *token = id_uuid();
    char *document = identity(config);
    json_t *body = json_pack("{s:s, s:o, s:o, s:s, s:s, s:s, s:{s:s, s:s, s:s}}", "cluster",
                             cluster, "attributes", attributes(config, state->arn == NULL),
                             "totalResources", resources(config), "instanceIdentityDocument",
                             document ? document : "", "instanceIdentityDocumentSignature", "",
                             "clientToken", token, "versionInfo", "agentVersion", BERTH_VERSION,
                             "agentHash", "berth", "dockerVersion", docker_version);

    free(document);
    if (state->arn)
        json_object_set_new(body, "containerInstanceArn", json_string(state->arn));
    return body;
}
