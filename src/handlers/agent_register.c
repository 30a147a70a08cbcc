/* Container instances as their agents make them: register, deregister, where to connect. */
#include "base/errors.h"
#include "base/id.h"
#include "base/signer.h"
#include "handlers/agent_self.h"
#include "handlers/ecs_common.h"
#include "handlers/table.h"
#include "store/agents.h"
#include "store/container_instances.h"
#include "store/ecs_tags.h"
#include "store/region_secrets.h"

#include <string.h>

#define ATTRIBUTES_MAX 500
#define PORT_MAX       65535
#define HTTPS_PORT     443

static const char *const register_refused[] = { "platformDevices", NULL };

/* -- what the request says */

typedef struct {
    AgentClaims facts;
    GArray *ports_tcp;
    GArray *ports_udp;
    json_t *attributes;
} Registration;

static void registration_clear(Registration *r)
{
    if (r->ports_tcp)
        g_array_unref(r->ports_tcp);
    if (r->ports_udp)
        g_array_unref(r->ports_udp);
    json_decref(r->attributes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Registration, registration_clear)

static gboolean read_ports(const json_t *resource, GArray *ports, GError **error)
{
    const json_t *text;
    size_t n;

    json_array_foreach(json_object_get(resource, "stringSetValue"), n, text)
    {
        guint64 port = 0;
        if (!g_ascii_string_to_unsigned(json_string_value(text), 10, 1, PORT_MAX, &port, NULL))
            return fail(error, INVALID_PARAMETER, "\"%s\" is not a port", json_string_value(text));
        gint64 value = (gint64)port;
        g_array_append_val(ports, value);
    }
    return TRUE;
}

static gboolean read_amount(const json_t *resource, gint64 *ret_amount, GError **error)
{
    *ret_amount = tree_int(resource, "integerValue", -1);
    if (*ret_amount < 0 || *ret_amount > G_MAXINT32)
        return fail(error, INVALID_PARAMETER, "resource \"%s\" has no valid integerValue",
                    tree_text(resource, "name"));
    return TRUE;
}

static gboolean read_resource(Registration *r, const json_t *resource, GError **error)
{
    const char *name = tree_text(resource, "name");

    if (g_strcmp0(name, "CPU") == 0)
        return read_amount(resource, &r->facts.cpu, error);
    if (g_strcmp0(name, "MEMORY") == 0)
        return read_amount(resource, &r->facts.memory_mib, error);
    if (g_strcmp0(name, "PORTS") == 0)
        return read_ports(resource, r->ports_tcp, error);
    if (g_strcmp0(name, "PORTS_UDP") == 0)
        return read_ports(resource, r->ports_udp, error);
    return TRUE; /* NEURON_CORES, GPU: nothing here can ask for them */
}

static gboolean read_resources(const Request *rq, Registration *r, GError **error)
{
    const json_t *resource;
    size_t n;

    r->facts.cpu = r->facts.memory_mib = -1;
    r->facts.ports_tcp = r->ports_tcp = g_array_new(FALSE, FALSE, sizeof(gint64));
    r->facts.ports_udp = r->ports_udp = g_array_new(FALSE, FALSE, sizeof(gint64));
    json_array_foreach(request_member(rq, "totalResources"), n,
                       resource) if (!read_resource(r, resource, error)) return FALSE;
    if (r->facts.cpu < 0 || r->facts.memory_mib < 0)
        return fail(error, INVALID_PARAMETER, "totalResources must name CPU and MEMORY");
    return TRUE;
}

/* -- attributes: the service's own, then the agent's, then what a person put on the instance */

static gboolean has_attribute(const json_t *list, const char *name)
{
    const json_t *attribute;
    size_t n;

    json_array_foreach(list, n, attribute) if (g_strcmp0(tree_text(attribute, "name"), name) ==
                                               0) return TRUE;
    return FALSE;
}

static void add_attribute(json_t *list, const char *name, const char *value)
{
    if (value && !has_attribute(list, name))
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "value", value));
}

/* What is known of an instance here is not its agent's to say. */
static void put_attribute(json_t *list, const char *name, const char *value)
{
    for (size_t n = json_array_size(list); n > 0; n--)
        if (g_strcmp0(tree_text(json_array_get(list, n - 1), "name"), name) == 0)
            json_array_remove(list, n - 1);
    add_attribute(list, name, value);
}

/* An agent says its capabilities each time, and custom attributes only the first time. */
static gboolean is_capability(const char *name)
{
    return g_str_has_prefix(name, "ecs.") || g_str_has_prefix(name, "com.amazonaws.ecs.");
}

static void keep_custom_attributes(json_t *list, const json_t *known)
{
    json_t *attribute;
    size_t n;

    json_array_foreach(known, n, attribute)
    {
        const char *name = tree_text(attribute, "name");
        if (name && !is_capability(name) && !has_attribute(list, name))
            json_array_append(list, attribute);
    }
}

static gboolean check_attribute(const json_t *attribute, GError **error)
{
    const char *name = tree_text(attribute, "name"), *value = tree_text(attribute, "value");

    if (!name || !*name || strlen(name) > 128 || (value && strlen(value) > 128))
        return fail(error, INVALID_PARAMETER,
                    "attribute \"%s\": name and value have 1 to 128 characters", name ? name : "");
    return TRUE;
}

static gboolean read_attributes(const Request *rq, Registration *r, GError **error)
{
    const json_t *sent = request_member(rq, "attributes");
    const json_t *attribute;
    size_t n;

    if (json_array_size(sent) > ATTRIBUTES_MAX)
        return fail(error, INVALID_PARAMETER, "more than %d attributes", ATTRIBUTES_MAX);
    json_array_foreach(sent, n, attribute) if (!check_attribute(attribute, error)) return FALSE;
    r->facts.attributes = r->attributes = sent ? json_deep_copy(sent) : json_array();
    return TRUE;
}

static gboolean registration_read(const Request *rq, Registration *r, GError **error)
{
    const json_t *versions = request_member(rq, "versionInfo");

    r->facts.agent_version = tree_text(versions, "agentVersion");
    r->facts.agent_hash = tree_text(versions, "agentHash");
    r->facts.docker_version = tree_text(versions, "dockerVersion");
    return ecs_refuse(rq, register_refused, error) &&
           ecs_tags_check(request_member(rq, "tags"), error) && read_resources(rq, r, error) &&
           read_attributes(rq, r, error);
}

/* -- which machine, which row */

/* The instance of the identity document that came along, signed with the region's key, for a caller
 * of its account; caller frees. NULL without an error when there is none. */
static char *document_instance(Request *rq, GError **error)
{
    const char *text = request_text(rq, "instanceIdentityDocument");
    const char *signature = request_text(rq, "instanceIdentityDocumentSignature");
    g_autofree char *sealed = NULL, *certificate = NULL;
    gboolean found = FALSE;

    if (!text || !*text || !signature || !*signature)
        return NULL;
    if (!region_secrets_get(rq->tx, REGION_SECRET_IDENTITY, &found, &sealed, &certificate, error))
        return NULL;
    json_auto_t *tree = json_loads(text, 0, NULL);
    const char *instance = tree_text(tree, "instanceId");
    if (!found || !signer_verify(certificate, text, signature) || !instance ||
        g_strcmp0(tree_text(tree, "accountId"), rq->account_id) != 0)
        return fail_null(error, ECS_CLIENT,
                         "the instance identity document is not signed by this region, or not of "
                         "this account");
    return g_strdup(instance);
}

/* The instance that the caller's credentials were made for, or whose signed document came along;
 * NULL (no error) for other callers. */
static AgentMachine *caller_machine(Request *rq, GError **error)
{
    GError *cause = NULL;
    g_autofree char *subject =
        agent_is_caller(rq) ? g_strdup(rq->identity->subject) : document_instance(rq, &cause);

    if (cause) {
        g_propagate_error(error, cause);
        return NULL;
    }
    if (!agent_is_caller(rq) && !subject)
        return NULL;
    AgentMachine *machine =
        subject ? agents_machine(rq->tx, rq->account_id, subject, &cause) : NULL;
    if (!machine && !cause)
        cause = g_error_new(
            BERTH_ERROR, ERROR_ECS_CLIENT,
            "instance \"%s\", for which these credentials or document were made, does not "
            "run",
            subject ? subject : "");
    if (cause)
        g_propagate_error(error, cause);
    return machine;
}

/* The row this agent had: by the ARN it remembers, else by its instance. NULL without error: new.
 */
static AgentRow *known_row(Request *rq, const AgentMachine *machine, GError **error)
{
    const char *arn = request_text(rq, "containerInstanceArn");

    if (arn) {
        const char *slash = strrchr(arn, '/');
        GError *cause = NULL;
        AgentRow *row = agents_find(rq->tx, rq->account_id, slash ? slash + 1 : arn, &cause);
        if (row)
            return row;
        if (cause) {
            g_propagate_error(error, cause);
            return NULL;
        }
        return fail_null(error, ECS_CLIENT, "container instance \"%s\" does not exist", arn);
    }
    return machine ? agents_find_by_ec2(rq->tx, rq->account_id, machine->instance_id, error) : NULL;
}

static gboolean same_type(const AgentRow *row, const AgentMachine *machine, GError **error)
{
    const json_t *attribute;
    size_t n;

    json_array_foreach(row->attributes, n, attribute)
    {
        const char *before = tree_text(attribute, "value");
        if (!machine || g_strcmp0(tree_text(attribute, "name"), "ecs.instance-type") != 0 ||
            g_strcmp0(before, machine->instance_type) == 0)
            continue;
        return fail(error, ECS_CLIENT,
                    "Container instance type changes are not supported. Container instance %s was "
                    "previously registered as %s",
                    row->container_instance_id, before);
    }
    return TRUE;
}

/* An agent that does not name its container instance has lost its state (or is another one, of the
 * same machine): it knows of no task that was placed there, and will never report one. */
static gboolean end_unknown_tasks(Request *rq, const AgentRow *row, GError **error)
{
    if (request_text(rq, "containerInstanceArn") || row->live_tasks == 0)
        return TRUE;
    return container_instances_stop_tasks(
        rq->tx, row->ci_id, "TerminationNotice",
        "The agent registered anew and does not know its tasks any more.", error);
}

static gboolean update_row(Request *rq, const AgentRow *row, const Cluster *cluster,
                           const AgentMachine *machine, Registration *r, GError **error)
{
    if (row->cluster_id != cluster->id)
        return fail(error, INVALID_PARAMETER,
                    "container instance %s is registered in cluster \"%s\": deregister it there "
                    "first",
                    row->container_instance_id, row->cluster_name);
    if (!same_type(row, machine, error))
        return FALSE;
    keep_custom_attributes(r->attributes, row->attributes);
    return end_unknown_tasks(rq, row, error) && agents_update(rq->tx, row->ci_id, &r->facts, error);
}

/* Inserts or updates; *ret_id is the row's id in ARNs. */
static gboolean settle_row(Request *rq, const Cluster *cluster, const AgentMachine *machine,
                           const char *zone, Registration *r, char **ret_id, GError **error)
{
    GError *cause = NULL;
    g_autoptr(AgentRow) row = known_row(rq, machine, &cause);

    if (cause) {
        g_propagate_error(error, cause);
        return FALSE;
    }
    if (row) {
        *ret_id = g_strdup(row->container_instance_id);
        return update_row(rq, row, cluster, machine, r, error);
    }
    *ret_id = id_hex32();
    return agents_insert(rq->tx, rq->account_id, cluster->id, *ret_id,
                         machine ? machine->instance_id : NULL, zone, &r->facts, error);
}

static void add_own_attributes(json_t *attributes, const AgentMachine *machine, const char *zone)
{
    add_attribute(attributes, "ecs.os-type", "linux");
    put_attribute(attributes, "ecs.availability-zone", zone);
    if (!machine)
        return;
    put_attribute(attributes, "ecs.instance-type", machine->instance_type);
    put_attribute(attributes, "ecs.ami-id", machine->image_id);
    put_attribute(attributes, "ecs.subnet-id", machine->vpc_subnet_id);
}

/* -- answers */

static json_t *amount(const char *name, gint64 value)
{
    return json_pack("{s:s, s:s, s:f, s:I, s:I}", "name", name, "type", "INTEGER", "doubleValue",
                     0.0, "longValue", (json_int_t)0, "integerValue", (json_int_t)value);
}

static json_t *port_set(const char *name, const GArray *ports)
{
    json_t *set = json_array();

    for (guint i = 0; i < ports->len; i++)
        json_array_append_new(set,
                              json_sprintf("%" G_GINT64_FORMAT, g_array_index(ports, gint64, i)));
    return json_pack("{s:s, s:s, s:f, s:I, s:I, s:o}", "name", name, "type", "STRINGSET",
                     "doubleValue", 0.0, "longValue", (json_int_t)0, "integerValue", (json_int_t)0,
                     "stringSetValue", set);
}

static json_t *resources_json(const AgentClaims *facts)
{
    return json_pack("[o, o, o, o]", amount("CPU", facts->cpu), amount("MEMORY", facts->memory_mib),
                     port_set("PORTS", facts->ports_tcp), port_set("PORTS_UDP", facts->ports_udp));
}

static json_t *versions_json(const AgentClaims *facts)
{
    return json_pack("{s:s*, s:s*, s:s*}", "agentVersion", facts->agent_version, "agentHash",
                     facts->agent_hash, "dockerVersion", facts->docker_version);
}

static json_t *registered_json(const Request *rq, const char *arn, const AgentMachine *machine,
                               const Registration *r)
{
    const json_t *tags = request_member(rq, "tags");

    return json_pack("{s:{s:s, s:s*, s:s, s:b, s:I, s:I, s:I, s:O, s:o, s:o, s:o, s:I, s:[], s:o}}",
                     "containerInstance", "containerInstanceArn", arn, "ec2InstanceId",
                     machine ? machine->instance_id : NULL, "status", "ACTIVE", "agentConnected",
                     FALSE, "runningTasksCount", (json_int_t)0, "pendingTasksCount", (json_int_t)0,
                     "version", (json_int_t)1, "attributes", r->attributes, "registeredResources",
                     resources_json(&r->facts), "remainingResources", resources_json(&r->facts),
                     "versionInfo", versions_json(&r->facts), "registeredAt",
                     (json_int_t)rq->now_us, "attachments", "tags",
                     tags ? json_deep_copy(tags) : json_array());
}

static gboolean wake_registered(Request *rq, const Cluster *cluster, const AgentMachine *machine,
                                GError **error)
{
    return db_wake(rq->tx, "cluster", db_int(rq->tx, cluster->id), error) &&
           (!machine || db_wake(rq->tx, "bootstrap", machine->instance_id, error));
}

/* The agent's start: the row is the same each time, found by its ARN or its instance. */
json_t *register_container_instance(Request *rq, GError **error)
{
    g_auto(Registration) r = { 0 };
    GError *cause = NULL;
    g_autofree char *id = NULL;

    if (!registration_read(rq, &r, error))
        return NULL;
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);
    if (!cluster)
        return NULL;
    g_autoptr(AgentMachine) machine = caller_machine(rq, &cause);
    g_autofree char *zone = cause     ? NULL
                            : machine ? g_strdup(machine->zone_name)
                                      : agents_any_zone(rq->tx, &cause);
    if (cause) {
        g_propagate_error(error, cause);
        return NULL;
    }
    if (!zone)
        return fail_null(error, ECS_CLIENT, "this region has no availability zone");
    add_own_attributes(r.attributes, machine, zone);
    if (!settle_row(rq, cluster, machine, zone, &r, &id, error))
        return NULL;
    g_autofree char *arn = ecs_arn(rq, "container-instance", cluster->name, id);
    if (request_member(rq, "tags") &&
        !ecs_tags_put(rq->tx, rq->account_id, "ecs:container-instance", (const char *[]){ arn }, 1,
                      request_member(rq, "tags"), error))
        return NULL;
    if (!wake_registered(rq, cluster, machine, error))
        return NULL;
    return registered_json(rq, arn, machine, &r);
}

/* No agent any more: what ran there is given up when the caller insists. */
json_t *deregister_container_instance(Request *rq, GError **error)
{
    g_autoptr(Cluster) cluster = ecs_cluster(rq, CLUSTER_READ, error);
    GError *cause = NULL;

    if (!cluster)
        return NULL;
    g_autofree char *id = ecs_ref_in_cluster(rq->region, rq->account_id, "container-instance",
                                             cluster->name, request_text(rq, "containerInstance"));
    g_autoptr(AgentRow) row = id ? agents_find(rq->tx, rq->account_id, id, &cause) : NULL;
    if (cause) {
        g_propagate_error(error, cause);
        return NULL;
    }
    if (!row || row->cluster_id != cluster->id || strcmp(row->status, "INACTIVE") == 0)
        return fail_null(error, INVALID_PARAMETER, "Referenced container instance %s not found.",
                         request_text(rq, "containerInstance"));
    if (row->live_tasks > 0 && !request_bool(rq, "force", FALSE))
        return fail_null(error, INVALID_PARAMETER, "Found running tasks on the instance.");
    if (!container_instances_end(rq->tx, row->ci_id, NULL, "UserInitiated",
                                 "Container instance deregistration forced by user.", error))
        return NULL;
    g_autofree char *arn = ecs_arn(rq, "container-instance", cluster->name, id);
    return json_pack("{s:{s:s, s:s*, s:s, s:b, s:I, s:I, s:O, s:[], s:[]}}", "containerInstance",
                     "containerInstanceArn", arn, "ec2InstanceId", row->ec2_instance_id, "status",
                     "INACTIVE", "agentConnected", FALSE, "runningTasksCount", (json_int_t)0,
                     "pendingTasksCount", (json_int_t)0, "attributes", row->attributes,
                     "attachments", "tags");
}

/* An address of the channels' listener. A stock agent takes the port of a URL into the name that it
 * looks for in the certificate: the port that https has by itself is left out. */
static json_t *channel_url(const Config *config, const char *channel)
{
    if (config->channel_port == HTTPS_PORT)
        return json_sprintf("https://%s/%s/", config->advertise, channel);
    return json_sprintf("https://%s:%u/%s/", config->advertise, config->channel_port, channel);
}

/* Where the agent's two channels go. It keeps the answer for hours: the address must not move. */
json_t *discover_poll_endpoint(Request *rq, GError **error G_GNUC_UNUSED)
{
    const Config *config = rq->context->config;

    return json_pack("{s:o, s:o}", "endpoint", channel_url(config, "acs"), "telemetryEndpoint",
                     channel_url(config, "tcs"));
}
