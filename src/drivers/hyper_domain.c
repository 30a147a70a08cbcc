#include "base/errors.h"
#include "drivers/hyper_internal.h"
#include "drivers/hyper_xml.h"

#include <string.h>

const char *accelerator_name(Accelerator accelerator)
{
    return accelerator == ACCELERATOR_KVM ? "kvm" : "tcg";
}

/* What we called the domain when it is ours, else NULL. *ret_gone when it vanished meanwhile. */
static char *domain_own_name(Hyper *hyper, virDomainPtr domain, gboolean *ret_gone, GError **error)
{
    const char *full = virDomainGetName(domain); /* first: it forgets libvirt's last error */
    char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
    char *name = NULL;

    *ret_gone = !xml && hyper_last_is(VIR_ERR_NO_DOMAIN);
    if (!xml) {
        if (!*ret_gone)
            hyper_fail(hyper, error, "cannot read domain \"%s\"", full);
        return NULL;
    }
    g_autofree char *installation = hyper_domain_owner(xml, &name);
    free(xml);
    if (g_strcmp0(installation, hyper->settings->install_uuid) != 0)
        g_clear_pointer(&name, g_free);
    return name;
}

/* The domain, when it is ours. NULL with *error, or without when it is absent. */
static virDomainPtr domain_find(Hyper *hyper, const char *uuid, GError **error)
{
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(hyper->conn, uuid);
    g_autoptr(GError) cause = NULL;
    gboolean gone = FALSE;

    if (!domain) {
        if (!hyper_last_is(VIR_ERR_NO_DOMAIN))
            hyper_fail(hyper, error, "cannot look for domain %s", uuid);
        return NULL;
    }
    g_autofree char *name = domain_own_name(hyper, domain, &gone, &cause);
    if (name)
        return g_steal_pointer(&domain);
    if (cause)
        g_propagate_error(error, g_steal_pointer(&cause));
    else if (!gone)
        fail(error, CONFIG, "domain \"%s\" on host \"%s\" was not made by this installation",
             virDomainGetName(domain), hyper->uri);
    return NULL;
}

static DomainOff off_reason(int reason)
{
    switch (reason) {
    case VIR_DOMAIN_SHUTOFF_SHUTDOWN:
        return OFF_SHUTDOWN;
    case VIR_DOMAIN_SHUTOFF_DESTROYED:
        return OFF_DESTROYED;
    case VIR_DOMAIN_SHUTOFF_CRASHED:
        return OFF_CRASHED;
    case VIR_DOMAIN_SHUTOFF_FAILED:
        return OFF_FAILED;
    default:
        return OFF_UNKNOWN;
    }
}

static DomainState state_from(int state)
{
    return state == VIR_DOMAIN_SHUTOFF || state == VIR_DOMAIN_CRASHED ? DOMAIN_OFF : DOMAIN_RUNNING;
}

static gboolean refuse_same_name(Hyper *hyper, const char *name, GError **error)
{
    g_autofree char *full = g_strjoin("-", hyper->settings->name, name, NULL);
    g_autoptr(virDomain) domain = virDomainLookupByName(hyper->conn, full);

    if (domain)
        return fail(error, CONFIG, "host \"%s\" has another domain \"%s\"", hyper->uri, full);
    return hyper_last_is(VIR_ERR_NO_DOMAIN) ||
           hyper_fail(hyper, error, "cannot look for domain \"%s\"", full);
}

gboolean hyper_see(Hyper *hyper, const char *name, const char *uuid, DomainSeen *ret_seen,
                   GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(virDomain) domain = domain_find(hyper, uuid, &cause);
    int state = 0, reason = 0;

    *ret_seen = (DomainSeen){ .state = DOMAIN_ABSENT };
    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (!domain)
        return refuse_same_name(hyper, name, error);
    if (virDomainGetState(domain, &state, &reason, 0) < 0)
        return hyper_last_is(VIR_ERR_NO_DOMAIN) ||
               hyper_fail(hyper, error, "cannot read the state of domain \"%s\"", name);
    ret_seen->state = state_from(state);
    ret_seen->off = ret_seen->state == DOMAIN_OFF ? off_reason(reason) : OFF_UNKNOWN;
    return TRUE;
}

static char *volume_path_or_null(Hyper *hyper, const char *volume, GError **error)
{
    return volume ? hyper_volume_path(hyper, volume, error) : NULL;
}

gboolean hyper_define(Hyper *hyper, const HyperDomain *domain, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *console = hyper_guest_path(hyper->settings, domain->name, GUEST_CONSOLE);
    g_autofree char *host_key = hyper_guest_path(hyper->settings, domain->name, GUEST_HOST_KEY);
    g_autofree char *disk = volume_path_or_null(hyper, domain->disk, &cause);
    g_autofree char *seed = cause ? NULL : volume_path_or_null(hyper, domain->seed, &cause);
    g_autofree char *kernel = cause ? NULL : volume_path_or_null(hyper, domain->kernel, &cause);
    g_autofree char *initrd = cause ? NULL : volume_path_or_null(hyper, domain->initrd, &cause);
    HyperPaths paths = { disk, seed, kernel, initrd, console, host_key };

    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    g_autofree char *xml = hyper_domain_xml(hyper->settings, domain, &paths);
    g_autoptr(virDomain) defined =
        virDomainDefineXMLFlags(hyper->conn, xml, VIR_DOMAIN_DEFINE_VALIDATE);
    return defined || hyper_fail(hyper, error, "cannot define domain of \"%s\"", domain->name);
}

/* Runs act on the domain; when it fails and the domain has meanwhile reached goal, all is well. */
static gboolean domain_act(Hyper *hyper, const char *uuid, const char *what,
                           int (*act)(virDomainPtr), DomainState goal, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(virDomain) domain = domain_find(hyper, uuid, &cause);
    int state = 0;

    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (!domain)
        return goal == DOMAIN_ABSENT || goal == DOMAIN_OFF ||
               fail(error, NOT_FOUND, "cannot %s domain %s: it is absent", what, uuid);
    const char *full = virDomainGetName(domain); /* first: it forgets libvirt's last error */
    if (act(domain) == 0)
        return TRUE;
    hyper_fail(hyper, &cause, "cannot %s domain \"%s\"", what, full);
    if (virDomainGetState(domain, &state, NULL, 0) == 0
            ? state_from(state) == goal
            : goal == DOMAIN_ABSENT && hyper_last_is(VIR_ERR_NO_DOMAIN))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

gboolean hyper_start(Hyper *hyper, const char *uuid, GError **error)
{
    return domain_act(hyper, uuid, "start", virDomainCreate, DOMAIN_RUNNING, error);
}

gboolean hyper_shutdown(Hyper *hyper, const char *uuid, GError **error)
{
    return domain_act(hyper, uuid, "shut down", virDomainShutdown, DOMAIN_OFF, error);
}

static int reset(virDomainPtr domain)
{
    return virDomainReset(domain, 0);
}

gboolean hyper_reset(Hyper *hyper, const char *uuid, GError **error)
{
    return domain_act(hyper, uuid, "reset", reset, DOMAIN_OFF, error);
}

gboolean hyper_destroy(Hyper *hyper, const char *uuid, GError **error)
{
    return domain_act(hyper, uuid, "destroy", virDomainDestroy, DOMAIN_OFF, error);
}

static int undefine(virDomainPtr domain)
{
    return virDomainUndefineFlags(
        domain, VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                    VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM);
}

gboolean hyper_undefine(Hyper *hyper, const char *uuid, GError **error)
{
    return domain_act(hyper, uuid, "undefine", undefine, DOMAIN_ABSENT, error);
}

static int detach_seed(virDomainPtr domain)
{
    static const char xml[] = "<disk type='file' device='disk'>"
                              "<target dev='" HYPER_SEED_DEVICE "' bus='virtio'/></disk>";

    return virDomainDetachDeviceFlags(domain, xml, VIR_DOMAIN_AFFECT_CONFIG) == 0 ||
                   hyper_last_is(VIR_ERR_DEVICE_MISSING)
               ? 0
               : -1;
}

gboolean hyper_seed_remove(Hyper *hyper, const char *uuid, const char *volume, GError **error)
{
    return domain_act(hyper, uuid, "detach the seed disk of", detach_seed, DOMAIN_OFF, error) &&
           hyper_volume_delete(hyper, volume, error);
}

/* ---- listing */

void hyper_listed_free(HyperListed *listed)
{
    g_free(listed->name);
    g_free(listed->uuid);
    g_free(listed);
}

static void list_one(Hyper *hyper, virDomainPtr domain, GPtrArray *list)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    gboolean gone = FALSE;
    int state = 0;
    g_autofree char *name = domain_own_name(hyper, domain, &gone, NULL);

    if (!name || virDomainGetUUIDString(domain, uuid) < 0 ||
        virDomainGetState(domain, &state, NULL, 0) < 0)
        return;
    HyperListed *listed = g_new0(HyperListed, 1);
    listed->name = g_steal_pointer(&name);
    listed->uuid = g_strdup(uuid);
    listed->state = state_from(state);
    g_ptr_array_add(list, listed);
}

GPtrArray *hyper_list(Hyper *hyper, GError **error)
{
    g_autofree char *prefix = g_strconcat(hyper->settings->name, "-", NULL);
    virDomainPtr *domains = NULL;
    int count = virConnectListAllDomains(hyper->conn, &domains, 0);

    if (count < 0) {
        hyper_fail(hyper, error, "cannot list domains");
        return NULL;
    }
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)hyper_listed_free);
    for (int i = 0; i < count; i++) {
        if (g_str_has_prefix(virDomainGetName(domains[i]), prefix))
            list_one(hyper, domains[i], list);
        virDomainFree(domains[i]);
    }
    free(domains);
    return list;
}
