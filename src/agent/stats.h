/*
 * agent/stats.h - Docker's counters of running containers -> metrics of tasks
 *
 * One reading an interval: sampleCount is 1. CPU is percent of the whole machine, against the
 * reading before; memory is MiB without page cache. Restarts are those since the reading before.
 * Source: agent protocol, PublishMetricsRequest; Docker Engine API v1.41, ContainerStats.
 */
#pragma once

#include "agent/engine.h"

typedef struct {
    gint64 container_ns; /* CPU time of the container */
    gint64 machine_ns;   /* of all CPUs, busy or not */
    gint64 restarts;     /* by the container's policy, so far; -1: it has none */
} AgentCpu;

typedef struct {
    gpointer owner;
    Docker *docker; /* borrowed */
    GPtrArray *items;
} AgentStatsJob;

/* What is to be read: the containers that run now. Caller owns. */
AgentStatsJob *agent_stats_new(const AgentEngine *engine, gpointer owner);
void agent_stats_free(AgentStatsJob *job);
void agent_stats_run(gpointer job);
/* List of TaskMetric; before is container id -> AgentCpu and is brought up to date. Caller owns. */
json_t *agent_stats_metrics(const AgentStatsJob *job, GHashTable *before);

/* cpuStatsSet's value of one reading; FALSE without an earlier one. */
gboolean agent_stats_cpu(const json_t *stats, const AgentCpu *before, AgentCpu *ret_now,
                         double *ret_percent);
gint64 agent_stats_memory_mib(const json_t *stats);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentStatsJob, agent_stats_free)
