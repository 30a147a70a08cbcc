#include "reconcile/instance.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/fault.h"
#include "base/log.h"
#include "reconcile/hosts.h"
#include "reconcile/kinds.h"
#include "store/container_instances_lost.h"
#include "store/history.h"
#include "store/hosts.h"
#include "store/instances.h"
#include "store/instances_seen.h"

#define SHUTDOWN_GRACE_US (60 * CLOCK_SECOND_US) /* then power is cut, as EC2 does */
#define SHUTDOWN_POLL_MS  2000
#define START_LIMIT_US    (180 * CLOCK_SECOND_US) /* one that never ran by then never will */

/* ---- look */

InstanceSeen instance_judge(const Instance *before, const DomainSeen *domain,
                            const char **ret_halt_reason)
{
    static const char *const reasons[] = {
        [OFF_SHUTDOWN] = "the guest powered itself off",
        [OFF_DESTROYED] = "the guest's power was cut on its host, not by Berth",
        [OFF_CRASHED] = "the guest's process ended on its host",
    };

    *ret_halt_reason = NULL;
    if (domain->state == DOMAIN_ABSENT)
        return SEEN_ABSENT;
    if (domain->state == DOMAIN_RUNNING)
        return SEEN_RUNNING;
    if (before->seen == SEEN_HALTED)
        return SEEN_HALTED;
    /* it had settled as running at this generation: nobody of ours switched it off. A host that
     * booted anew does not know why its guests are off: they are started again. */
    if (before->seen == SEEN_RUNNING && before->desired == DESIRE_RUNNING && !before->fault &&
        before->seen_generation >= before->generation && domain->off != OFF_UNKNOWN &&
        domain->off != OFF_FAILED) {
        *ret_halt_reason = reasons[domain->off];
        return SEEN_HALTED;
    }
    return SEEN_OFF;
}

/* ---- record */

static gboolean tell(DbTx *tx, const Instance *i, const char *what, GError **error)
{
    return history_add(tx, "instance", i->id, what, error);
}

/* A guest that terminates when it halts is from now on wanted so: once its domain is gone, nothing
 * else would tell. */
static gboolean record_halt(DbTx *tx, const Instance *i, const char *halt, GError **error)
{
    g_autofree char *reason = g_strconcat("Server.InstanceShutdown: ", halt, NULL);
    const char *const ids[] = { i->id, NULL };

    if (i->shutdown_terminates)
        return instances_desire(tx, ids, DESIRE_TERMINATED, reason, error);
    return instances_record_halt_reason(tx, i->id, reason, error);
}

static gboolean record_change(DbTx *tx, const Instance *i, InstanceSeen seen, const char *halt,
                              GError **error)
{
    g_autofree char *what =
        g_strconcat("seen ", instance_seen_name(seen), halt ? ": " : NULL, halt, NULL);

    if (!tell(tx, i, what, error))
        return FALSE;
    if (halt && !record_halt(tx, i, halt, error))
        return FALSE;
    return seen == SEEN_RUNNING || container_instances_wake(tx, i->id, error);
}

/* Writes what is seen, and brings the record up to date with it. */
static gboolean record_seen(World *world, Instance *i, InstanceSeen seen, const char *halt,
                            GError **error)
{
    gboolean changed = i->seen != seen, defined = seen != SEEN_ABSENT && !i->ever_defined;

    i->seen = seen;
    if (seen == SEEN_HALTED && changed)
        i->seen_generation = i->generation;
    gint64 settled = instance_act(i) == ACT_NONE ? i->generation : 0;
    if (!changed && !defined && (!settled || i->seen_generation >= settled))
        return TRUE;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);
    if (!tx || !instances_record_seen(tx, i->id, seen, settled, error) ||
        (defined && !instances_record_defined(tx, i->id, error)) ||
        (changed && !record_change(tx, i, seen, halt, error)) ||
        !db_commit(g_steal_pointer(&tx), error))
        return FALSE;
    FAULT_POINT("instance.seen");
    if (changed)
        log_info(i->id, "seen %s%s%s", instance_seen_name(seen), halt ? ": " : "",
                 halt ? halt : "");
    return TRUE;
}

static gboolean record_fault(World *world, const Instance *i, const char *message, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);

    log_warn(i->id, "ends: %s", message);
    return tx && instances_record_fault(tx, i->id, "Server.InternalError", message, error) &&
           tell(tx, i, message, error) && container_instances_wake(tx, i->id, error) &&
           db_commit(g_steal_pointer(&tx), error);
}

static gboolean record_terminated(World *world, const Instance *i, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);

    return tx && instances_record_terminated(tx, i->id, error) &&
           tell(tx, i, "nothing of it is left on its host", error) &&
           container_instances_wake(tx, i->id, error) && db_commit(g_steal_pointer(&tx), error);
}

/* It ends without its host, which a person has given up; should the host come back, what is found
 * there belongs to nobody and is removed. */
static gboolean record_lost(World *world, const Instance *i, const Host *host, GError **error)
{
    const char *called = host->hostname ? host->hostname : host->uri;
    g_autofree char *message =
        g_strdup_printf("its host \"%s\" (%s) was lost for good", host->id, called);
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);

    log_warn(i->id, "ends: %s", message);
    return tx && instances_record_fault(tx, i->id, "Server.InternalError", message, error) &&
           instances_record_terminated(tx, i->id, error) && tell(tx, i, message, error) &&
           container_instances_wake(tx, i->id, error) && db_wake(tx, "host", host->id, error) &&
           db_commit(g_steal_pointer(&tx), error);
}

static gboolean record_rebooted(World *world, const Instance *i, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);

    return tx && instances_record_rebooted(tx, i->id, i->reboot_generation, error) &&
           tell(tx, i, "boots again", error) && db_commit(g_steal_pointer(&tx), error);
}

/* ---- act */

/* Asks the guest to power off, again and again: it may not listen yet. *ret_asked_us is when it was
 * first asked so at this generation; 0: that was now, and is written down. */
static gboolean ask_off(World *world, Hyper *hyper, const Instance *i, const char *what,
                        gint64 *ret_asked_us, GError **error)
{
    g_autofree char *entry =
        g_strdup_printf("asked to %s (generation %" G_GINT64_FORMAT ")", what, i->generation);
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);

    if (!tx || !history_find(tx, i->id, entry, ret_asked_us, error) ||
        (!*ret_asked_us && !tell(tx, i, entry, error)))
        return FALSE;
    /* a guest that is going down already refuses to be asked again */
    return hyper_shutdown(hyper, i->domain_uuid, *ret_asked_us ? NULL : error) || *ret_asked_us;
}

static StepResult act_shutdown(World *world, Hyper *hyper, const Instance *i, gint64 *ret_again_ms,
                               GError **error)
{
    gint64 asked_us = 0;

    if (!ask_off(world, hyper, i, "shut down", &asked_us, error))
        return STEP_FAILED;
    if (asked_us && clock_now_us() - asked_us > SHUTDOWN_GRACE_US)
        return hyper_destroy(hyper, i->domain_uuid, error) ? STEP_AGAIN : STEP_FAILED;
    FAULT_POINT("instance.shutdown");
    *ret_again_ms = SHUTDOWN_POLL_MS;
    return STEP_LATER;
}

/* A reboot is over with its start: one that is killed in between finds a guest that is off. */
static StepResult act_start(World *world, Hyper *hyper, const Instance *i, GError **error)
{
    if (instance_reboots(i) && !record_rebooted(world, i, error))
        return STEP_FAILED;
    if (!hyper_ensure(hyper, error) || !hyper_address_add(hyper, i->mac, i->private_ip, error) ||
        !hyper_start(hyper, i->domain_uuid, error))
        return STEP_FAILED;
    FAULT_POINT("instance.started");
    return STEP_AGAIN;
}

/* Off by its own doing, so that what was written is safe, and started then; one that does not hear
 * is reset. Libvirt's own reboot would not say whether the guest has gone down. */
static StepResult act_reboot(World *world, Hyper *hyper, const Instance *i, gint64 *ret_again_ms,
                             GError **error)
{
    gint64 asked_us = 0, grace_us = (gint64)world->config->reboot_seconds * CLOCK_SECOND_US;

    if (!ask_off(world, hyper, i, "reboot", &asked_us, error))
        return STEP_FAILED;
    FAULT_POINT("instance.rebooted");
    if (!asked_us || clock_now_us() - asked_us <= grace_us) {
        *ret_again_ms = SHUTDOWN_POLL_MS;
        return STEP_LATER;
    }
    return hyper_reset(hyper, i->domain_uuid, error) && record_rebooted(world, i, error)
               ? STEP_AGAIN
               : STEP_FAILED;
}

/* Nothing to do by the rule: a guest that runs is watched, one that has ended is cleaned up. */
static StepResult settle(World *world, Hyper *hyper, const Instance *i, gint64 *ret_again_ms,
                         GError **error)
{
    if (i->seen == SEEN_RUNNING)
        return instance_watch(world, hyper, i, ret_again_ms, error);
    if (instance_rule(i)->state != INSTANCE_TERMINATED)
        return STEP_SETTLED;
    if (!instance_clean(hyper, i, error))
        return STEP_FAILED;
    FAULT_POINT("instance.cleaned");
    return record_terminated(world, i, error) ? STEP_SETTLED : STEP_FAILED;
}

static StepResult act(World *world, Hyper *hyper, const Instance *i, gint64 *ret_again_ms,
                      GError **error)
{
    switch (instance_act(i)) {
    case ACT_NONE:
        return settle(world, hyper, i, ret_again_ms, error);
    case ACT_DEFINE:
        return instance_define(world, hyper, i, ret_again_ms, error);
    case ACT_START:
        return act_start(world, hyper, i, error);
    case ACT_SHUTDOWN:
        return act_shutdown(world, hyper, i, ret_again_ms, error);
    case ACT_REBOOT:
        return act_reboot(world, hyper, i, ret_again_ms, error);
    case ACT_DESTROY:
        if (!hyper_destroy(hyper, i->domain_uuid, error))
            return STEP_FAILED;
        FAULT_POINT("instance.destroyed");
        return STEP_AGAIN;
    case ACT_UNDEFINE:
        if (!hyper_undefine(hyper, i->domain_uuid, error))
            return STEP_FAILED;
        FAULT_POINT("instance.undefined");
        return STEP_AGAIN;
    case ACT__COUNT:
        break;
    }
    g_assert_not_reached();
}

/* A domain that was there and is not any more took the instance's disk's user with it. */
static gboolean has_vanished(const Instance *i, InstanceSeen seen)
{
    return seen == SEEN_ABSENT && i->ever_defined && !i->fault && i->desired != DESIRE_TERMINATED &&
           instance_row(i) != DESIRE_TERMINATED;
}

static StepResult end_with(World *world, const Instance *i, const char *message, GError **error)
{
    if (!record_fault(world, i, message, error))
        return STEP_FAILED;
    FAULT_POINT("instance.fault");
    return STEP_AGAIN;
}

/* A permanent failure, or one that lasts while the instance has never run, ends it; others wait. */
static StepResult act_or_end(World *world, Hyper *hyper, Instance *i, gint64 *ret_again_ms,
                             GError **error)
{
    g_autoptr(GError) cause = NULL;
    StepResult result = act(world, hyper, i, ret_again_ms, &cause);

    if (result != STEP_FAILED)
        return result;
    gboolean ours = error_is(cause, ERROR_HYPERVISOR) || error_is(cause, ERROR_CONFIG) ||
                    error_is(cause, ERROR_NOT_FOUND);
    gboolean never_ran = i->seen_generation == 0 && i->desired == DESIRE_RUNNING;
    gboolean too_long = clock_now_us() - i->launched_us > START_LIMIT_US;
    if (ours && never_ran && !i->fault && (too_long || !error_is_transient(cause)))
        return end_with(world, i, cause->message, error);
    g_propagate_error(error, g_steal_pointer(&cause));
    return STEP_FAILED;
}

static Instance *load(World *world, const char *id, Host **ret_host, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);
    g_autoptr(Instance) i = tx ? instances_load(tx, id, error) : NULL;

    *ret_host = i ? hosts_get(tx, i->host_id, FALSE, error) : NULL;
    return *ret_host ? g_steal_pointer(&i) : NULL;
}

StepResult instance_step(World *world, const char *instance_id, gint64 *ret_again_ms,
                         GError **error)
{
    g_autoptr(Host) host = NULL;
    g_autoptr(Instance) i = load(world, instance_id, &host, error);
    const char *halt = NULL;
    DomainSeen domain;

    if (!i)
        return STEP_FAILED;
    if (i->terminated_us)
        return STEP_SETTLED;
    if (host->lost_us)
        return record_lost(world, i, host, error) ? STEP_SETTLED : STEP_FAILED;
    g_autoptr(Hyper) hyper = host_pool_get(world->hosts, host->uri, error);
    if (!hyper || !hyper_see(hyper, i->id, i->domain_uuid, &domain, error))
        return STEP_FAILED;
    InstanceSeen seen = instance_judge(i, &domain, &halt);
    if (has_vanished(i, seen)) {
        g_autofree char *message = g_strdup_printf("domain \"%s-%s\" vanished from host \"%s\"",
                                                   world->config->name, i->id, host->uri);
        return end_with(world, i, message, error);
    }
    if (!record_seen(world, i, seen, halt, error) ||
        !instance_serve_console(world, hyper, i, error))
        return STEP_FAILED;
    return act_or_end(world, hyper, i, ret_again_ms, error);
}
