#include "agent/stats.h"

#include <string.h>

#define MIB (1024 * 1024)

typedef struct {
    char *task_arn, *family, *version;
    char *container;
    char *docker_id;
    json_t *stats;
    gint64 restarts; /* -1: the container has no restart policy */
} Item;

static void item_free(gpointer data)
{
    Item *item = data;

    g_free(item->task_arn);
    g_free(item->family);
    g_free(item->version);
    g_free(item->container);
    g_free(item->docker_id);
    json_decref(item->stats);
    g_free(item);
}

AgentStatsJob *agent_stats_new(const AgentEngine *engine, gpointer owner)
{
    AgentStatsJob *job = g_new0(AgentStatsJob, 1);

    job->owner = owner;
    job->docker = engine->docker;
    job->items = g_ptr_array_new_with_free_func(item_free);
    for (guint i = 0; i < engine->tasks->len; i++) {
        const AgentTask *task = engine->tasks->pdata[i];
        for (guint n = 0; n < task->containers->len; n++) {
            const AgentContainer *c = agent_task_container(task, n);
            if (c->at != AT_RUNNING || !c->docker_id || c->internal)
                continue;
            Item *item = g_new0(Item, 1);
            *item = (Item){ g_strdup(task->arn),
                            g_strdup(task->family),
                            g_strdup(task->version),
                            g_strdup(c->name),
                            g_strdup(c->docker_id),
                            NULL,
                            c->restarts ? (gint64)c->restart_count : -1 };
            g_ptr_array_add(job->items, item);
        }
    }
    return job;
}

void agent_stats_free(AgentStatsJob *job)
{
    if (!job)
        return;
    g_ptr_array_unref(job->items);
    g_free(job);
}

void agent_stats_run(gpointer user)
{
    AgentStatsJob *job = user;

    for (guint i = 0; i < job->items->len; i++) {
        Item *item = job->items->pdata[i];
        item->stats = docker_stats(job->docker, item->docker_id, NULL);
    }
}

static gint64 int_at(const json_t *tree, const char *outer, const char *inner)
{
    return json_integer_value(json_object_get(json_object_get(tree, outer), inner));
}

gboolean agent_stats_cpu(const json_t *stats, const AgentCpu *before, AgentCpu *ret_now,
                         double *ret_percent)
{
    const json_t *cpu = json_object_get(stats, "cpu_stats");

    ret_now->container_ns = int_at(cpu, "cpu_usage", "total_usage");
    ret_now->machine_ns = json_integer_value(json_object_get(cpu, "system_cpu_usage"));
    if (!before || ret_now->machine_ns <= before->machine_ns ||
        ret_now->container_ns < before->container_ns)
        return FALSE;
    *ret_percent = 100.0 * (double)(ret_now->container_ns - before->container_ns) /
                   (double)(ret_now->machine_ns - before->machine_ns);
    return TRUE;
}

gint64 agent_stats_memory_mib(const json_t *stats)
{
    const json_t *memory = json_object_get(stats, "memory_stats");
    gint64 usage = json_integer_value(json_object_get(memory, "usage"));
    gint64 cache = int_at(memory, "stats", "total_inactive_file"); /* cgroup v1 */

    if (cache == 0)
        cache = int_at(memory, "stats", "inactive_file"); /* cgroup v2 */
    return MAX(usage - cache, 0) / MIB;
}

static json_t *real_set(double value)
{
    return json_pack("{s:f, s:f, s:i, s:f}", "min", value, "max", value, "sampleCount", 1, "sum",
                     value);
}

/* A sum over 32 bits goes to its overflow member. */
static json_t *integer_set(gint64 value)
{
    json_int_t low = value & G_MAXUINT32, high = value >> 32;

    return json_pack("{s:I, s:I, s:i, s:I, s:I, s:I, s:I}", "min", low, "max", low, "sampleCount",
                     1, "sum", low, "overflowMin", high, "overflowMax", high, "overflowSum", high);
}

static json_t *network_set(const json_t *stats)
{
    static const struct {
        const char *docker, *ours;
    } counters[] = {
        { "rx_bytes", "rxBytes" },     { "rx_dropped", "rxDropped" }, { "rx_errors", "rxErrors" },
        { "rx_packets", "rxPackets" }, { "tx_bytes", "txBytes" },     { "tx_dropped", "txDropped" },
        { "tx_errors", "txErrors" },   { "tx_packets", "txPackets" },
    };
    json_t *networks = json_object_get(stats, "networks");
    json_t *set = json_object();
    const char *name;
    json_t *network;

    for (gsize i = 0; i < G_N_ELEMENTS(counters); i++) {
        gint64 sum = 0;
        json_object_foreach(networks, name, network) sum +=
            json_integer_value(json_object_get(network, counters[i].docker));
        json_object_set_new(set, counters[i].ours, integer_set(sum));
    }
    return set;
}

static json_t *container_metric(const Item *item, GHashTable *before)
{
    const AgentCpu *last = g_hash_table_lookup(before, item->docker_id);
    AgentCpu now = { .restarts = item->restarts };
    gint64 restarts = last ? item->restarts - last->restarts : 0;
    double percent = 0;

    if (!item->stats)
        return NULL;
    gboolean compared = agent_stats_cpu(item->stats, last, &now, &percent);
    if (!compared && last) /* counters begin anew at a restart: it is said with the next reading */
        now.restarts = last->restarts;
    g_hash_table_replace(before, g_strdup(item->docker_id), g_memdup2(&now, sizeof now));
    if (!compared)
        return NULL;
    json_t *metric = json_pack("{s:s, s:o, s:o}", "containerName", item->container, "cpuStatsSet",
                               real_set(percent), "memoryStatsSet",
                               integer_set(agent_stats_memory_mib(item->stats)));
    if (json_object_size(json_object_get(item->stats, "networks")) > 0)
        json_object_set_new(metric, "networkStatsSet", network_set(item->stats));
    if (item->restarts >= 0)
        json_object_set_new(metric, "restartStatsSet",
                            json_pack("{s:I}", "restartCount", (json_int_t)restarts));
    return metric;
}

/* Forgets containers that run no more. */
static void forget_others(const AgentStatsJob *job, GHashTable *before)
{
    GHashTableIter iter;
    gpointer id;

    g_hash_table_iter_init(&iter, before);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        gboolean here = FALSE;
        for (guint i = 0; i < job->items->len && !here; i++)
            here = strcmp(((const Item *)job->items->pdata[i])->docker_id, id) == 0;
        if (!here)
            g_hash_table_iter_remove(&iter);
    }
}

json_t *agent_stats_metrics(const AgentStatsJob *job, GHashTable *before)
{
    json_t *tasks = json_array();
    json_t *containers = NULL; /* of the task in work */
    const char *arn = "";

    for (guint i = 0; i < job->items->len; i++) {
        const Item *item = job->items->pdata[i];
        json_t *metric = container_metric(item, before);
        if (!metric)
            continue;
        if (strcmp(arn, item->task_arn) != 0) {
            arn = item->task_arn;
            containers = json_array();
            json_array_append_new(tasks, json_pack("{s:s, s:s, s:s, s:o}", "taskArn", arn,
                                                   "taskDefinitionFamily", item->family,
                                                   "taskDefinitionVersion", item->version,
                                                   "containerMetrics", containers));
        }
        json_array_append_new(containers, metric);
    }
    forget_others(job, before);
    return tasks;
}
