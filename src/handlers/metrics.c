/*
 * CloudWatch: CPU and memory of clusters, services, tasks and container instances, as agents told.
 *
 * Namespace AWS/ECS has what stock tools read: percent, of a cluster over its container instances,
 * of a service over its tasks. ECS/ContainerInsights has what is used: CPU units, MiB. Source:
 * CloudWatch API Reference; ECS Developer Guide, "CloudWatch metrics".
 */
#include "base/clock.h"
#include "base/errors.h"
#include "handlers/metrics_page.h"
#include "handlers/table.h"
#include "model/task_definition.h"
#include "store/metrics.h"

#include <string.h>

#define POINTS_MAX      1440
#define DATA_POINTS_MAX 100800
#define QUERIES_MAX     500
#define METRICS_PAGE    500
#define ACTIVE_US       (3 * 3600 * CLOCK_SECOND_US) /* ListMetrics shows what told lately */

typedef struct {
    const char *namespace;
    const char *name;
    const char *unit;
    gboolean cpu;
    gboolean absolute;
} Metric;

static const Metric metrics[] = {
    { "AWS/ECS", "CPUUtilization", "Percent", TRUE, FALSE },
    { "AWS/ECS", "MemoryUtilization", "Percent", FALSE, FALSE },
    { "ECS/ContainerInsights", "CpuUtilized", "None", TRUE, TRUE },
    { "ECS/ContainerInsights", "MemoryUtilized", "Megabytes", FALSE, TRUE },
};

/* NULL: nobody measures such a thing, which is no error: it has no points. */
static const Metric *metric_named(const char *namespace, const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(metrics); i++)
        if (g_strcmp0(metrics[i].namespace, namespace) == 0 &&
            g_strcmp0(metrics[i].name, name) == 0)
            return &metrics[i];
    return NULL;
}

/* -- statistics */

typedef enum { STAT_AVERAGE, STAT_SUM, STAT_MINIMUM, STAT_MAXIMUM, STAT_COUNT, STAT__COUNT } Stat;
static const char *const stat_names[STAT__COUNT] = { "Average", "Sum", "Minimum", "Maximum",
                                                     "SampleCount" };

static double stat_value(const MetricPoint *p, Stat stat)
{
    switch (stat) {
    case STAT_SUM:
        return p->sum;
    case STAT_MINIMUM:
        return p->min;
    case STAT_MAXIMUM:
        return p->max;
    case STAT_COUNT:
        return (double)p->count;
    default:
        return p->sum / (double)p->count;
    }
}

static gint stat_named(const char *name)
{
    for (gint i = 0; i < STAT__COUNT; i++)
        if (g_strcmp0(stat_names[i], name) == 0)
            return i;
    return -1;
}

/* -- what is asked for */

/* Dimensions into q; FALSE when nothing is measured by them. */
static gboolean read_dimensions(const json_t *dimensions, MetricQuery *q)
{
    const json_t *dimension;
    size_t n;

    json_array_foreach(dimensions, n, dimension)
    {
        const char *name = tree_text(dimension, "Name"), *value = tree_text(dimension, "Value");
        if (g_strcmp0(name, "ClusterName") == 0)
            q->cluster_name = value;
        else if (g_strcmp0(name, "ServiceName") == 0)
            q->service_name = value;
        else if (g_strcmp0(name, "TaskId") == 0)
            q->task_id = value;
        else if (g_strcmp0(name, "ContainerInstanceId") == 0)
            q->container_instance_id = value;
        else
            return FALSE;
    }
    return q->cluster_name &&
           (q->service_name != NULL) + (q->task_id != NULL) + (q->container_instance_id != NULL) <=
               1;
}

static gboolean check_span(gint64 start_us, gint64 end_us, gint64 period_s, gint64 most,
                           GError **error)
{
    if (period_s < 60 || period_s % 60 != 0)
        return fail(error, METRIC_VALUE, "The parameter Period must be a multiple of 60.");
    if (start_us >= end_us)
        return fail(error, METRIC_COMBINATION,
                    "The parameter StartTime must be less than the parameter EndTime.");
    gint64 points = (end_us - start_us) / CLOCK_SECOND_US / period_s;
    if (points > most)
        return fail(error, METRIC_COMBINATION,
                    "You have requested up to %" G_GINT64_FORMAT " datapoints, which exceeds the "
                    "limit of %" G_GINT64_FORMAT ". You may reduce the datapoints requested by "
                    "increasing Period, or decreasing the time range.",
                    points, most);
    return TRUE;
}

/* Points of a metric; empty when nobody measures it. */
static GArray *read_points(Request *rq, const Metric *metric, const json_t *dimensions,
                           gint64 period_s, GError **error)
{
    MetricQuery q = { .account_id = rq->account_id,
                      .start_us = request_int(rq, "StartTime", 0),
                      .end_us = request_int(rq, "EndTime", 0),
                      .period_s = period_s };

    if (!metric || !read_dimensions(dimensions, &q))
        return g_array_new(FALSE, TRUE, sizeof(MetricPoint));
    q.cpu = metric->cpu;
    q.absolute = metric->absolute;
    return metrics_read(rq->tx, &q, error);
}

/* -- GetMetricStatistics */

static gboolean read_statistics(const Request *rq, gboolean wanted[STAT__COUNT], GError **error)
{
    const json_t *name;
    size_t n;

    if (json_array_size(request_member(rq, "ExtendedStatistics")))
        return fail(error, UNSUPPORTED, "ExtendedStatistics is not supported here.");
    if (json_array_size(request_member(rq, "Statistics")) == 0)
        return fail(error, METRIC_COMBINATION,
                    "At least one of the parameters Statistics and ExtendedStatistics must be "
                    "specified.");
    json_array_foreach(request_member(rq, "Statistics"), n, name)
        wanted[stat_named(json_string_value(name))] = TRUE; /* the shape knows no others */
    return TRUE;
}

json_t *get_metric_statistics(Request *rq, GError **error)
{
    const char *name = request_text(rq, "MetricName"), *unit = request_text(rq, "Unit");
    const Metric *metric = metric_named(request_text(rq, "Namespace"), name);
    gint64 period_s = request_int(rq, "Period", 60);
    gboolean wanted[STAT__COUNT] = { FALSE };

    if (!read_statistics(rq, wanted, error) ||
        !check_span(request_int(rq, "StartTime", 0), request_int(rq, "EndTime", 0), period_s,
                    POINTS_MAX, error))
        return NULL;
    if (metric && unit && strcmp(unit, metric->unit) != 0)
        metric = NULL; /* nothing was told in this unit */
    g_autoptr(GArray) points =
        read_points(rq, metric, request_member(rq, "Dimensions"), period_s, error);
    if (!points)
        return NULL;
    json_t *list = json_array();
    for (guint i = 0; i < points->len; i++) {
        const MetricPoint *p = &g_array_index(points, MetricPoint, i);
        json_t *item =
            json_pack("{s:I, s:s}", "Timestamp", (json_int_t)p->at_us, "Unit", metric->unit);
        for (gint stat = 0; stat < STAT__COUNT; stat++)
            if (wanted[stat])
                json_object_set_new(item, stat_names[stat], json_real(stat_value(p, (Stat)stat)));
        json_array_append_new(list, item);
    }
    return json_pack("{s:s, s:o}", "Label", name, "Datapoints", list);
}

/* -- GetMetricData */

static json_t *data_of(Request *rq, const json_t *query, GError **error)
{
    const json_t *stat = json_object_get(query, "MetricStat");
    const json_t *asked = json_object_get(stat, "Metric");
    const char *name = tree_text(asked, "MetricName"), *label = tree_text(query, "Label");
    gint64 period_s = tree_int(stat, "Period", 60);
    gint statistic = stat_named(tree_text(stat, "Stat"));

    if (!stat || tree_text(query, "Expression"))
        return fail_null(error, UNSUPPORTED, "Of MetricDataQueries only MetricStat is supported.");
    if (statistic < 0)
        return fail_null(error, METRIC_VALUE, "Stat \"%s\" is not supported here.",
                         tree_text(stat, "Stat"));
    if (!check_span(request_int(rq, "StartTime", 0), request_int(rq, "EndTime", 0), period_s,
                    DATA_POINTS_MAX, error))
        return NULL;
    g_autoptr(GArray) points = read_points(rq, metric_named(tree_text(asked, "Namespace"), name),
                                           json_object_get(asked, "Dimensions"), period_s, error);
    if (!points)
        return NULL;
    gboolean up = g_strcmp0(request_text(rq, "ScanBy"), "TimestampAscending") == 0;
    json_t *times = json_array(), *values = json_array();
    for (guint i = 0; i < points->len; i++) {
        const MetricPoint *p = &g_array_index(points, MetricPoint, up ? i : points->len - 1 - i);
        json_array_append_new(times, json_integer(p->at_us));
        json_array_append_new(values, json_real(stat_value(p, (Stat)statistic)));
    }
    return json_pack("{s:s, s:s, s:o, s:o, s:s}", "Id", tree_text(query, "Id"), "Label",
                     label ? label : name, "Timestamps", times, "Values", values, "StatusCode",
                     "Complete");
}

json_t *get_metric_data(Request *rq, GError **error)
{
    const json_t *queries = request_member(rq, "MetricDataQueries"), *query;
    gint64 most = MIN(request_int(rq, "MaxDatapoints", DATA_POINTS_MAX), DATA_POINTS_MAX);
    json_auto_t *results = json_array();
    gint64 skip = 0;
    size_t n;

    if (json_array_size(queries) > QUERIES_MAX)
        return fail_null(error, METRIC_VALUE, "At most %d MetricDataQueries are taken.",
                         QUERIES_MAX);
    if (!metrics_page_start(rq, &skip, error))
        return NULL;
    json_array_foreach(queries, n, query)
    {
        const json_t *shown = json_object_get(query, "ReturnData");
        json_t *result = data_of(rq, query, error);
        if (!result)
            return NULL;
        if (json_is_false(shown))
            json_decref(result);
        else
            json_array_append_new(results, result);
    }
    return metrics_data_page(results, skip, MAX(most, 1));
}

/* -- ListMetrics */

static json_t *metric_json(const Metric *metric, const MetricSeries *series)
{
    json_t *dimensions =
        json_pack("[{s:s, s:s}]", "Name", "ClusterName", "Value", series->cluster_name);

    if (series->service_name)
        json_array_append_new(dimensions, json_pack("{s:s, s:s}", "Name", "ServiceName", "Value",
                                                    series->service_name));
    return json_pack("{s:s, s:s, s:o}", "Namespace", metric->namespace, "MetricName", metric->name,
                     "Dimensions", dimensions);
}

/* Whether each dimension asked for is one of the metric's, with this value if one is given. */
static gboolean has_dimensions(const json_t *metric, const json_t *asked)
{
    const json_t *filter, *dimension;
    size_t n, m;

    json_array_foreach(asked, n, filter)
    {
        const char *value = tree_text(filter, "Value");
        gboolean found = FALSE;
        json_array_foreach(json_object_get(metric, "Dimensions"), m, dimension) found |=
            g_strcmp0(tree_text(filter, "Name"), tree_text(dimension, "Name")) == 0 &&
            (!value || g_strcmp0(value, tree_text(dimension, "Value")) == 0);
        if (!found)
            return FALSE;
    }
    return TRUE;
}

static gboolean fits(const char *asked, const char *name)
{
    return !asked || strcmp(asked, name) == 0;
}

json_t *list_metrics(Request *rq, GError **error)
{
    const char *namespace = request_text(rq, "Namespace"), *name = request_text(rq, "MetricName");
    g_autoptr(GPtrArray) series =
        metrics_series(rq->tx, rq->account_id, rq->now_us - ACTIVE_US, error);

    json_auto_t *list = json_array();
    gint64 skip = 0;

    if (!series || !metrics_page_start(rq, &skip, error))
        return NULL;
    for (gsize m = 0; m < G_N_ELEMENTS(metrics); m++)
        for (guint i = 0; i < series->len; i++) {
            json_t *item = metric_json(&metrics[m], series->pdata[i]);
            if (fits(namespace, metrics[m].namespace) && fits(name, metrics[m].name) &&
                has_dimensions(item, request_member(rq, "Dimensions")))
                json_array_append(list, item);
            json_decref(item);
        }
    return metrics_page("Metrics", list, skip, METRICS_PAGE);
}
