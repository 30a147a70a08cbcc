#include "base/errors.h"
#include "cli/cluster.h"
#include "cli/groups.h"
#include "cli/task_show.h"
#include "cli/verbs.h"

#include <string.h>

#define STOPPED_LINES 10

/* -- task definitions */
static const Column definition_columns[] = {
    { "TASK DEFINITION", "taskDefinitionArn", FORM_TAIL },
    { "STATUS", "status", FORM_TEXT },
    { "CONTAINERS", "containerDefinitions.#", FORM_TEXT },
    { 0 },
};

static gboolean show_definition(Cli *cli, const char *action, json_t *params, GError **error)
{
    json_auto_t *answer = client_call(cli, "ecs", action, params, error);

    if (!answer)
        return FALSE;
    if (cli_flag(cli, "json")) {
        ui_json(answer);
        return TRUE;
    }
    json_auto_t *rows = json_pack("[O]", json_object_get(answer, "taskDefinition"));
    ui_table(definition_columns, rows, FALSE);
    return TRUE;
}

static gboolean run_definition_register(Cli *cli, GError **error)
{
    json_t *params = verb_read_json(cli_arg(cli, 0), error);

    return params && show_definition(cli, "RegisterTaskDefinition", params, error);
}

static gboolean run_definition_list(Cli *cli, GError **error)
{
    json_t *params = json_object();

    verb_set(params, "familyPrefix", cli_option(cli, "family"));
    json_auto_t *arns =
        client_pages(cli, "ecs", "ListTaskDefinitions", params, "taskDefinitionArns", error);
    const json_t *arn;
    size_t n;

    if (!arns)
        return FALSE;
    if (cli_flag(cli, "json"))
        ui_json(arns);
    else
        json_array_foreach(arns, n, arn) ui_print("%s", strrchr(json_string_value(arn), '/') + 1);
    return TRUE;
}

static gboolean run_definition_show(Cli *cli, GError **error)
{
    json_auto_t *answer = client_call(cli, "ecs", "DescribeTaskDefinition",
                                      json_pack("{s:s}", "taskDefinition", cli_arg(cli, 0)), error);

    if (!answer)
        return FALSE;
    ui_json(cli_flag(cli, "json") ? answer : json_object_get(answer, "taskDefinition"));
    return TRUE;
}

static gboolean run_definition_rm(Cli *cli, GError **error)
{
    return show_definition(cli, "DeregisterTaskDefinition",
                           json_pack("{s:s}", "taskDefinition", cli_arg(cli, 0)), error);
}

/* -- tasks */
static const Column task_columns[] = {
    { "TASK", "taskArn", FORM_SHORT },
    { "DEFINITION", "taskDefinitionArn", FORM_TAIL },
    { "LAST", "lastStatus", FORM_TEXT },
    { "WANTED", "desiredStatus", FORM_TEXT },
    { "ZONE", "availabilityZone", FORM_TEXT },
    { "GROUP", "group", FORM_TEXT },
    { 0 },
};

static json_t *tasks_of(Cli *cli, const char *desired, GError **error)
{
    json_t *params = cluster_params(cli, "desiredStatus", desired);

    verb_set(params, "serviceName", cli_option(cli, "service"));
    json_auto_t *arns = client_pages(cli, "ecs", "ListTasks", params, "taskArns", error);
    return arns ? cluster_describe(cli, "DescribeTasks", cluster_name(cli), "tasks",
                                   json_incref(arns), "tasks", NULL, error)
                : NULL;
}

static void show_stopped(const json_t *tasks)
{
    const json_t *task, *container;
    size_t n, c;

    json_array_foreach(tasks, n, task)
    {
        if (n == STOPPED_LINES || strcmp(verb_text(task, "lastStatus"), "STOPPED") != 0)
            return;
        g_autofree char *id = ui_cell(task, "taskArn", FORM_SHORT);
        ui_print("%s stopped: %s", id, verb_text(task, "stoppedReason"));
        json_array_foreach(json_object_get(task, "containers"), c, container)
        {
            g_autofree char *code = ui_cell(container, "exitCode", FORM_TEXT);
            ui_print("  %s: exit code %s %s", verb_text(container, "name"), code,
                     verb_text(container, "reason"));
        }
    }
}

static gboolean run_task_list(Cli *cli, GError **error)
{
    json_auto_t *rows = tasks_of(cli, cli_flag(cli, "stopped") ? "STOPPED" : "RUNNING", error);

    if (!rows)
        return FALSE;
    ui_table(task_columns, rows, cli_flag(cli, "json"));
    if (!cli_flag(cli, "json"))
        show_stopped(rows);
    return TRUE;
}

static gboolean show_tasks(Cli *cli, json_t *rows)
{
    ui_table(task_columns, rows, cli_flag(cli, "json"));
    return TRUE;
}

typedef struct {
    json_t *arns;
    const char *wanted; /* "": until each runs or has stopped */
    json_t *tasks;
} TaskWait;

static gboolean look_tasks(Cli *cli, gpointer data, gboolean *ret_done, GError **error)
{
    TaskWait *wait = data;
    const json_t *task;
    size_t n, there = 0;
    gboolean ends = *wait->wanted == '\0';

    json_decref(wait->tasks);
    wait->tasks = cluster_describe(cli, "DescribeTasks", cluster_name(cli), "tasks",
                                   json_incref(wait->arns), "tasks", NULL, error);
    if (!wait->tasks)
        return FALSE;
    task_add_pulls(cli, wait->tasks);
    json_array_foreach(wait->tasks, n, task)
    {
        const char *status = verb_text(task, "lastStatus");
        g_autofree char *pulls = task_pull_words(task);
        if (strcmp(status, "STOPPED") == 0 && !ends && strcmp(wait->wanted, "STOPPED") != 0)
            return fail(error, COMMAND, "a task stopped: %s", verb_text(task, "stoppedReason"));
        there += strcmp(status, wait->wanted) == 0 ||
                 (ends && (strcmp(status, "RUNNING") == 0 || strcmp(status, "STOPPED") == 0));
        ui_step_progress("%s %s", status, pulls);
    }
    *ret_done = there == json_array_size(wait->arns);
    return TRUE;
}

static gboolean wait_tasks(Cli *cli, json_t *tasks, const char *wanted, GError **error)
{
    json_auto_t *arns = json_array();
    const json_t *task;
    size_t n;

    json_array_foreach(tasks, n, task) json_array_append(arns, json_object_get(task, "taskArn"));
    TaskWait wait = { .arns = arns, .wanted = wanted };
    gboolean there = verb_wait(cli, wanted, 300, look_tasks, &wait, error);
    json_auto_t *seen = wait.tasks;
    return there && show_tasks(cli, seen);
}

static gboolean run_task_run(Cli *cli, GError **error)
{
    json_auto_t *params = cluster_params(cli, "taskDefinition", cli_arg(cli, 0));

    if (!verb_set_number(cli, params, "count", "count", 1, 10, error))
        return FALSE;
    verb_set(params, "group", cli_option(cli, "group"));
    json_auto_t *answer = client_call(cli, "ecs", "RunTask", json_incref(params), error);
    if (!answer)
        return FALSE;
    const json_t *failure = json_array_get(json_object_get(answer, "failures"), 0);
    if (failure)
        return fail(error, COMMAND, "not placed: %s %s (%s)", verb_text(failure, "reason"),
                    verb_text(failure, "detail"), verb_text(failure, "arn"));
    json_t *tasks = json_object_get(answer, "tasks");
    return cli_flag(cli, "wait") ? wait_tasks(cli, tasks, "RUNNING", error)
                                 : show_tasks(cli, tasks);
}

static gboolean run_task_show(Cli *cli, GError **error)
{
    json_auto_t *ids = verb_whole_ids(cli, error);
    json_auto_t *rows = ids ? cluster_describe(cli, "DescribeTasks", cluster_name(cli), "tasks",
                                               json_incref(ids), "tasks", NULL, error)
                            : NULL;

    if (!rows)
        return FALSE;
    task_add_pulls(cli, rows);
    if (cli_flag(cli, "wait")) {
        TaskWait wait = { .arns = ids, .wanted = "" };
        gboolean there = verb_wait(cli, "waiting for it to start", 3600, look_tasks, &wait, error);
        json_decref(rows);
        rows = wait.tasks;
        if (!there)
            return FALSE;
    }
    if (cli_flag(cli, "json"))
        ui_json(rows);
    else
        task_print(rows);
    return TRUE;
}

static gboolean run_task_stop(Cli *cli, GError **error)
{
    g_autofree char *id = verb_whole_id(cli, cli_arg(cli, 0), error);
    if (!id)
        return FALSE;
    json_t *params = cluster_params(cli, "task", id);

    verb_set(params, "reason", cli_option(cli, "reason"));
    json_auto_t *answer = client_call(cli, "ecs", "StopTask", params, error);
    if (!answer)
        return FALSE;
    json_auto_t *rows = json_pack("[O]", json_object_get(answer, "task"));
    return cli_flag(cli, "wait") ? wait_tasks(cli, rows, "STOPPED", error) : show_tasks(cli, rows);
}

static const Option family_options[] = { { "family", "NAME", "of this family only" }, { 0 } };
static const Option show_options[] = {
    { "cluster", "NAME", "the cluster; default" },
    { "wait", NULL, "show images coming until it runs, or has stopped" },
    { 0 },
};
static const Option list_options[] = {
    { "cluster", "NAME", "the cluster; default" },
    { "service", "NAME", "of this service only" },
    { "stopped", NULL, "those that ended lately, and why" },
    { 0 },
};
static const Option run_options[] = {
    { "cluster", "NAME", "the cluster; default" },
    { "count", "N", "how many; 1" },
    { "group", "NAME", "its group" },
    { "wait", NULL, "until they run" },
    { 0 },
};
static const Option stop_options[] = {
    { "cluster", "NAME", "the cluster; default" },
    { "reason", "TEXT", "why, for the record" },
    { "wait", NULL, "until it has stopped" },
    { 0 },
};

const Command task_commands[] = {
    { "task-definition register", "FILE", 1, 1, "register a task definition from JSON",
      "FILE is what \"aws ecs register-task-definition --cli-input-json\" takes; - is standard\n"
      "input.",
      "berth task-definition register contrib/examples/web.json", NULL, run_definition_register,
      FALSE },
    { "task-definition list", "", 0, 0, "list task definitions", NULL, NULL, family_options,
      run_definition_list, FALSE },
    { "task-definition show", "NAME[:REVISION]", 1, 1, "show a task definition", NULL, NULL, NULL,
      run_definition_show, FALSE },
    { "task-definition rm", "NAME:REVISION", 1, 1, "deregister a task definition", NULL, NULL, NULL,
      run_definition_rm, FALSE },
    { "task list", "", 0, 0, "list tasks", NULL, "berth task list --stopped --service web",
      list_options, run_task_list, FALSE },
    { "task run", "DEFINITION", 1, 1, "run tasks once", NULL,
      "berth task run batch:3 --count 2 --wait", run_options, run_task_run, FALSE },
    { "task show", "ID ...", 1, ANY_NUMBER, "show all there is to know of tasks",
      "ID is a task's id, its first digits (eight or more), or its ARN. Of a task that waits\n"
      "for its images: how far they are, about once a second.",
      "berth task show 4f6e0a1b2c3d4e5f8091a2b3c4d5e6f7 --wait", show_options, run_task_show,
      FALSE },
    { "task stop", "ID", 1, 1, "stop a task", NULL, NULL, stop_options, run_task_stop, FALSE },
    { 0 },
};
