/*
 * model/telemetry.h - what an agent's PublishMetricsRequest says, as rows of minutes
 *
 * Pure. CPU is percent of the whole instance, memory is MiB, both as sums over samples with their
 * least and greatest. Source: ECS agent, telemetry session; TaskMetric, CWStatsSet.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#define TELEMETRY_SAMPLES_MAX 1000 /* of one message */

/* Appends to samples {ci, task, container, minute, cpu_count, cpu_sum, cpu_min, cpu_max,
 * memory_...} for each container that message tells of; for an idle instance one of zeros, without
 * task. minute is seconds since 1970, from the message's time where that is near now_us, else from
 * now_us. Sets that make no sense are left out. */
void telemetry_samples(json_t *samples, gint64 ci_id, const json_t *message, gint64 now_us);
