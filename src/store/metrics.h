/*
 * store/metrics.h - rows of table "metric_samples": CPU and memory of containers, by the minute
 *
 * Times are UTC microseconds. Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

/* Adds samples as model/telemetry.h makes them, many at once; those of tasks that do not run on the
 * container instance that told of them are left out. */
gboolean metrics_add(DbTx *tx, const json_t *samples, GError **error);

typedef struct {
    const char *account_id;
    const char *cluster_name;
    const char *service_name; /* one of these three, or none for the whole cluster */
    const char *task_id;
    const char *container_instance_id;
    gboolean cpu;      /* else memory */
    gboolean absolute; /* CPU units, MiB; else percent of what task or instance holds */
    gint64 start_us, end_us;
    gint64 period_s;
} MetricQuery;

/* One period: statistics over tasks (of a service, or one task), or over container instances. */
typedef struct {
    gint64 at_us;
    gint64 count;
    double sum, min, max;
} MetricPoint;

/* Points in the order of time, periods without samples left out: a GArray of MetricPoint. A task
 * that holds no CPU or memory of its own is measured by its instance's. */
GArray *metrics_read(DbTx *tx, const MetricQuery *query, GError **error);

typedef struct {
    char *cluster_name;
    char *service_name; /* NULL: the cluster itself */
} MetricSeries;

void metric_series_free(MetricSeries *series);
/* What has told something since since_us, by name: MetricSeries *. */
GPtrArray *metrics_series(DbTx *tx, const char *account_id, gint64 since_us, GError **error);
