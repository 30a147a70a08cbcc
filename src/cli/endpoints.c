#include "cli/cluster.h"
#include "cli/groups.h"
#include "cli/verbs.h"

#include <string.h>

static const Column endpoint_columns[] = {
    { "TASK", "task", FORM_TEXT },
    { "ADDRESS", "address", FORM_TEXT },
    { "PORT", "port", FORM_TEXT },
    { "CONTAINER", "container", FORM_TEXT },
    { "INSTANCE", "instance", FORM_TEXT },
    { "ZONE", "zone", FORM_TEXT },
    { 0 },
};

/* key -> value of two members of every row; borrowed from rows. */
static GHashTable *index_of(const json_t *rows, const char *key, const char *value)
{
    GHashTable *index = g_hash_table_new(g_str_hash, g_str_equal);
    const json_t *row;
    size_t n;

    json_array_foreach(rows, n, row)
        g_hash_table_insert(index, (gpointer)verb_text(row, key), (gpointer)verb_text(row, value));
    return index;
}

static void add_bindings(json_t *out, const json_t *task, const char *instance, const char *address)
{
    g_autofree char *id = ui_cell(task, "taskArn", FORM_SHORT);
    const json_t *container, *binding;
    size_t c, b;

    json_array_foreach(json_object_get(task, "containers"), c, container)
        json_array_foreach(json_object_get(container, "networkBindings"), b, binding)
            json_array_append_new(out, json_pack("{s:s, s:s, s:O?, s:s, s:s, s:s}", "task", id,
                                                 "address", address, "port",
                                                 json_object_get(binding, "hostPort"), "container",
                                                 verb_text(container, "name"), "instance", instance,
                                                 "zone", verb_text(task, "availabilityZone")));
}

static json_t *running_tasks(Cli *cli, const char *service, GError **error)
{
    json_t *params = cluster_params(cli, "serviceName", service);

    verb_set(params, "desiredStatus", "RUNNING");
    json_auto_t *arns = client_pages(cli, "ecs", "ListTasks", params, "taskArns", error);
    return arns ? cluster_describe(cli, "DescribeTasks", cluster_name(cli), "tasks",
                                   json_incref(arns), "tasks", NULL, error)
                : NULL;
}

static json_t *machines(Cli *cli, GError **error)
{
    json_auto_t *arns = client_pages(cli, "ecs", "ListContainerInstances",
                                     cluster_params(cli, "", NULL), "containerInstanceArns", error);

    return arns ? cluster_describe(cli, "DescribeContainerInstances", cluster_name(cli),
                                   "containerInstances", json_incref(arns), "containerInstances",
                                   NULL, error)
                : NULL;
}

static gboolean run_endpoints(Cli *cli, GError **error)
{
    json_auto_t *tasks = running_tasks(cli, cli_arg(cli, 0), error);
    json_auto_t *hosts = tasks ? machines(cli, error) : NULL;
    json_auto_t *instances = hosts ? verb_instances(cli, NULL, FALSE, error) : NULL;
    json_auto_t *rows = json_array();
    const json_t *task;
    size_t n;

    if (!instances)
        return FALSE;
    g_autoptr(GHashTable) ec2 = index_of(hosts, "containerInstanceArn", "ec2InstanceId");
    g_autoptr(GHashTable) addresses = index_of(instances, "InstanceId", "PrivateIpAddress");
    json_array_foreach(tasks, n, task)
    {
        const char *instance = g_hash_table_lookup(ec2, verb_text(task, "containerInstanceArn"));
        const char *address = instance ? g_hash_table_lookup(addresses, instance) : NULL;
        if (address && strcmp(verb_text(task, "lastStatus"), "RUNNING") == 0)
            add_bindings(rows, task, instance, address);
    }
    ui_table(endpoint_columns, rows, cli_flag(cli, "json"));
    return TRUE;
}

static const Option cluster_options[] = { { "cluster", "NAME", "the cluster; default" }, { 0 } };

const Command endpoint_commands[] = {
    { "service endpoints", "NAME", 1, 1, "list addresses and ports of a service's running tasks",
      NULL, "berth service endpoints web\ncurl http://ADDRESS:PORT/", cluster_options,
      run_endpoints, FALSE },
    { 0 },
};
