#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "drivers/hyper_internal.h"
#include "drivers/hyper_xml.h"

#include <string.h>

void hyper_facts_free(HyperFacts *facts)
{
    if (!facts)
        return;
    g_free(facts->hostname);
    g_free(facts->machine);
    g_free(facts->architecture);
    g_free(facts);
}

/* The node's record counts the pages of its first cells only; the statistics count all. */
static guint memory_mib(Hyper *hyper, unsigned long fallback_kib)
{
    virNodeMemoryStats stats[16];
    int count = G_N_ELEMENTS(stats);

    if (virNodeGetMemoryStats(hyper->conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &count, 0) == 0)
        for (int i = 0; i < count; i++)
            if (strcmp(stats[i].field, VIR_NODE_MEMORY_STATS_TOTAL) == 0)
                return (guint)(stats[i].value / 1024);
    return (guint)(fallback_kib / 1024);
}

static char *machine_uuid(Hyper *hyper)
{
    char *xml = virConnectGetCapabilities(hyper->conn);
    char *uuid = xml ? hyper_capabilities_host(xml) : NULL;

    free(xml);
    return uuid;
}

HyperFacts *hyper_facts(Hyper *hyper, GError **error)
{
    g_autoptr(HyperFacts) facts = g_new0(HyperFacts, 1);
    virNodeInfo node;
    char *hostname = virConnectGetHostname(hyper->conn);

    if (!hostname || virNodeGetInfo(hyper->conn, &node) < 0) {
        free(hostname);
        hyper_fail(hyper, error, "cannot read what the host has");
        return NULL;
    }
    facts->hostname = g_strdup(hostname);
    free(hostname);
    facts->architecture = g_strdup(strcmp(node.model, "aarch64") == 0 ? "arm64" : node.model);
    facts->machine = machine_uuid(hyper);
    facts->vcpus = node.cpus;
    facts->memory_mib = memory_mib(hyper, node.memory);
    return g_steal_pointer(&facts);
}

gboolean hyper_ensure(Hyper *hyper, GError **error)
{
    return hyper_pools_ensure(hyper, error) && hyper_network_ensure(hyper, error);
}

gboolean hyper_remove(Hyper *hyper, GError **error)
{
    g_autoptr(GPtrArray) domains = hyper_list(hyper, error);

    if (!domains)
        return FALSE;
    if (domains->len > 0)
        return fail(error, CONFIG, "host \"%s\" has %u domains of this installation, \"%s\" first",
                    hyper->uri, domains->len, ((HyperListed *)domains->pdata[0])->name);
    return hyper_network_remove(hyper, error) && hyper_pools_remove(hyper, error);
}

/* ---- does KVM work? */

#define TRIAL_WAIT_MS 8000
#define TRIAL_POLL_MS 50

static gboolean trial_spoke(Hyper *hyper, const char *name, GError **error)
{
    gsize length = 0;
    g_autofree char *said = hyper_guest_file(hyper, name, GUEST_CONSOLE, 4096, &length, error);

    return said && strstr(said, hyper_trial_words) != NULL;
}

static char *trial_wait(Hyper *hyper, const char *name)
{
    gint64 deadline_ms = clock_mono_ms() + TRIAL_WAIT_MS;

    while (clock_mono_ms() < deadline_ms) {
        g_autoptr(GError) error = NULL;
        if (trial_spoke(hyper, name, &error))
            return NULL;
        if (error)
            return g_strdup(error->message);
        g_usleep(TRIAL_POLL_MS * 1000);
    }
    return g_strdup_printf("a trial guest under KVM did not get to its end in %d s",
                           TRIAL_WAIT_MS / 1000);
}

/* The first line of QEMU's own words, without libvirt's before them. */
static char *start_refused(const char *message)
{
    const char *own = strstr(message, "qemu-system-");
    g_auto(GStrv) lines = g_strsplit(own ? own : message, "\n", 2);

    return g_strdup_printf("a trial guest did not start under KVM (%s)", lines[0]);
}

/* NULL when the trial guest ran, else why not. */
static char *trial_run(Hyper *hyper, const char *name, const char *volume, GError **error)
{
    g_autofree char *log = hyper_guest_path(hyper->settings, name, GUEST_CONSOLE);
    g_autofree char *image = NULL;
    gsize length = 0;
    g_autofree guint8 *disk = hyper_trial_image(&length);

    if (!hyper_upload_bytes(hyper, volume, disk, length, error) ||
        !(image = hyper_volume_path(hyper, volume, error)))
        return NULL;
    g_autofree char *xml = hyper_trial_xml(hyper->settings, name, image, log);
    g_autoptr(virDomain) domain = virDomainCreateXML(hyper->conn, xml, 0);
    if (!domain)
        return start_refused(virGetLastErrorMessage());
    char *why = trial_wait(hyper, name);
    virDomainDestroy(domain);
    return why;
}

static gboolean kvm_offered(Hyper *hyper)
{
    char *xml = virConnectGetDomainCapabilities(hyper->conn, NULL, NULL, NULL, "kvm", 0);
    gboolean offered = xml != NULL;

    free(xml);
    return offered;
}

gboolean hyper_try_kvm(Hyper *hyper, Accelerator *ret_accelerator, char **ret_reason,
                       GError **error)
{
    g_autoptr(GError) cause = NULL;

    *ret_accelerator = ACCELERATOR_TCG;
    if (!kvm_offered(hyper)) {
        *ret_reason = g_strdup("host offers no KVM: guests are emulated (TCG), which is slow");
        return TRUE;
    }
    g_autofree char *nonce = id_hex32();
    g_autofree char *name = g_strdup_printf(HYPER_TRIAL_PREFIX "%" G_GINT64_FORMAT "-%.8s",
                                            clock_now_us() / CLOCK_SECOND_US, nonce);
    g_autofree char *volume = g_strconcat(name, ".img", NULL);
    g_autofree char *why = trial_run(hyper, name, volume, &cause);
    hyper_guest_files_delete(hyper, name, NULL);
    hyper_volume_delete(hyper, volume, NULL);
    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (!why)
        *ret_accelerator = ACCELERATOR_KVM;
    *ret_reason = why ? g_strdup_printf("%s: guests are emulated (TCG), which is slow", why)
                      : g_strdup("a trial guest ran under KVM");
    return TRUE;
}
