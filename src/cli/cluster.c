#include "base/errors.h"
#include "cli/cluster.h"
#include "cli/groups.h"
#include "cli/image.h"
#include "cli/verbs.h"

#include <string.h>

#define DEFAULT_CLUSTER "default"
#define DESCRIBE_MOST   100

const char *cluster_name(const Cli *cli)
{
    const char *name = cli_option(cli, "cluster");

    return name ? name : DEFAULT_CLUSTER;
}

json_t *cluster_describe(Cli *cli, const char *action, const char *cluster, const char *member,
                         json_t *arns, const char *answer_member, const char *include,
                         GError **error)
{
    json_auto_t *ids = arns, *rows = json_array();

    for (size_t from = 0; from < json_array_size(ids); from += DESCRIBE_MOST) {
        json_auto_t *some = json_array();
        for (size_t n = from; n < MIN(from + DESCRIBE_MOST, json_array_size(ids)); n++)
            json_array_append(some, json_array_get(ids, n));
        json_t *params = json_pack("{s:O}", member, some);
        verb_set(params, "cluster", cluster);
        if (include)
            json_object_set_new(params, "include", json_pack("[s]", include));
        json_auto_t *answer = client_call(cli, "ecs", action, params, error);
        if (!answer)
            return NULL;
        if (!verb_none_failed(answer, error))
            return NULL;
        json_array_extend(rows, json_object_get(answer, answer_member));
    }
    return json_incref(rows);
}

json_t *cluster_params(const Cli *cli, const char *member, const char *value)
{
    json_t *params = json_pack("{s:s}", "cluster", cluster_name(cli));

    verb_set(params, member, value);
    return params;
}

/* -- clusters */
static const Column cluster_columns[] = {
    { "CLUSTER", "clusterName", FORM_TEXT },
    { "STATUS", "status", FORM_TEXT },
    { "INSTANCES", "registeredContainerInstancesCount", FORM_TEXT },
    { "SERVICES", "activeServicesCount", FORM_TEXT },
    { "RUNNING", "runningTasksCount", FORM_TEXT },
    { "PENDING", "pendingTasksCount", FORM_TEXT },
    { 0 },
};

static gboolean run_cluster_list(Cli *cli, GError **error)
{
    json_auto_t *arns = client_pages(cli, "ecs", "ListClusters", NULL, "clusterArns", error);
    json_auto_t *rows = arns ? cluster_describe(cli, "DescribeClusters", NULL, "clusters",
                                                json_incref(arns), "clusters", NULL, error)
                             : NULL;

    if (!rows)
        return FALSE;
    ui_table(cluster_columns, rows, cli_flag(cli, "json"));
    return TRUE;
}

static gboolean run_cluster_create(Cli *cli, GError **error)
{
    return verb_do(cli, "ecs", "CreateCluster", json_pack("{s:s}", "clusterName", cli_arg(cli, 0)),
                   "made", error);
}

static gboolean run_cluster_show(Cli *cli, GError **error)
{
    json_auto_t *rows = cluster_describe(cli, "DescribeClusters", NULL, "clusters",
                                         verb_args(cli, 0), "clusters", NULL, error);

    if (!rows)
        return FALSE;
    ui_table(cluster_columns, rows, cli_flag(cli, "json"));
    return TRUE;
}

static gboolean run_cluster_delete(Cli *cli, GError **error)
{
    return verb_do(cli, "ecs", "DeleteCluster", json_pack("{s:s}", "cluster", cli_arg(cli, 0)),
                   "deleted", error);
}

/* -- container instances */
static const Column container_instance_columns[] = {
    { "CONTAINER INSTANCE", "containerInstanceArn", FORM_SHORT },
    { "INSTANCE", "ec2InstanceId", FORM_TEXT },
    { "STATUS", "status", FORM_TEXT },
    { "AGENT", "agentConnected", FORM_TEXT },
    { "RUNNING", "runningTasksCount", FORM_TEXT },
    { "CPU", "cpu", FORM_TEXT },
    { "MIB", "memory", FORM_TEXT },
    { 0 },
};

/* What is left of cpu and memory, as members the table can name. */
static void add_remaining(json_t *instances)
{
    json_t *instance;
    const json_t *resource;
    size_t n, r;

    json_array_foreach(instances, n, instance)
        json_array_foreach(json_object_get(instance, "remainingResources"), r, resource)
    {
        const char *name = verb_text(resource, "name");
        if (strcmp(name, "CPU") == 0)
            json_object_set(instance, "cpu", json_object_get(resource, "integerValue"));
        else if (strcmp(name, "MEMORY") == 0)
            json_object_set(instance, "memory", json_object_get(resource, "integerValue"));
    }
}

static json_t *container_instances(Cli *cli, const char *cluster, GError **error)
{
    json_auto_t *arns =
        client_pages(cli, "ecs", "ListContainerInstances", json_pack("{s:s}", "cluster", cluster),
                     "containerInstanceArns", error);

    return arns ? cluster_describe(cli, "DescribeContainerInstances", cluster, "containerInstances",
                                   json_incref(arns), "containerInstances", NULL, error)
                : NULL;
}

static gboolean run_container_instance_list(Cli *cli, GError **error)
{
    json_auto_t *rows = container_instances(cli, cluster_name(cli), error);

    if (!rows)
        return FALSE;
    if (!cli_flag(cli, "json"))
        add_remaining(rows);
    ui_table(container_instance_columns, rows, cli_flag(cli, "json"));
    return TRUE;
}

static gboolean set_state(Cli *cli, const char *status, GError **error)
{
    json_t *ids = verb_whole_ids(cli, error);
    if (!ids)
        return FALSE;
    json_t *params = cluster_params(cli, "status", status);

    json_object_set_new(params, "containerInstances", ids);
    return verb_do(cli, "ecs", "UpdateContainerInstancesState", params, status, error);
}

static gboolean run_container_instance_drain(Cli *cli, GError **error)
{
    return set_state(cli, "DRAINING", error);
}

static gboolean run_container_instance_activate(Cli *cli, GError **error)
{
    return set_state(cli, "ACTIVE", error);
}

static gboolean run_container_instance_deregister(Cli *cli, GError **error)
{
    g_autofree char *id = verb_whole_id(cli, cli_arg(cli, 0), error);
    if (!id)
        return FALSE;
    json_t *params = cluster_params(cli, "containerInstance", id);

    if (cli_flag(cli, "force"))
        json_object_set_new(params, "force", json_true());
    return verb_do(cli, "ecs", "DeregisterContainerInstance", params, "deregistered", error);
}

/* -- the agent on instances */
typedef struct {
    const json_t *ids;
    const char *cluster;
} AgentsWait;

/* The stage of the bootstrap that is least far, and what holds it. */
static gboolean show_bootstraps(Cli *cli, const AgentsWait *wait, GError **error)
{
    const json_t *bootstrap;
    size_t n;
    json_auto_t *answer = client_call(cli, "berth", "DescribeBootstraps",
                                      json_pack("{s:O}", "InstanceIds", wait->ids), error);
    if (!answer)
        return FALSE;
    json_array_foreach(json_object_get(answer, "Bootstraps"), n, bootstrap)
    {
        const char *state = verb_text(bootstrap, "State");
        if (g_ascii_strcasecmp(state, "failed") == 0 ||
            g_ascii_strcasecmp(state, "quarantined") == 0)
            return fail(error, COMMAND, "the agent of %s: %s", verb_text(bootstrap, "InstanceId"),
                        verb_text(bootstrap, "Detail"));
        if (g_ascii_strcasecmp(state, "registered") != 0)
            ui_step_progress("%s %s %s", verb_text(bootstrap, "InstanceId"), state,
                             verb_text(bootstrap, "Detail"));
    }
    return TRUE;
}

static gboolean look_agents(Cli *cli, gpointer data, gboolean *ret_done, GError **error)
{
    const AgentsWait *wait = data;
    g_autoptr(GError) none_yet = NULL;
    json_auto_t *rows = container_instances(cli, wait->cluster, &none_yet);
    const json_t *id, *row;
    size_t n, r, there = 0;

    if (!rows && !error_is(none_yet, ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&none_yet));
        return FALSE;
    }
    json_array_foreach(wait->ids, n, id) json_array_foreach(rows, r, row) there +=
        json_equal(json_object_get(row, "ec2InstanceId"), id) &&
        json_is_true(json_object_get(row, "agentConnected"));
    *ret_done = there >= json_array_size(wait->ids);
    return *ret_done || show_bootstraps(cli, wait, error);
}

gboolean agents_wait(Cli *cli, const json_t *ids, const char *cluster, GError **error)
{
    AgentsWait wait = { .ids = ids, .cluster = cluster };

    return verb_wait(cli, "waiting for the agents", 300, look_agents, &wait, error);
}

static gboolean run_agent_bootstrap(Cli *cli, GError **error)
{
    g_autofree char *id = verb_instance_id(cli, cli_arg(cli, 0), error);
    json_auto_t *ids = id ? json_pack("[s]", id) : NULL;

    if (!ids || !verb_do(cli, "berth", "BootstrapContainerInstance",
                         json_pack("{s:s, s:s}", "InstanceId", id, "Cluster", cluster_name(cli)),
                         "asked", error))
        return FALSE;
    return !cli_flag(cli, "wait") || agents_wait(cli, ids, cluster_name(cli), error);
}

static const Column bootstrap_columns[] = {
    { "INSTANCE", "InstanceId", FORM_TEXT }, { "CLUSTER", "Cluster", FORM_TEXT },
    { "STATE", "State", FORM_TEXT },         { "TRIES", "Attempts", FORM_TEXT },
    { "DETAIL", "Detail", FORM_TEXT },       { 0 },
};

static gboolean run_agent_list(Cli *cli, GError **error)
{
    return verb_table(cli, "berth", "DescribeBootstraps", NULL, "Bootstraps", bootstrap_columns,
                      error);
}

static const Option cluster_options[] = { { "cluster", "NAME", "the cluster; default" }, { 0 } };
static const Option deregister_options[] = {
    { "cluster", "NAME", "the cluster; default" },
    { "force", NULL, "though tasks run on it; they become orphans" },
    { 0 },
};
static const Option bootstrap_options[] = {
    { "cluster", "NAME", "the cluster to join; default" },
    { "wait", NULL, "until it has registered" },
    { 0 },
};

const Command cluster_commands[] = {
    { "cluster list", "", 0, 0, "list clusters", NULL, NULL, NULL, run_cluster_list, FALSE },
    { "cluster create", "NAME", 1, 1, "make a cluster", NULL, NULL, NULL, run_cluster_create,
      FALSE },
    { "cluster show", "NAME ...", 1, ANY_NUMBER, "show clusters", NULL, NULL, NULL,
      run_cluster_show, FALSE },
    { "cluster delete", "NAME", 1, 1, "delete an empty cluster", NULL, NULL, NULL,
      run_cluster_delete, FALSE },
    { "container-instance list", "", 0, 0, "list the machines of a cluster and what is free", NULL,
      NULL, cluster_options, run_container_instance_list, FALSE },
    { "container-instance drain", "ID ...", 1, ANY_NUMBER, "move service tasks away, place none",
      NULL, NULL, cluster_options, run_container_instance_drain, FALSE },
    { "container-instance activate", "ID ...", 1, ANY_NUMBER, "place on drained machines again",
      NULL, NULL, cluster_options, run_container_instance_activate, FALSE },
    { "container-instance deregister", "ID", 1, 1, "take a machine out of its cluster", NULL, NULL,
      deregister_options, run_container_instance_deregister, FALSE },
    { "agent bootstrap", "INSTANCE", 1, 1, "install the container agent over SSH",
      "Berth logs in with its own key, puts agent and settings there and starts it. Safe to\n"
      "repeat. A host key that is not the one the guest reported is refused and shown.",
      "berth agent bootstrap web-1 --cluster default --wait", bootstrap_options,
      run_agent_bootstrap, FALSE },
    { "agent list", "", 0, 0, "show how far the agents' bootstraps are", NULL, NULL, NULL,
      run_agent_list, FALSE },
    { 0 },
};
