/*
 * One pass over one cluster: every task that waits is placed in one batch, or its service is told
 * why not. The cluster's row is held, so that RunTask does not give the same room away.
 */
#include "base/clock.h"
#include "base/errors.h"
#include "base/fault.h"
#include "reconcile/kinds.h"
#include "store/clusters.h"
#include "store/placement_batch.h"
#include "store/placement_load.h"
#include "store/services.h"

#include <string.h>

#define TELL_AGAIN_US (6 * 3600 * CLOCK_SECOND_US)
#define UNABLE                                                                                     \
    "was unable to place a task because no container instance met all of its requirements. "
#define SEE                                                                                        \
    " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."

typedef struct {
    DbTx *tx;
    PlacementCluster *cluster;
    GArray *keys, *ci_ids; /* of gint64: what goes where */
    GHashTable *started;   /* service name -> Started */
    gint64 now_us;
} Batch;

typedef struct {
    gint64 service_id;
    guint count;
    GString *names;
} Started;

static void started_free(gpointer data)
{
    Started *started = data;

    g_string_free(started->names, TRUE);
    g_free(started);
}

static void batch_clear(Batch *b)
{
    g_clear_pointer(&b->cluster, placement_cluster_free);
    g_clear_pointer(&b->keys, g_array_unref);
    g_clear_pointer(&b->ci_ids, g_array_unref);
    g_clear_pointer(&b->started, g_hash_table_destroy);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Batch, batch_clear)

static void note_started(Batch *b, const WaitingBatch *waiting, guint n)
{
    if (!waiting->service_id)
        return;
    Started *started = g_hash_table_lookup(b->started, waiting->service_name);
    if (!started) {
        started = g_new0(Started, 1);
        started->service_id = waiting->service_id;
        started->names = g_string_new(NULL);
        g_hash_table_insert(b->started, g_strdup(waiting->service_name), started);
    }
    started->count++;
    g_string_append_printf(started->names, " (task %s)", waiting->ids[n]);
}

/* The same failure on another instance is no news. */
static gboolean is_same_failure(const char *told, const char *text)
{
    const char *a = told ? strstr(told, ") ") : NULL;
    const char *b = strstr(text, ") ");

    return g_strcmp0(a ? a : told, b ? b : text) == 0;
}

static gboolean tell_stuck(Batch *b, const WaitingBatch *waiting, const PlacementRequest *request,
                           GError **error)
{
    g_autofree char *text = NULL;
    PlacementReason why;

    if (!waiting->service_id)
        return TRUE;
    if (!placement_explain(b->cluster, request, &why, error))
        return FALSE;
    if (why.closest < 0)
        text = g_strdup(UNABLE "Reason: No Container Instances were found in your cluster." SEE);
    else
        text = g_strdup_printf(UNABLE "The closest matching (container-instance %s) %s." SEE,
                               placement_instance(b->cluster, (guint)why.closest)->name,
                               placement_rule_event(why.rule));
    if (is_same_failure(waiting->stuck_reason, text) &&
        b->now_us - waiting->stuck_us < TELL_AGAIN_US)
        return TRUE;
    return services_set_stuck(b->tx, waiting->service_id, text, error) &&
           service_events_add(b->tx, waiting->service_id, waiting->service_name, text, error);
}

static gboolean place(Batch *b, const WaitingBatch *waiting, GError **error)
{
    g_autofree gint *placed = g_new(gint, waiting->keys->len);
    PlacementRequest request;

    waiting_request(waiting, &request);
    gint count = placement_run(b->cluster, &request, placed, error);
    if (count < 0)
        return FALSE;
    for (guint n = 0; n < (guint)count; n++) {
        gint64 ci_id = placement_instance(b->cluster, (guint)placed[n])->id;
        g_array_append_val(b->keys, g_array_index(waiting->keys, gint64, n));
        g_array_append_val(b->ci_ids, ci_id);
        note_started(b, waiting, n);
    }
    return (guint)count == waiting->keys->len || tell_stuck(b, waiting, &request, error);
}

static gboolean tell_started(Batch *b, GError **error)
{
    GHashTableIter iter;
    gpointer name, value;

    g_hash_table_iter_init(&iter, b->started);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        const Started *started = value;
        g_autofree char *text =
            g_strdup_printf("has started %u tasks:%s.", started->count, started->names->str);
        if (!service_events_add(b->tx, started->service_id, name, text, error))
            return FALSE;
    }
    return TRUE;
}

/* Groups that matter: those of the waiting tasks, or all when an expression asks for others. */
static PlacementCluster *load_cluster(DbTx *tx, gint64 cluster_id, GPtrArray *waiting,
                                      GError **error)
{
    g_autoptr(GPtrArray) groups = g_ptr_array_new();
    const WaitingBatch *first = g_ptr_array_index(waiting, 0);
    gboolean all = FALSE;

    for (guint n = 0; n < waiting->len; n++) {
        const WaitingBatch *batch = g_ptr_array_index(waiting, n);
        g_ptr_array_add(groups, batch->group);
        all |= json_array_size(batch->constraints) + json_array_size(batch->definition_constraints);
    }
    return placement_load(tx, cluster_id, all ? NULL : (const char *const *)groups->pdata,
                          groups->len, (guint64)g_array_index(first->keys, gint64, 0), error);
}

static gboolean place_all(DbTx *tx, gint64 cluster_id, GPtrArray *waiting, GError **error)
{
    g_auto(Batch) b = {
        .tx = tx,
        .cluster = load_cluster(tx, cluster_id, waiting, error),
        .keys = g_array_new(FALSE, FALSE, sizeof(gint64)),
        .ci_ids = g_array_new(FALSE, FALSE, sizeof(gint64)),
        .started = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, started_free),
        .now_us = clock_now_us(),
    };

    if (!b.cluster)
        return FALSE;
    for (guint n = 0; n < waiting->len; n++)
        if (!place(&b, g_ptr_array_index(waiting, n), error))
            return FALSE;
    return tasks_place(tx, b.keys, b.ci_ids, error) && tell_started(&b, error);
}

/* The first agent that came back after a restart would get everything that waits. */
static gboolean wait_for_agents(World *world, DbTx *tx, gint64 cluster_id, gint64 *ret_again_ms,
                                GError **error)
{
    gint64 grace_us = (gint64)world->config->agent_return_seconds * CLOCK_SECOND_US;
    gint64 absent_us = 0;

    if (!placement_absent(tx, cluster_id, &absent_us, error))
        return FALSE;
    *ret_again_ms = placement_wait_us(absent_us, grace_us, clock_now_us()) / 1000;
    return TRUE;
}

StepResult cluster_step(World *world, const char *id, gint64 *ret_again_ms, GError **error)
{
    gint64 cluster_id = g_ascii_strtoll(id, NULL, 10);
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);
    g_autoptr(Cluster) cluster = NULL;
    g_autofree char *account_id = NULL;

    if (!tx || !clusters_get_by_id(tx, cluster_id, CLUSTER_LOCK, &account_id, &cluster, error))
        return STEP_FAILED;
    if (!cluster)
        return STEP_SETTLED;
    g_autoptr(GPtrArray) waiting = tasks_waiting(tx, cluster_id, error);
    if (!waiting)
        return STEP_FAILED;
    if (waiting->len == 0)
        return STEP_SETTLED;
    if (!wait_for_agents(world, tx, cluster_id, ret_again_ms, error))
        return STEP_FAILED;
    if (*ret_again_ms > 0)
        return STEP_LATER;
    if (!place_all(tx, cluster_id, waiting, error))
        return STEP_FAILED;
    FAULT_POINT("cluster.written");
    if (!db_commit(g_steal_pointer(&tx), error))
        return STEP_FAILED;
    FAULT_POINT("cluster.placed");
    return STEP_SETTLED;
}
