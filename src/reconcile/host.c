#include "base/errors.h"
#include "base/fault.h"
#include "base/log.h"
#include "reconcile/hosts.h"
#include "reconcile/kinds.h"
#include "reconcile/queue.h"
#include "store/history.h"
#include "store/hosts.h"
#include "store/hosts_seen.h"

#include <string.h>

#define STILL_USED_MS 10000

static gboolean record(World *world, const Host *host, const HostSeen *seen, const char *what,
                       GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);

    return tx && hosts_record_seen(tx, host->id, host->check_generation, seen, error) &&
           (!what || history_add(tx, "host", host->id, what, error)) &&
           db_commit(g_steal_pointer(&tx), error);
}

/* A host that cannot be worked on takes no new instances until it can. */
static void record_down(World *world, const Host *host, const GError *cause)
{
    HostSeen seen = { .state = "down", .fault = cause->message };
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
    gboolean trial = trial_is_due(host);
    if (trial && !hyper_try_kvm(hyper, &accelerator, &reason, error))
        return FALSE;
    if (reason)
        log_info(host->id, "%s: %s", accelerator_name(accelerator), reason);
    HostSeen seen = {
        .state = "up",
        .hostname = facts->hostname,
        .vcpus = (gint)facts->vcpus,
        .memory_mib = (gint)facts->memory_mib,
        .architecture = facts->architecture,
        .accelerator = trial ? accelerator_name(accelerator) : NULL,
    };
    return record(world, host, &seen, reason, error);
}

static StepResult step_check(World *world, const Host *host, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(Hyper) hyper = host_pool_get(world->hosts, host->uri, &cause);

    if (hyper && check(world, hyper, host, &cause)) {
        wake_push(world->wakes, "hypervisor", host->uri);
        return STEP_SETTLED;
    }
    if (!error_is(cause, ERROR_UNAVAILABLE))
        record_down(world, host, cause);
    g_propagate_error(error, g_steal_pointer(&cause));
    return STEP_FAILED;
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
    g_autoptr(Hyper) hyper = host_pool_get(world->hosts, host->uri, &cause);
    if ((hyper && hyper_remove(hyper, &cause)) || error_is(cause, ERROR_HOST_UNREACHABLE))
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
    return step_check(world, host, error);
}
