#include "cli/sweep.h"
#include "base/errors.h"
#include "cli/local.h"
#include "cli/process.h"
#include "drivers/hyper.h"

#include <string.h>
#include <unistd.h>

#define SHUTDOWN_MS 60000
#define OPEN_MS     20000

typedef gboolean (*HostAct)(Hyper *hyper, guint *count, GError **error);

gboolean sweep_remember(const Install *in, const char *const *uris, GError **error)
{
    g_autofree char *text = g_strjoinv("\n", (char **)uris);
    g_autofree char *now = NULL;

    if (g_file_get_contents(in->hosts_file, &now, NULL, NULL) && strcmp(now, text) == 0)
        return TRUE;
    return g_file_set_contents(in->hosts_file, text, -1, error);
}

/* Every host there may be, each once. Caller frees. */
static GPtrArray *host_uris(const Install *in)
{
    GPtrArray *uris = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = NULL;

    g_ptr_array_add(uris, g_strdup(in->config->libvirt_uri));
    if (!g_file_get_contents(in->hosts_file, &text, NULL, NULL))
        return uris;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        if (**line && !g_ptr_array_find_with_equal_func(uris, *line, g_str_equal, NULL))
            g_ptr_array_add(uris, g_strdup(*line));
    return uris;
}

static gboolean on_host(const Install *in, const char *uri, const HyperSettings *settings,
                        HostAct act, guint *count, GError **error)
{
    const char *how;

    if (strcmp(uri, "qemu:///system") == 0 && !local_libvirt_runs() &&
        !local_libvirt_start(in, &how, error))
        return FALSE;
    g_autoptr(Hyper) hyper = hyper_open_within(uri, settings, OPEN_MS, error);
    return hyper && act(hyper, count, error);
}

/* Runs act on every host; the first failure is told when all have had their turn. What was not
 * reached is a failure unless unreached takes it. */
static gboolean each_host(const Install *in, HostAct act, guint *count, GPtrArray *unreached,
                          GError **error)
{
    g_autoptr(GPtrArray) uris = host_uris(in);
    g_autoptr(GError) first = NULL;
    g_autofree char *uuid = NULL;

    /* without it nothing of ours was ever made there */
    if (!g_file_get_contents(in->install_id, &uuid, NULL, NULL))
        return TRUE;
    const HyperSettings settings = { .name = in->config->name,
                                     .install_uuid = g_strstrip(uuid),
                                     .bridge = in->config->bridge,
                                     .cidr = in->config->network_cidr };
    for (guint i = 0; i < uris->len; i++) {
        const char *uri = g_ptr_array_index(uris, i);
        g_autoptr(GError) cause = NULL;
        if (on_host(in, uri, &settings, act, count, &cause))
            continue;
        if (unreached && error_is(cause, ERROR_HOST_UNREACHABLE))
            g_ptr_array_add(unreached, g_strdup_printf("%s: %s", uri, cause->message));
        else if (!first && !fail_prefix(&cause, "host %s", uri))
            first = g_steal_pointer(&cause);
    }
    if (!first)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&first));
    return FALSE;
}

/* -- removing */
static gboolean remove_from_host(Hyper *hyper, guint *count, GError **error)
{
    g_autoptr(GPtrArray) list = hyper_list(hyper, error);

    for (guint i = 0; list && i < list->len; i++) {
        const HyperListed *domain = g_ptr_array_index(list, i);
        if (!hyper_destroy(hyper, domain->uuid, error) ||
            !hyper_undefine(hyper, domain->uuid, error))
            return FALSE;
        (*count)++;
    }
    return list && hyper_remove(hyper, error);
}

static void remove_named(const char *folder, const char *prefix)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(folder, name, NULL);
        if (g_str_has_prefix(name, prefix))
            unlink(file);
    }
}

/* What libvirt itself leaves behind: QEMU's logs, and of the network the pid file of dnsmasq and
 * an empty list of ports. */
static void remove_traces(const Install *in)
{
    g_autofree char *ports = g_strdup_printf("/run/libvirt/network/%s-net/ports", in->config->name);
    g_autofree char *state = g_path_get_dirname(ports);
    g_autofree char *guests = g_strconcat(in->config->name, "-i-", NULL);
    g_autofree char *trials = g_strconcat(in->config->name, "-kvm-trial-", NULL);
    g_autofree char *network = g_strconcat(in->config->name, "-net.", NULL);

    remove_named("/var/log/libvirt/qemu", guests);
    remove_named("/var/log/libvirt/qemu", trials);
    remove_named("/run/libvirt/network", network);
    rmdir(ports);
    rmdir(state);
}

gboolean sweep_remove(const Install *in, guint *ret_count, GPtrArray *unreached, GError **error)
{
    *ret_count = 0;
    if (!each_host(in, remove_from_host, ret_count, unreached, error))
        return FALSE;
    remove_traces(in);
    return TRUE;
}

char *sweep_by_hand(const Install *in)
{
    const char *n = in->config->name;

    return g_strdup_printf(
        "for d in $(virsh list --all --name | grep -E '^%s-(i|kvm-trial)-'); do virsh destroy $d;"
        " virsh undefine $d; done\n"
        "for p in %s %s-console; do virsh pool-destroy $p; virsh pool-undefine $p; done\n"
        "virsh net-destroy %s-net; virsh net-undefine %s-net\n"
        "rm -r /var/lib/libvirt/images/%s /var/lib/libvirt/images/%s-console",
        n, n, n, n, n, n, n);
}

/* -- powering off */
/* Whether no guest of ours runs; the wait ends on an error too. */
static gboolean all_off(gpointer user)
{
    g_autoptr(GPtrArray) list = hyper_list(user, NULL);

    for (guint i = 0; list && i < list->len; i++)
        if (((const HyperListed *)g_ptr_array_index(list, i))->state == DOMAIN_RUNNING)
            return FALSE;
    return TRUE;
}

static gboolean power_off_host(Hyper *hyper, guint *count, GError **error)
{
    g_autoptr(GPtrArray) list = hyper_list(hyper, error);

    if (!list)
        return FALSE;
    for (guint i = 0; i < list->len; i++) {
        const HyperListed *domain = g_ptr_array_index(list, i);
        if (domain->state != DOMAIN_RUNNING)
            continue;
        if (!hyper_shutdown(hyper, domain->uuid, error))
            return FALSE;
        (*count)++;
    }
    process_wait(all_off, hyper, SHUTDOWN_MS);
    for (guint i = 0; i < list->len; i++)
        if (!hyper_destroy(hyper, ((const HyperListed *)g_ptr_array_index(list, i))->uuid, error))
            return FALSE;
    return TRUE;
}

gboolean sweep_power_off(const Install *in, guint *ret_count, GError **error)
{
    *ret_count = 0;
    return each_host(in, power_off_host, ret_count, NULL, error);
}
