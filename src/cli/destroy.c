#include "base/errors.h"
#include "cli/groups.h"
#include "cli/install.h"
#include "cli/process.h"
#include "cli/profile.h"
#include "cli/sweep.h"
#include "cli/ui.h"
#include "cli/verbs.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

/* -- files */
/* A settings file may name any folder: one that is clearly the system's is never removed. */
static gboolean is_ours(const char *path)
{
    static const char *const systems[] = {
        "/bin",       "/boot",    "/dev",     "/etc",     "/home",      "/lib",       "/lib64",
        "/opt",       "/proc",    "/root",    "/run",     "/sbin",      "/srv",       "/sys",
        "/tmp",       "/usr",     "/usr/bin", "/usr/lib", "/usr/sbin",  "/usr/share", "/var",
        "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/spool", "/var/tmp"
    };
    g_autofree char *real = g_canonicalize_filename(path, "/");

    if (strcmp(real, "/") == 0)
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(systems); i++)
        if (strcmp(real, systems[i]) == 0)
            return FALSE;
    return TRUE;
}

static gboolean remove_tree(const char *path, GError **error)
{
    const char *const argv[] = { "rm", "-rf", "--one-file-system", "--", path, NULL };

    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    if (!is_ours(path))
        return fail(error, CONFIG,
                    "\"%s\" is a folder of the system: remove Berth's files in it "
                    "by hand",
                    path);
    return process_run(argv, NULL, NULL, error);
}

/* Folders above that were made for a scratch installation, as far as they are empty. */
static void remove_empty_parents(const char *path, const char *root)
{
    g_autofree char *parent = g_path_get_dirname(path);

    while (*root && g_str_has_prefix(parent, root) && rmdir(parent) == 0) {
        char *next = g_path_get_dirname(parent);
        g_free(parent);
        parent = next;
    }
}

/* The caller's folder of keys, when it points at this installation. */
static gboolean remove_profile(Cli *cli, const Install *in, GError **error)
{
    g_autoptr(Profile) p = profile_load(cli, NULL);

    if (!p || strcmp(p->ca_file, in->ca_cert) != 0)
        return TRUE;
    if (!remove_tree(p->folder, error))
        return FALSE;
    remove_empty_parents(p->folder, in->config->root);
    return TRUE;
}

static gboolean remove_files(Cli *cli, const Install *in, GError **error)
{
    const Config *c = in->config;
    const char *const folders[] = { c->image_dir, c->run_dir, c->log_dir, in->cache_dir,
                                    c->state_dir };

    ui_step("files");
    if (!remove_profile(cli, in, error))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
        if (!remove_tree(folders[i], error))
            return FALSE;
        remove_empty_parents(folders[i], c->root);
    }
    unlink(c->file);
    rmdir(in->etc_dir);
    remove_empty_parents(in->etc_dir, c->root);
    ui_step_done("removed");
    return TRUE;
}

static gboolean remove_user(const Install *in, GError **error)
{
    const struct passwd *entry = getpwnam(in->user);
    const char *const argv[] = { "userdel", in->user, NULL };

    ui_step("system user");
    if (!entry || strcmp(entry->pw_dir, in->config->state_dir) != 0) {
        ui_step_done("none of ours");
        return TRUE;
    }
    if (!process_run(argv, NULL, NULL, error))
        return FALSE;
    ui_step_done("removed %s", in->user);
    return TRUE;
}

/* -- guests, volumes, pools, networks */
static gboolean remove_guests(const Install *in, GPtrArray *unreached, GError **error)
{
    guint count = 0;

    ui_step("instances and networks");
    if (!sweep_remove(in, &count, unreached, error))
        return FALSE;
    if (unreached->len)
        ui_step_done("%u instances removed; %u hosts not reached", count, unreached->len);
    else
        ui_step_done("%u instances removed", count);
    return TRUE;
}

/* Nothing but the mark on the objects tells any more what is left: so say how to remove it. */
static gboolean tell_unreached(const Install *in, const GPtrArray *unreached, GError **error)
{
    g_autofree char *by_hand = sweep_by_hand(in);

    if (unreached->len == 0)
        return TRUE;
    for (guint i = 0; i < unreached->len; i++)
        ui_note("not cleaned: host %s", (const char *)unreached->pdata[i]);
    ui_note("when it answers again, as root on that machine:\n%s", by_hand);
    return fail(error, HOST_UNREACHABLE,
                "all is removed but what lies on %u hosts that were not reached", unreached->len);
}

/* Hosts that were added since the last "berth up", as long as there is somebody to ask. */
static void learn_hosts(Cli *cli, const Install *in)
{
    json_auto_t *answer = client_call(cli, "berth", "DescribeHosts", NULL, NULL);
    g_autoptr(GPtrArray) uris = g_ptr_array_new();
    const json_t *host;
    size_t n;

    json_array_foreach(json_object_get(answer, "Hosts"), n, host)
        g_ptr_array_add(uris, (gpointer)verb_text(host, "Uri"));
    g_ptr_array_add(uris, NULL);
    if (answer)
        sweep_remember(in, (const char *const *)uris->pdata, NULL);
}

static gboolean confirm(const Config *config, GError **error)
{
    g_autofree char *what =
        g_strdup_printf("this removes every instance, image and file of installation \"%s\" (%s)",
                        config->name, config->state_dir);

    return ui_confirm(what, config->name, error);
}

static gboolean run_destroy(Cli *cli, GError **error)
{
    const char *root = NULL;
    g_autofree char *file = cli_config_file(cli, &root);

    if (!g_file_test(file, G_FILE_TEST_EXISTS)) {
        ui_note("there is no \"%s\": nothing to destroy", file);
        return TRUE;
    }
    const Config *config = cli_config(cli, error);
    if (!config)
        return FALSE;
    if (geteuid() != 0)
        return fail(error, COMMAND, "this needs root: sudo berth destroy");
    if ((!cli_flag(cli, "yes") && !confirm(config, error)) || !up_lock(config, error))
        return FALSE;
    g_autoptr(Install) in = install_new(config);
    g_autoptr(GPtrArray) unreached = g_ptr_array_new_with_free_func(g_free);
    learn_hosts(cli, in);
    /* berthd first: it would make everything anew */
    if (down_daemon(in, "berthd", error) && remove_guests(in, unreached, error) &&
        down_daemon(in, "registry", error) && down_daemon(in, "postgresql", error) &&
        down_libvirt(in, error) && remove_user(in, error) && remove_files(cli, in, error)) {
        if (!tell_unreached(in, unreached, error))
            return FALSE;
        ui_note("nothing of installation \"%s\" is left", config->name);
        return TRUE;
    }
    ui_step_failed();
    return FALSE;
}

static const Option destroy_options[] = { { "yes", NULL, "do not ask" }, { 0 } };

const Command destroy_commands[] = {
    { "destroy", "", 0, 0, "remove everything of this installation",
      "Instances, volumes, pools, networks, database, images, keys, settings, the system user.\n"
      "Works when berthd and the database are dead: what is ours carries our mark. A host that "
      "does\n"
      "not answer is named, with what to type there when it does; the exit code is 1 then. "
      "Libvirt\n"
      "objects of others are never touched; packages stay installed.",
      "sudo berth destroy\nsudo berth destroy --yes --root /srv/trial", destroy_options,
      run_destroy, FALSE },
    { 0 },
};
