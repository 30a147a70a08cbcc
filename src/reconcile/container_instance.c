/*
 * One pass over one container instance: is its host still there, is its agent? A terminated host
 * ends it; an agent silent for too long is given up, its service tasks are replaced, and when it
 * comes back it is told to stop those, so that nothing runs twice.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "reconcile/kinds.h"
#include "store/container_instances.h"
#include "store/services.h"
#include "store/tasks.h"

#include <string.h>

static gboolean end_with_host(DbTx *tx, gint64 ci_id, const AgentFacts *f, GError **error)
{
    g_autofree char *reason =
        f->host_gone ? g_strdup_printf("Host EC2 (instance %s) terminated.", f->ec2_instance_id)
                     : g_strdup("Container instance deregistration forced by user.");

    return container_instances_end(tx, ci_id, reason, "TerminationNotice", reason, error);
}

/* Nothing runs on a machine that is off; it stays registered and comes back empty. */
static gboolean stop_with_host(DbTx *tx, gint64 ci_id, const AgentFacts *f, GError **error)
{
    g_autofree char *reason =
        g_strdup_printf("Host EC2 (instance %s) stopped.", f->ec2_instance_id);

    return container_instances_stop_tasks(tx, ci_id, "TerminationNotice", reason, error);
}

/* What is due; *ret_wait_us says when to look again, 0: not before something changes. */
static gboolean act(DbTx *tx, gint64 ci_id, const AgentFacts *f, gint64 lost_us,
                    gint64 *ret_wait_us, GError **error)
{
    gboolean inactive = strcmp(f->status, "INACTIVE") == 0;

    if (inactive ? f->live_tasks > 0 : f->host_gone)
        return end_with_host(tx, ci_id, f, error);
    if (inactive)
        return TRUE;
    if (f->host_off && f->live_tasks > 0)
        return stop_with_host(tx, ci_id, f, error);
    if (f->connected && f->lost_us)
        return agent_found(tx, ci_id, error);
    if (f->connected || f->lost_us)
        return TRUE;
    gint64 due = f->silent_us + lost_us - clock_now_us();
    if (due <= 0)
        return agent_lose(tx, ci_id, f->name, error);
    *ret_wait_us = due;
    return TRUE;
}

StepResult container_instance_step(World *world, const char *id, gint64 *ret_again_ms,
                                   GError **error)
{
    gint64 lost_us = (gint64)world->config->agent_lost_seconds * CLOCK_SECOND_US;
    gint64 ci_id = g_ascii_strtoll(id, NULL, 10);
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);
    AgentFacts facts;
    gboolean found = FALSE;
    gint64 wait_us = 0;

    if (!tx || !agent_facts(tx, ci_id, &facts, &found, error))
        return STEP_FAILED;
    if (!found)
        return STEP_SETTLED;
    if (!act(tx, ci_id, &facts, lost_us, &wait_us, error))
        return STEP_FAILED;
    if (wait_us) { /* nothing has changed but that it is silent, of which the channel told */
        *ret_again_ms = wait_us / 1000 + 1;
        return STEP_LATER;
    }
    if (!services_wake_for_instance(tx, ci_id, error) ||
        !db_wake(tx, "cluster", db_int(tx, facts.cluster_id), error))
        return STEP_FAILED;
    FAULT_POINT("container_instance.written");
    if (!db_commit(g_steal_pointer(&tx), error))
        return STEP_FAILED;
    FAULT_POINT("container_instance.seen");
    return STEP_SETTLED;
}
