/* DescribeInstanceAttribute, ModifyInstanceAttribute, GetConsoleOutput. */
#include "handlers/ec2_common.h"
#include "handlers/instance_json.h"
#include "handlers/launch.h"
#include "handlers/table.h"
#include "base/errors.h"
#include "store/console.h"
#include "store/hosts.h"
#include "store/instances.h"

#include <string.h>

#define CONSOLE_WAIT_MS 3000 /* a step that is at work on the instance is over by then */
#define CONSOLE_POLL_MS 50

/* The one instance that the request names. */
static Instance *instance_asked(Request *rq, gboolean lock, GError **error)
{
    const char *ids[] = { request_text(rq, "InstanceId"), NULL };

    if (!ids[0]) {
        ec2_missing("InstanceId", error);
        return NULL;
    }
    if (!ec2_check_instance_ids(ids, error))
        return NULL;
    g_autoptr(GPtrArray) list = instances_get(rq->tx, rq->account_id, ids, lock, error);
    return list ? g_ptr_array_steal_index(list, 0) : NULL;
}

static json_t *text_value(const char *text)
{
    return text ? json_pack("{s:s}", "Value", text) : json_object();
}

static json_t *user_data_json(Request *rq, const Instance *i, GError **error)
{
    g_autoptr(GBytes) data = NULL;

    if (!instances_user_data(rq->tx, i->id, &data, error))
        return NULL;
    g_autofree char *text =
        data ? g_base64_encode(g_bytes_get_data(data, NULL), g_bytes_get_size(data)) : NULL;
    return text_value(text);
}

/* Attributes that are a member of what DescribeInstances shows. */
static json_t *shown_json(Request *rq, const Instance *i, const char *member, GError **error)
{
    g_autoptr(DefaultNetwork) net = ec2_network(rq, error);
    g_autoptr(GHashTable) none = g_hash_table_new(g_str_hash, g_str_equal);

    if (!net)
        return NULL;
    json_auto_t *item = instance_json(rq, i, net, none);
    return json_incref(json_object_get(item, member));
}

static json_t *flag(gboolean on)
{
    return json_pack("{s:b}", "Value", (int)on);
}

static json_t *attribute_json(Request *rq, const Instance *i, const char *name,
                              const char **ret_member, GError **error)
{
    static const struct {
        const char *name, *member;
    } members[] = {
        { "blockDeviceMapping", "BlockDeviceMappings" },
        { "disableApiTermination", "DisableApiTermination" },
        { "ebsOptimized", "EbsOptimized" },
        { "enaSupport", "EnaSupport" },
        { "groupSet", "Groups" },
        { "instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior" },
        { "instanceType", "InstanceType" },
        { "productCodes", "ProductCodes" },
        { "rootDeviceName", "RootDeviceName" },
        { "sourceDestCheck", "SourceDestCheck" },
        { "userData", "UserData" },
    };
    gsize n = 0;

    while (n < G_N_ELEMENTS(members) && g_strcmp0(members[n].name, name) != 0)
        n++;
    if (n == G_N_ELEMENTS(members))
        return fail_null(error, INVALID_PARAMETER,
                         "Value (%s) for parameter attribute is invalid. Unknown attribute.",
                         name ? name : "");
    const char *member = *ret_member = members[n].member;
    if (strcmp(name, "blockDeviceMapping") == 0 || strcmp(name, "productCodes") == 0)
        return shown_json(rq, i, member, error);
    if (strcmp(name, "groupSet") == 0)
        return shown_json(rq, i, "SecurityGroups", error);
    if (strcmp(name, "userData") == 0)
        return user_data_json(rq, i, error);
    if (strcmp(name, "instanceType") == 0)
        return text_value(i->instance_type);
    if (strcmp(name, "rootDeviceName") == 0)
        return text_value(i->root_device_name);
    if (strcmp(name, "instanceInitiatedShutdownBehavior") == 0)
        return text_value(i->shutdown_terminates ? "terminate" : "stop");
    if (strcmp(name, "disableApiTermination") == 0)
        return flag(i->disable_api_termination);
    if (strcmp(name, "ebsOptimized") != 0)
        return flag(TRUE);
    json_t *shown = shown_json(rq, i, member, error);
    return shown ? json_pack("{s:o}", "Value", shown) : NULL;
}

json_t *describe_instance_attribute(Request *rq, GError **error)
{
    const char *member = NULL;
    g_autoptr(Instance) i =
        EC2_ONLY(rq, error, "InstanceId", "Attribute") ? instance_asked(rq, FALSE, error) : NULL;
    json_t *value = i ? attribute_json(rq, i, request_text(rq, "Attribute"), &member, error) : NULL;

    return value ? json_pack("{s:s, s:o}", "InstanceId", i->id, member, value) : NULL;
}

/* -- modify */

static gboolean only_stopped(const Instance *i, GError **error)
{
    if (instance_state(i) != INSTANCE_STOPPED)
        return fail(error, INCORRECT_INSTANCE_STATE,
                    "The instance '%s' is not in the 'stopped' state.", i->id);
    return TRUE;
}

static gboolean set_protection(Request *rq, const Instance *i, const char *value, GError **error)
{
    return instances_set_protection(rq->tx, i->id, g_ascii_strcasecmp(value, "true") == 0, error);
}

static gboolean set_shutdown(Request *rq, const Instance *i, const char *value, GError **error)
{
    if (strcmp(value, "stop") != 0 && strcmp(value, "terminate") != 0)
        return fail(error, INVALID_PARAMETER,
                    "Value (%s) for parameter instanceInitiatedShutdownBehavior is invalid.",
                    value);
    return instances_set_shutdown(rq->tx, i->id, strcmp(value, "terminate") == 0, error);
}

static gboolean set_type(Request *rq, const Instance *i, const char *value, GError **error)
{
    if (!only_stopped(i, error))
        return FALSE;
    g_autoptr(InstanceType) type = launch_type(rq, value, error);
    if (!type)
        return FALSE;
    if (strcmp(type->architecture, i->architecture) != 0)
        return fail(error, INVALID_PARAMETER,
                    "The architecture '%s' of the specified instance type does not match the"
                    " architecture '%s' of the instance's AMI.",
                    type->architecture, i->architecture);
    return instances_set_type(rq->tx, i->id, type->name, type->vcpus, type->memory_mib, error);
}

static gboolean set_user_data(Request *rq, const Instance *i, const char *value, GError **error)
{
    if (!only_stopped(i, error))
        return FALSE;
    if (!*value)
        return instances_set_user_data(rq->tx, i->id, NULL, error);
    g_autoptr(GBytes) data = launch_user_data(value, error);
    return data &&
           instances_set_user_data(
               rq->tx, i->id,
               db_bytes(rq->tx, g_bytes_get_data(data, NULL), g_bytes_get_size(data)), error);
}

static const struct {
    const char *member;    /* of the request: {Value} */
    const char *attribute; /* the old form's name */
    gboolean (*set)(Request *rq, const Instance *i, const char *value, GError **error);
} settable[] = {
    { "DisableApiTermination", "disableApiTermination", set_protection },
    { "InstanceInitiatedShutdownBehavior", "instanceInitiatedShutdownBehavior", set_shutdown },
    { "InstanceType", "instanceType", set_type },
    { "UserData", "userData", set_user_data },
};

/* The value of a member {Value}, which is text, boolean or blob; NULL when it is absent. */
static const char *value_of(const Request *rq, const char *member)
{
    const json_t *value = json_object_get(request_member(rq, member), "Value");

    if (json_is_boolean(value))
        return json_is_true(value) ? "true" : "false";
    return json_string_value(value);
}

json_t *modify_instance_attribute(Request *rq, GError **error)
{
    const char *attribute = request_text(rq, "Attribute");
    gboolean done = FALSE;
    g_autoptr(Instance) i =
        EC2_ONLY(rq, error, "InstanceId", "Attribute", "Value", "DisableApiTermination",
                 "InstanceInitiatedShutdownBehavior", "InstanceType", "UserData")
            ? instance_asked(rq, TRUE, error)
            : NULL;

    if (!i)
        return NULL;
    for (gsize n = 0; n < G_N_ELEMENTS(settable); n++) {
        gboolean old = g_strcmp0(attribute, settable[n].attribute) == 0;
        const char *value = old ? request_text(rq, "Value") : value_of(rq, settable[n].member);
        if (value && !settable[n].set(rq, i, value, error))
            return NULL;
        done = done || value;
    }
    if (!done)
        return fail_null(error, UNSUPPORTED, "The attribute '%s' cannot be modified here",
                         attribute ? attribute : "that is asked for");
    return json_object();
}

static gboolean hop_limit_good(const Request *rq, GError **error)
{
    gint64 limit = request_int(rq, "HttpPutResponseHopLimit", 1);

    if (limit < 1 || limit > 64)
        return fail(error, INVALID_PARAMETER,
                    "Value (%" G_GINT64_FORMAT ") for parameter HttpPutResponseHopLimit is invalid."
                    " Expecting a value between 1 and 64.",
                    limit);
    return TRUE;
}

json_t *modify_instance_metadata_options(Request *rq, GError **error)
{
    static const char *const kept[] = { "HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint",
                                        "InstanceMetadataTags" };
    g_autoptr(Instance) i =
        EC2_ONLY(rq, error, "InstanceId", "HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint",
                 "InstanceMetadataTags") &&
                hop_limit_good(rq, error)
            ? instance_asked(rq, TRUE, error)
            : NULL;

    if (!i)
        return NULL;
    json_auto_t *details = i->details ? json_loads(i->details, 0, NULL) : NULL;
    if (!details)
        details = json_object();
    if (!json_object_get(details, "MetadataOptions"))
        json_object_set_new(details, "MetadataOptions", json_object());
    for (gsize n = 0; n < G_N_ELEMENTS(kept); n++) {
        const json_t *value = request_member(rq, kept[n]);
        if (value)
            json_object_set(json_object_get(details, "MetadataOptions"), kept[n], (json_t *)value);
    }
    char *text = json_dumps(details, JSON_COMPACT);
    gboolean done = instances_set_details(rq->tx, i->id, text, error);
    free(text);
    if (!done)
        return NULL;
    return json_pack("{s:s, s:o}", "InstanceId", i->id, "InstanceMetadataOptions",
                     metadata_options_json(details));
}

/* Whether a fresh tail will be there in a moment: its guest has been made, on a host that answers.
 */
static gboolean console_can_come(Request *rq, const Instance *i, GError **error)
{
    g_autoptr(Host) host = hosts_get(rq->tx, i->host_id, FALSE, error);

    return host && i->ever_defined && !i->terminated_us && strcmp(host->state, "up") == 0;
}

/* Gives the tail that is stored, and asks for a fresh one, which the host's reconciler brings; it
 * is waited for when there is none yet, or when the latest is asked for. */
json_t *get_console_output(Request *rq, GError **error)
{
    g_autoptr(Instance) i =
        EC2_ONLY(rq, error, "InstanceId", "Latest") ? instance_asked(rq, FALSE, error) : NULL;
    g_autofree char *output = NULL;
    gint64 at_us = 0, wanted = 0;

    if (!i || (!i->terminated_us && !rq->waited_ms && !console_want(rq->tx, i->id, error)) ||
        !console_get(rq->tx, i->id, &output, &at_us, error) ||
        !console_wanted(rq->tx, i->id, &wanted, error))
        return NULL;
    if (wanted && (!output || request_bool(rq, "Latest", FALSE)) &&
        rq->waited_ms < CONSOLE_WAIT_MS) {
        g_autoptr(GError) cause = NULL;
        rq->again_ms = console_can_come(rq, i, &cause) ? CONSOLE_POLL_MS : 0;
        if (cause) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return NULL;
        }
    }
    json_t *answer = json_pack("{s:s, s:I}", "InstanceId", i->id, "Timestamp",
                               (json_int_t)(at_us ? at_us : i->launched_us));
    if (output)
        json_object_set_new(answer, "Output", json_string(output));
    return answer;
}
