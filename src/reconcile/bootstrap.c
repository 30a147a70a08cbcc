#include "reconcile/bootstrap.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/fault.h"
#include "base/log.h"
#include "reconcile/kinds.h"
#include "store/container_instances_lost.h"
#include "store/history.h"
#include "store/instances.h"

#include <string.h>

#define NOT_READY_MS     5000
#define REGISTER_POLL_MS 500
#define REGISTER_US      (120 * CLOCK_SECOND_US) /* an agent that is silent so long is looked at */

static gboolean load(World *world, const char *id, Bootstrap **ret_b, Instance **ret_i,
                     gboolean *ret_registered, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);

    return tx && (*ret_b = bootstraps_load(tx, id, error)) &&
           (*ret_i = instances_load(tx, id, error)) &&
           container_instances_registered(tx, id, ret_registered, error);
}

static gboolean record(World *world, const Bootstrap *b, const char *stage, const char *fault,
                       const char *what, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);

    return tx && bootstraps_record_stage(tx, b->instance_id, stage, b->generation, NULL, error) &&
           bootstraps_record_fault(tx, b->instance_id, fault, error) &&
           history_add(tx, "bootstrap", b->instance_id, what, error) &&
           db_commit(g_steal_pointer(&tx), error);
}

/* Those that lie there; an agent that asks for its role's renews them itself. */
static gboolean credentials_old(const Bootstrap *b)
{
    return b->access_key_id &&
           b->credentials_until_us - clock_now_us() < BOOTSTRAP_CREDENTIALS_US / 2;
}

/* Quarantine: a machine that shows another key than the hypervisor reported gets nothing from us.
 */
static StepResult quarantine(World *world, const Bootstrap *b, const GError *cause, GError **error)
{
    log_warn(b->instance_id, "bootstrap refused: %s", cause->message);
    return record(world, b, "unknown", cause->message, cause->message, error) ? STEP_SETTLED
                                                                              : STEP_FAILED;
}

static StepResult run(World *world, const Bootstrap *b, const Instance *i, gint64 *ret_again_ms,
                      GError **error)
{
    g_autoptr(GError) cause = NULL;

    if (bootstrap_run(world, b, i, &cause)) {
        *ret_again_ms = REGISTER_POLL_MS;
        return STEP_LATER;
    }
    if (error_is(cause, ERROR_SSH_HOST_KEY))
        return quarantine(world, b, cause, error);
    g_propagate_error(error, g_steal_pointer(&cause));
    return STEP_FAILED;
}

static StepResult next(World *world, const Bootstrap *b, const Instance *i, gboolean registered,
                       gint64 *ret_again_ms, GError **error)
{
    if (bootstrap_settled(b) && (b->fault || !credentials_old(b)))
        return STEP_SETTLED;
    if (!i->reachable_us || !i->host_keys) {
        *ret_again_ms = NOT_READY_MS; /* its own step wakes this one when it answers */
        return STEP_LATER;
    }
    /* what an earlier generation started or registered is not what is wanted now */
    if (strcmp(b->stage, "started") != 0 || b->seen_generation < b->generation ||
        credentials_old(b))
        return run(world, b, i, ret_again_ms, error);
    if (registered) {
        FAULT_POINT("bootstrap.registered");
        return record(world, b, "registered", NULL, "its agent has registered", error)
                   ? STEP_SETTLED
                   : STEP_FAILED;
    }
    if (clock_now_us() - b->updated_us > REGISTER_US)
        return run(world, b, i, ret_again_ms, error);
    *ret_again_ms = REGISTER_POLL_MS;
    return STEP_LATER;
}

StepResult bootstrap_step(World *world, const char *instance_id, gint64 *ret_again_ms,
                          GError **error)
{
    g_autoptr(Bootstrap) b = NULL;
    g_autoptr(Instance) i = NULL;
    gboolean registered = FALSE;

    if (!load(world, instance_id, &b, &i, &registered, error)) {
        if (!error_is(*error, ERROR_NOT_FOUND))
            return STEP_FAILED;
        g_clear_error(error); /* no agent is wanted there */
        return STEP_SETTLED;
    }
    if (i->terminated_us || i->fault || i->desired != DESIRE_RUNNING || i->seen != SEEN_RUNNING)
        return STEP_SETTLED;
    return next(world, b, i, registered, ret_again_ms, error);
}
