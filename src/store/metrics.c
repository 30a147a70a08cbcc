#include "store/metrics.h"

#include <stdlib.h>

gboolean metrics_add(DbTx *tx, const json_t *samples, GError **error)
{
    char *text = json_dumps(samples, JSON_COMPACT);
    gboolean done = db_exec(
        tx, error,
        "INSERT INTO metric_samples (cluster_id, ci_id, task_key, service_id, container, minute,"
        " cpu_count, cpu_sum, cpu_min, cpu_max, memory_count, memory_sum, memory_min, memory_max)"
        " SELECT ci.cluster_id, s.ci, coalesce(t.task_key, 0), min(t.service_id), s.container,"
        " to_timestamp(s.minute), sum(cpu_count), sum(cpu_sum), min(cpu_min), max(cpu_max),"
        " sum(memory_count), sum(memory_sum), min(memory_min), max(memory_max)"
        " FROM jsonb_to_recordset($1::jsonb) AS s (ci bigint, task text, container text,"
        "  minute bigint, cpu_count bigint, cpu_sum float8, cpu_min float8, cpu_max float8,"
        "  memory_count bigint, memory_sum float8, memory_min float8, memory_max float8)"
        " JOIN container_instances ci ON ci.ci_id = s.ci"
        " LEFT JOIN tasks t ON t.task_id = s.task AND t.ci_id = s.ci"
        " WHERE s.task IS NULL OR t.task_key IS NOT NULL"
        " GROUP BY ci.cluster_id, s.ci, t.task_key, s.container, s.minute"
        " ORDER BY 1, 6, 2, 3, 5"
        " ON CONFLICT (cluster_id, minute, ci_id, task_key, container) DO UPDATE SET"
        " cpu_count = metric_samples.cpu_count + EXCLUDED.cpu_count,"
        " cpu_sum = metric_samples.cpu_sum + EXCLUDED.cpu_sum,"
        " cpu_min = least(metric_samples.cpu_min, EXCLUDED.cpu_min),"
        " cpu_max = greatest(metric_samples.cpu_max, EXCLUDED.cpu_max),"
        " memory_count = metric_samples.memory_count + EXCLUDED.memory_count,"
        " memory_sum = metric_samples.memory_sum + EXCLUDED.memory_sum,"
        " memory_min = least(metric_samples.memory_min, EXCLUDED.memory_min),"
        " memory_max = greatest(metric_samples.memory_max, EXCLUDED.memory_max)",
        DB_ARGS(text), NULL);

    free(text);
    return done;
}

/* Innermost: a container's minute, and what its value is multiplied with. Then an owner's minute:
 * the sum over its containers. Then a period. $1 account .. $5 instance, $6 cpu?, $7 absolute?, $8
 * start, $9 end, $10 period. */
#define READ                                                                                       \
    "SELECT (bucket * 1000000)::bigint, count(*), sum(a), min(lo), max(hi) FROM ("                 \
    " SELECT floor(extract(epoch FROM minute) / $10::bigint) * $10::bigint AS bucket,"             \
    "  sum(a) * scale AS a, sum(lo) * scale AS lo, sum(hi) * scale AS hi FROM ("                   \
    "  SELECT m.minute, CASE WHEN $3::text IS NULL AND $4::text IS NULL THEN m.ci_id"              \
    "    ELSE m.task_key END AS owner,"                                                            \
    "   CASE WHEN $6::boolean THEN cpu_sum / cpu_count ELSE memory_sum / memory_count END AS a,"   \
    "   CASE WHEN $6::boolean THEN cpu_min ELSE memory_min END AS lo,"                             \
    "   CASE WHEN $6::boolean THEN cpu_max ELSE memory_max END AS hi,"                             \
    "   CASE WHEN $6::boolean AND $7::boolean THEN ci.cpu / 100.0"                                 \
    "    WHEN $7::boolean THEN 1"                                                                  \
    "    WHEN $3::text IS NULL AND $4::text IS NULL THEN"                                          \
    "     CASE WHEN $6::boolean THEN 1 ELSE 100.0 / nullif(ci.memory_mib, 0) END"                  \
    "    WHEN $6::boolean THEN ci.cpu::float8 / coalesce(nullif(t.cpu, 0), nullif(ci.cpu, 0))"     \
    "    ELSE 100.0 / coalesce(nullif(t.memory_mib, 0), nullif(ci.memory_mib, 0))"                 \
    "    END AS scale"                                                                             \
    "  FROM clusters c JOIN metric_samples m ON m.cluster_id = c.cluster_id"                       \
    "  JOIN container_instances ci ON ci.ci_id = m.ci_id"                                          \
    "  LEFT JOIN tasks t ON t.task_key = m.task_key"                                               \
    "  WHERE c.account_id = $1 AND c.cluster_name = $2 AND m.minute >= $8 AND m.minute < $9"       \
    "  AND ($3::text IS NULL OR m.service_id IN (SELECT service_id FROM services s"                \
    "   WHERE s.cluster_id = c.cluster_id AND s.service_name = $3))"                               \
    "  AND ($4::text IS NULL OR t.task_id = $4)"                                                   \
    "  AND ($5::text IS NULL OR ci.container_instance_id = $5)) part"                              \
    " WHERE scale IS NOT NULL GROUP BY minute, owner, scale) whole GROUP BY bucket ORDER BY "      \
    "bucket"

GArray *metrics_read(DbTx *tx, const MetricQuery *q, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error, READ,
        DB_ARGS(q->account_id, q->cluster_name, q->service_name, q->task_id,
                q->container_instance_id, db_bool(q->cpu), db_bool(q->absolute),
                db_time(tx, q->start_us), db_time(tx, q->end_us), db_int(tx, q->period_s)));

    if (!res)
        return NULL;
    GArray *points = g_array_new(FALSE, TRUE, sizeof(MetricPoint));
    for (int row = 0; row < PQntuples(res); row++) {
        const MetricPoint point = { .at_us = db_int64(res, row, 0),
                                    .count = db_int64(res, row, 1),
                                    .sum = g_ascii_strtod(db_text(res, row, 2), NULL),
                                    .min = g_ascii_strtod(db_text(res, row, 3), NULL),
                                    .max = g_ascii_strtod(db_text(res, row, 4), NULL) };
        g_array_append_val(points, point);
    }
    return points;
}

void metric_series_free(MetricSeries *series)
{
    g_free(series->cluster_name);
    g_free(series->service_name);
    g_free(series);
}

GPtrArray *metrics_series(DbTx *tx, const char *account_id, gint64 since_us, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "WITH told AS (SELECT DISTINCT c.cluster_name, m.service_id FROM clusters c"
        "  JOIN metric_samples m USING (cluster_id) WHERE c.account_id = $1 AND m.minute >= $2)"
        " SELECT cluster_name, NULL FROM told UNION"
        " SELECT cluster_name, service_name FROM told JOIN services USING (service_id)"
        " ORDER BY 1, 2 NULLS FIRST",
        DB_ARGS(account_id, db_time(tx, since_us)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)metric_series_free);
    for (int row = 0; row < PQntuples(res); row++) {
        MetricSeries *series = g_new0(MetricSeries, 1);
        series->cluster_name = g_strdup(db_text(res, row, 0));
        series->service_name = g_strdup(db_text(res, row, 1));
        g_ptr_array_add(list, series);
    }
    return list;
}
