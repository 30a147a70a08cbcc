#include "base/errors.h"
#include "base/fault.h"
#include "base/log.h"
#include "reconcile/hosts.h"
#include "reconcile/hypervisor.h"
#include "reconcile/kinds.h"
#include "reconcile/queue.h"
#include "store/history.h"
#include "store/hosts.h"
#include "store/hosts_seen.h"

#include <string.h>

#define STILL_USED_MS 10000
#define AWAY_MS       10000 /* one that was not reached is looked for so often */

/* The same libvirt by two URIs would be sold twice. */
static gboolean claim_machine(DbTx *tx, const Host *host, const char *machine, GError **error)
{
    g_autofree char *owner = NULL;

    if (!hosts_machine_owner(tx, host->id, host->uri, machine, &owner, error))
        return FALSE;
    if (!owner)
        return TRUE;
    return fail(error, CONFIG,
                "this machine is host \"%s\" already (libvirt tells %s for both); two that are not "
                "one need a host_uuid each in their libvirtd.conf",
                owner, machine);
}

static gboolean record(World *world, const Host *host, const HostSeen *seen, const char *what,
                       GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);

    gboolean back = strcmp(seen->state, "up") == 0 && strcmp(host->state, "up") != 0;

    return tx && (!seen->machine || claim_machine(tx, host, seen->machine, error)) &&
           hosts_record_seen(tx, host->id, host->check_generation, seen, error) &&
           (!back || hosts_wake_instances(tx, host->id, error)) &&
           (!what || history_add(tx, "host", host->id, what, error)) &&
           db_commit(g_steal_pointer(&tx), error);
}

/* A host that cannot be worked on takes no new instances until it can. */
static void record_down(World *world, const Host *host, const GError *cause)
{
    HostSeen seen = { .state = "down",
                      .fault = cause->message,
                      .unreachable = error_is(cause, ERROR_HOST_UNREACHABLE) };
    g_autoptr(GError) error = NULL;
    g_autofree char *what = g_strconcat("down: ", cause->message, NULL);
    gboolean news = strcmp(host->state, "down") != 0 || g_strcmp0(host->fault, cause->message) != 0;

    if (!record(world, host, &seen, news ? what : NULL, &error))
        log_warn(host->id, "cannot record that it is down: %s", error->message);
}

/* Tried again when somebody asks for a check and when the host was away: it may have booted. */
static gboolean trial_is_due(const Host *host)
{
    return !host->accelerator || host->seen_generation < host->check_generation ||
           strcmp(host->state, "up") != 0;
}

static gboolean check(World *world, Hyper *hyper, const Host *host, GError **error)
{
    g_autoptr(HyperFacts) facts = hyper_facts(hyper, error);
    Accelerator accelerator = ACCELERATOR_TCG;
    g_autofree char *reason = NULL;

    if (!facts || !hyper_ensure(hyper, error))
        return FALSE;
    FAULT_POINT("host.ensured");
    gboolean trial = trial_is_due(host), here = FALSE;
    /* before anything is placed there: a guest that was given up may still run, with an address
     * that is another's by now */
    if (strcmp(host->state, "up") != 0 && !hypervisor_end_strays(world, hyper, error))
        return FALSE;
    if (!hyper_network_here(hyper, &here, error))
        return FALSE;
    if (trial && !hyper_try_kvm(hyper, &accelerator, &reason, error))
        return FALSE;
    if (reason)
        log_info(host->id, "%s: %s", accelerator_name(accelerator), reason);
    g_autofree char *news = trial ? g_strconcat("up: ", reason, NULL) : NULL;
    HostSeen seen = {
        .state = "up",
        .hostname = facts->hostname,
        .vcpus = (gint)facts->vcpus,
        .memory_mib = (gint)facts->memory_mib,
        .architecture = facts->architecture,
        .accelerator = trial ? accelerator_name(accelerator) : NULL,
        .machine = facts->machine,
        .network = here ? "here" : "apart",
    };
    return record(world, host, &seen, news, error);
}

static StepResult step_check(World *world, const Host *host, gint64 *ret_again_ms, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(Hyper) hyper = host_pool_get(world->hosts, host->uri, &cause);

    if (hyper && check(world, hyper, host, &cause)) {
        wake_push(world->wakes, "hypervisor", host->uri);
        return STEP_SETTLED;
    }
    if (!error_is(cause, ERROR_UNAVAILABLE))
        record_down(world, host, cause);
    if (error_is(cause, ERROR_HOST_UNREACHABLE)) {
        *ret_again_ms = AWAY_MS; /* it may be back any time; what it lacks stands in its row */
        return STEP_LATER;
    }
    g_propagate_error(error, g_steal_pointer(&cause));
    return STEP_FAILED;
}

/* Whether somebody else's row has the machine: its objects are that one's. */
static gboolean machine_is_anothers(World *world, const Host *host, Hyper *hyper,
                                    gboolean *ret_anothers, GError **error)
{
    g_autoptr(HyperFacts) facts = hyper_facts(hyper, error);
    g_autoptr(DbTx) tx = facts ? db_begin(world->region, DB_MODE_WRITE, error) : NULL;
    g_autofree char *owner = NULL;

    if (!tx || (facts->machine &&
                !hosts_machine_owner(tx, host->id, host->uri, facts->machine, &owner, error)))
        return FALSE;
    *ret_anothers = owner != NULL;
    return TRUE;
}

static gboolean remove_objects(World *world, const Host *host, GError **error)
{
    g_autoptr(Hyper) hyper = host_pool_get(world->hosts, host->uri, error);
    gboolean anothers = FALSE;

    return hyper && machine_is_anothers(world, host, hyper, &anothers, error) &&
           (anothers || (hypervisor_end_strays(world, hyper, error) && hyper_remove(hyper, error)));
}

/* Our objects go with the last host row that needs them. A host that is gone for good is let go. */
static gboolean tidy(World *world, const Host *host, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);
    gboolean shared = TRUE;

    if (!tx || !hosts_uri_shared(tx, host->id, host->uri, &shared, error))
        return FALSE;
    db_rollback(g_steal_pointer(&tx));
    if (shared)
        return TRUE;
    if (remove_objects(world, host, &cause) || error_is(cause, ERROR_HOST_UNREACHABLE))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

static StepResult step_remove(World *world, const Host *host, gint64 *ret_again_ms, GError **error)
{
    HostSeen seen = { .state = "removed" };

    if (strcmp(host->state, "removed") == 0)
        return STEP_SETTLED;
    if (host->instances > 0) {
        *ret_again_ms = STILL_USED_MS;
        return STEP_LATER;
    }
    if (!tidy(world, host, error))
        return STEP_FAILED;
    FAULT_POINT("host.removed");
    return record(world, host, &seen, "removed", error) ? STEP_SETTLED : STEP_FAILED;
}

StepResult host_step(World *world, const char *host_id, gint64 *ret_again_ms, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);
    g_autoptr(Host) host = tx ? hosts_get(tx, host_id, FALSE, error) : NULL;

    if (!host)
        return STEP_FAILED;
    db_rollback(g_steal_pointer(&tx));
    if (strcmp(host->desired, "removed") == 0)
        return step_remove(world, host, ret_again_ms, error);
    return step_check(world, host, ret_again_ms, error);
}
