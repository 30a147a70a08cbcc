#include "base/errors.h"
#include "cli/cluster.h"
#include "cli/groups.h"
#include "cli/verbs.h"

#include <string.h>

#define EVENTS_SHOWN 10

static const Column service_columns[] = {
    { "SERVICE", "serviceName", FORM_TEXT },
    { "STATUS", "status", FORM_TEXT },
    { "WANTED", "desiredCount", FORM_TEXT },
    { "RUNNING", "runningCount", FORM_TEXT },
    { "PENDING", "pendingCount", FORM_TEXT },
    { "DEFINITION", "taskDefinition", FORM_TAIL },
    { "ROLLOUT", "deployments.0.rolloutState", FORM_TEXT },
    { 0 },
};
static const Column event_columns[] = { { "AT", "createdAt", FORM_TIME },
                                        { "EVENT", "message", FORM_TEXT },
                                        { 0 } };

static json_t *services(Cli *cli, json_t *names, GError **error)
{
    return cluster_describe(cli, "DescribeServices", cluster_name(cli), "services", names,
                            "services", NULL, error);
}

/* DescribeServices takes ten at a time. */
static gboolean run_service_list(Cli *cli, GError **error)
{
    json_auto_t *arns = client_pages(cli, "ecs", "ListServices", cluster_params(cli, "", NULL),
                                     "serviceArns", error);
    json_auto_t *rows = json_array();

    for (size_t from = 0; arns && from < json_array_size(arns); from += 10) {
        json_t *some = json_array();
        for (size_t n = from; n < MIN(from + 10, json_array_size(arns)); n++)
            json_array_append(some, json_array_get(arns, n));
        json_auto_t *part = services(cli, some, error);
        if (!part)
            return FALSE;
        json_array_extend(rows, part);
    }
    if (!arns)
        return FALSE;
    ui_table(service_columns, rows, cli_flag(cli, "json"));
    return TRUE;
}

static void show_events(const json_t *service)
{
    const json_t *event;
    size_t n;

    json_array_foreach(json_object_get(service, "events"), n, event)
    {
        g_autofree char *at = ui_cell(event, "createdAt", FORM_TIME);
        if (n == EVENTS_SHOWN)
            return;
        ui_print("%s %s", at, verb_text(event, "message"));
    }
}

static gboolean run_service_show(Cli *cli, GError **error)
{
    json_auto_t *rows = services(cli, verb_args(cli, 0), error);
    const json_t *row;
    size_t n;

    if (!rows)
        return FALSE;
    ui_table(service_columns, rows, cli_flag(cli, "json"));
    if (!cli_flag(cli, "json"))
        json_array_foreach(rows, n, row) show_events(row);
    return TRUE;
}

static gboolean run_service_events(Cli *cli, GError **error)
{
    json_auto_t *rows = services(cli, verb_args(cli, 0), error);

    if (!rows)
        return FALSE;
    const json_t *events = json_object_get(json_array_get(rows, 0), "events");
    if (cli_flag(cli, "json")) {
        ui_table(event_columns, events, TRUE);
        return TRUE;
    }
    show_events(json_array_get(rows, 0));
    return TRUE;
}

/* -- steady: one deployment, which the scheduler calls completed; all it wants runs, nothing else
 */
static json_int_t count_of(const json_t *service, const char *member)
{
    return json_integer_value(json_object_get(service, member));
}

/* A deployment that the circuit breaker ended never becomes steady: waiting on is of no use. */
static gboolean not_failed(const Cli *cli, const char *name, const json_t *deployment,
                           GError **error)
{
    const char *cluster = cli_option(cli, "cluster");

    if (strcmp(verb_text(deployment, "rolloutState"), "FAILED") != 0)
        return TRUE;
    return fail(error, COMMAND,
                "deployment \"%s\" failed: %s \"berth service events %s%s%s\" tells more",
                verb_text(deployment, "id"), verb_text(deployment, "rolloutStateReason"), name,
                cluster ? " --cluster " : "", cluster ? cluster : "");
}

static gboolean look_steady(Cli *cli, gpointer data, gboolean *ret_done, GError **error)
{
    const char *name = data;
    json_auto_t *rows = services(cli, json_pack("[s]", name), error);

    if (!rows)
        return FALSE;
    const json_t *s = json_array_get(rows, 0), *deployments = json_object_get(s, "deployments");
    const json_t *primary = json_array_get(deployments, 0);
    json_int_t wanted = count_of(s, "desiredCount"), running = count_of(s, "runningCount");
    const char *newest = verb_text(json_array_get(json_object_get(s, "events"), 0), "message");
    ui_step_progress("%d of %d run; %s", (int)running, (int)wanted, newest);
    *ret_done = json_array_size(deployments) == 1 && running == wanted &&
                count_of(s, "pendingCount") == 0 &&
                strcmp(verb_text(primary, "rolloutState"), "COMPLETED") == 0;
    return not_failed(cli, name, primary, error);
}

static gboolean wait_steady(Cli *cli, const char *name, GError **error)
{
    g_autofree char *what = g_strdup_printf("waiting until %s is steady", name);

    return verb_wait(cli, what, 600, look_steady, (gpointer)name, error);
}

static gboolean show_one(Cli *cli, const json_t *answer)
{
    json_auto_t *rows = json_pack("[O]", json_object_get(answer, "service"));

    ui_table(service_columns, rows, cli_flag(cli, "json"));
    return TRUE;
}

/* Calls, waits with --wait, shows the service. Takes params. */
static gboolean change(Cli *cli, const char *action, const char *name, json_t *params,
                       GError **error)
{
    json_auto_t *answer = client_call(cli, "ecs", action, params, error);

    if (!answer || (cli_flag(cli, "wait") && !wait_steady(cli, name, error)))
        return FALSE;
    if (!cli_flag(cli, "wait"))
        return show_one(cli, answer);
    json_auto_t *rows = services(cli, json_pack("[s]", name), error);
    if (!rows)
        return FALSE;
    ui_table(service_columns, rows, cli_flag(cli, "json"));
    return TRUE;
}

/* "spread:attribute:ecs.availability-zone", "binpack:memory", "random" */
static json_t *strategies(const Cli *cli)
{
    const GPtrArray *given = cli_values(cli, "strategy");
    json_t *list = json_array();

    for (guint i = 0; given && i < given->len; i++) {
        g_auto(GStrv) parts = g_strsplit(g_ptr_array_index(given, i), ":", 2);
        json_t *one = json_pack("{s:s}", "type", parts[0] ? parts[0] : "");
        verb_set(one, "field", parts[0] ? parts[1] : NULL);
        json_array_append_new(list, one);
    }
    return list;
}

static gboolean set_percents(const Cli *cli, json_t *params, GError **error)
{
    json_auto_t *deployment = json_object();

    if (!verb_set_number(cli, deployment, "minimumHealthyPercent", "min", 0, 100, error) ||
        !verb_set_number(cli, deployment, "maximumPercent", "max", 100, 200, error))
        return FALSE;
    if (json_object_size(deployment) > 0)
        json_object_set(params, "deploymentConfiguration", deployment);
    return TRUE;
}

static gboolean run_service_create(Cli *cli, GError **error)
{
    const char *name = cli_arg(cli, 0);
    json_auto_t *params = cluster_params(cli, "serviceName", name);
    json_auto_t *strategy = strategies(cli);

    verb_set(params, "taskDefinition", cli_arg(cli, 1));
    json_object_set_new(params, "desiredCount", json_integer(1));
    if (!verb_set_number(cli, params, "desiredCount", "count", 0, 100000, error) ||
        !set_percents(cli, params, error))
        return FALSE;
    if (json_array_size(strategy) > 0)
        json_object_set(params, "placementStrategy", strategy);
    if (cli_flag(cli, "distinct"))
        json_object_set_new(params, "placementConstraints",
                            json_pack("[{s:s}]", "type", "distinctInstance"));
    return change(cli, "CreateService", name, json_incref(params), error);
}

static gboolean run_service_update(Cli *cli, GError **error)
{
    const char *name = cli_arg(cli, 0);
    json_auto_t *params = cluster_params(cli, "service", name);

    verb_set(params, "taskDefinition", cli_option(cli, "task-definition"));
    if (!verb_set_number(cli, params, "desiredCount", "count", 0, 100000, error) ||
        !set_percents(cli, params, error))
        return FALSE;
    if (cli_flag(cli, "redeploy"))
        json_object_set_new(params, "forceNewDeployment", json_true());
    return change(cli, "UpdateService", name, json_incref(params), error);
}

static gboolean run_service_delete(Cli *cli, GError **error)
{
    json_t *params = cluster_params(cli, "service", cli_arg(cli, 0));

    if (cli_flag(cli, "force"))
        json_object_set_new(params, "force", json_true());
    json_auto_t *answer = client_call(cli, "ecs", "DeleteService", params, error);
    return answer && show_one(cli, answer);
}

static gboolean run_service_wait(Cli *cli, GError **error)
{
    return wait_steady(cli, cli_arg(cli, 0), error);
}

static const Option cluster_options[] = { { "cluster", "NAME", "the cluster; default" }, { 0 } };
static const Option create_options[] = {
    { "cluster", "NAME", "the cluster; default" },
    { "count", "N", "tasks to keep; 1" },
    { "min", "PERCENT", "healthy tasks during a deployment, at least; 100" },
    { "max", "PERCENT", "tasks during a deployment, at most; 200" },
    { "strategy", "TYPE:FIELD", "placement; may be repeated; spread over zones" },
    { "distinct", NULL, "no two on one machine" },
    { "wait", NULL, "until it is steady" },
    { 0 },
};
static const Option update_options[] = {
    { "cluster", "NAME", "the cluster; default" },
    { "count", "N", "tasks to keep" },
    { "task-definition", "NAME", "deploy this one" },
    { "redeploy", NULL, "replace all tasks, though nothing changed" },
    { "min", "PERCENT", "healthy tasks during a deployment, at least" },
    { "max", "PERCENT", "tasks during a deployment, at most" },
    { "wait", NULL, "until it is steady" },
    { 0 },
};
static const Option delete_options[] = {
    { "cluster", "NAME", "the cluster; default" },
    { "force", NULL, "though it still wants tasks" },
    { 0 },
};

const Command service_commands[] = {
    { "service list", "", 0, 0, "list services", NULL, NULL, cluster_options, run_service_list,
      FALSE },
    { "service create", "NAME DEFINITION", 2, 2, "keep tasks running",
      "Tasks are spread over availability zones unless --strategy says otherwise.",
      "berth service create web web:1 --count 2 --wait\n"
      "berth service create batch batch --strategy binpack:memory",
      create_options, run_service_create, FALSE },
    { "service show", "NAME ...", 1, ANY_NUMBER, "show services and their last events", NULL, NULL,
      cluster_options, run_service_show, FALSE },
    { "service events", "NAME", 1, 1, "show what happened to a service", NULL, NULL,
      cluster_options, run_service_events, FALSE },
    { "service update", "NAME", 1, 1, "change count or task definition", NULL,
      "berth service update web --task-definition web:2 --wait\n"
      "berth service update web --count 5",
      update_options, run_service_update, FALSE },
    { "service wait", "NAME", 1, 1, "wait until a service is steady", NULL, NULL, cluster_options,
      run_service_wait, FALSE },
    { "service delete", "NAME", 1, 1, "stop a service and its tasks", NULL, NULL, delete_options,
      run_service_delete, FALSE },
    { 0 },
};
