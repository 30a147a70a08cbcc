/* What uses how much: services, tasks and container instances of a cluster, by its newest metrics.
 */
#include "base/clock.h"
#include "cli/cluster.h"
#include "cli/groups.h"
#include "cli/verbs.h"

#include <string.h>

#define PERIOD_S 60
#define LOOK_US                                                                                    \
    (4 * PERIOD_S * CLOCK_SECOND_US) /* what told nothing for so long uses nothing known */
#define AHEAD_US  (PERIOD_S * CLOCK_SECOND_US)
#define ROWS_MOST 150 /* in one call: it takes 500 queries */

/* What is asked of each row. A service's memory is the sum over its tasks. */
static const struct {
    const char *member, *namespace, *name, *stat;
} figures[] = {
    { "cpuPercent", "AWS/ECS", "CPUUtilization", "Average" },
    { "memoryMiB", "ECS/ContainerInsights", "MemoryUtilized", "Sum" },
    { "memoryPercent", "AWS/ECS", "MemoryUtilization", "Average" },
};

static json_t *query(const Cli *cli, const json_t *row, gsize index, gsize figure)
{
    static const char *const dimensions[][2] = { { "service", "ServiceName" },
                                                 { "task", "TaskId" },
                                                 { "instance", "ContainerInstanceId" } };
    json_t *list = json_pack("[{s:s, s:s}]", "Name", "ClusterName", "Value", cluster_name(cli));

    for (gsize i = 0; i < G_N_ELEMENTS(dimensions); i++)
        if (strcmp(verb_text(row, "kind"), dimensions[i][0]) == 0)
            json_array_append_new(list, json_pack("{s:s, s:s}", "Name", dimensions[i][1], "Value",
                                                  verb_text(row, "name")));
    return json_pack("{s:o, s:{s:{s:s, s:s, s:o}, s:i, s:s}}", "Id",
                     json_sprintf("q%zu", index * G_N_ELEMENTS(figures) + figure), "MetricStat",
                     "Metric", "Namespace", figures[figure].namespace, "MetricName",
                     figures[figure].name, "Dimensions", list, "Period", PERIOD_S, "Stat",
                     figures[figure].stat);
}

/* The newest value of each result goes into its row. */
static void take(json_t *rows, gsize from, const json_t *results)
{
    const json_t *result;
    size_t n;

    json_array_foreach(results, n, result)
    {
        const json_t *newest = json_array_get(json_object_get(result, "Values"), 0);
        json_t *row = json_array_get(rows, from + n / G_N_ELEMENTS(figures));
        if (newest)
            json_object_set_new(row, figures[n % G_N_ELEMENTS(figures)].member,
                                json_real(json_number_value(newest)));
    }
}

static gboolean measure(Cli *cli, json_t *rows, GError **error)
{
    gint64 now_us = clock_now_us();

    for (gsize from = 0; from < json_array_size(rows); from += ROWS_MOST) {
        json_t *queries = json_array();
        for (gsize i = from; i < MIN(from + ROWS_MOST, json_array_size(rows)); i++)
            for (gsize f = 0; f < G_N_ELEMENTS(figures); f++)
                json_array_append_new(queries, query(cli, json_array_get(rows, i), i, f));
        json_auto_t *answer = client_call(cli, "cloudwatch", "GetMetricData",
                                          json_pack("{s:o, s:I, s:I}", "MetricDataQueries", queries,
                                                    "StartTime", (json_int_t)(now_us - LOOK_US),
                                                    "EndTime", (json_int_t)(now_us + AHEAD_US)),
                                          error);
        if (!answer)
            return FALSE;
        take(rows, from, json_object_get(answer, "MetricDataResults"));
    }
    return TRUE;
}

/* Adds a row for each ARN of a list. */
static gboolean add_rows(Cli *cli, json_t *rows, const char *action, json_t *params,
                         const char *member, const char *kind, GError **error)
{
    json_auto_t *arns = client_pages(cli, "ecs", action, params, member, error);
    const json_t *arn;
    size_t n;

    if (!arns)
        return FALSE;
    json_array_foreach(arns, n, arn)
    {
        const char *tail = strrchr(json_string_value(arn), '/');
        json_array_append_new(rows, json_pack("{s:s, s:s}", "kind", kind, "name",
                                              tail ? tail + 1 : json_string_value(arn)));
    }
    return TRUE;
}

/* Numbers as a table shows them. */
static json_t *shown(const json_t *rows)
{
    json_t *list = json_array();
    const json_t *row;
    size_t n;

    json_array_foreach(rows, n, row)
    {
        json_t *copy = json_copy((json_t *)row);
        for (gsize f = 0; f < G_N_ELEMENTS(figures); f++) {
            const json_t *value = json_object_get(row, figures[f].member);
            if (value)
                json_object_set_new(copy, figures[f].member,
                                    json_sprintf("%.1f", json_number_value(value)));
        }
        json_array_append_new(list, copy);
    }
    return list;
}

static gboolean run_top(Cli *cli, GError **error)
{
    static const Column columns[] = {
        { "WHAT", "kind", FORM_TEXT },
        { "NAME", "name", FORM_TEXT },
        { "CPU %", "cpuPercent", FORM_TEXT },
        { "MEMORY MiB", "memoryMiB", FORM_TEXT },
        { "MEMORY %", "memoryPercent", FORM_TEXT },
        { 0 },
    };
    json_auto_t *rows = json_array();

    if (!add_rows(cli, rows, "ListContainerInstances", cluster_params(cli, NULL, NULL),
                  "containerInstanceArns", "instance", error) ||
        !add_rows(cli, rows, "ListServices", cluster_params(cli, NULL, NULL), "serviceArns",
                  "service", error) ||
        !add_rows(cli, rows, "ListTasks", cluster_params(cli, "desiredStatus", "RUNNING"),
                  "taskArns", "task", error) ||
        !measure(cli, rows, error))
        return FALSE;
    json_auto_t *table = cli_flag(cli, "json") ? json_incref(rows) : shown(rows);
    ui_table(columns, table, cli_flag(cli, "json"));
    return TRUE;
}

static const Option cluster_options[] = {
    { "cluster", "CLUSTER", "the cluster; default" },
    { 0 },
};

const Command top_commands[] = {
    { "top", "", 0, 0, "show what uses how much CPU and memory",
      "The newest minute that agents told of. A service's and a task's percent are of what its "
      "tasks\n"
      "hold, an instance's of what it has; a service's MiB are those of all its tasks.",
      "berth top --cluster prod", cluster_options, run_top, FALSE },
    { 0 },
};
