#include "base/clock.h"
#include "base/errors.h"
#include "cli/groups.h"
#include "cli/install.h"
#include "cli/local.h"
#include "cli/process.h"
#include "cli/sweep.h"
#include "cli/ui.h"

#include <unistd.h>

gboolean down_daemon(const Install *in, const char *name, GError **error)
{
    gboolean ran = FALSE;

    ui_step(name);
    if (!local_stop(in, name, &ran, error)) {
        ui_step_failed();
        return FALSE;
    }
    ui_step_done("%s", ran ? "stopped" : "did not run");
    return TRUE;
}

gboolean down_libvirt(const Install *in, GError **error)
{
    const char *why = NULL;

    ui_step("libvirt");
    if (!local_libvirt_stop(in, &why, error)) {
        ui_step_failed();
        return FALSE;
    }
    ui_step_done("%s", why);
    return TRUE;
}

static gboolean power_off(const Install *in, GError **error)
{
    guint count = 0;

    ui_step("instances");
    if (!sweep_power_off(in, &count, error)) {
        ui_step_failed();
        return FALSE;
    }
    ui_step_done("%u powered off", count);
    return TRUE;
}

static gboolean run_down(Cli *cli, GError **error)
{
    const Config *config = cli_config(cli, error);

    if (!config)
        return FALSE;
    if (geteuid() != 0)
        return fail(error, COMMAND, "this needs root: sudo berth down");
    if (!up_lock(config, error))
        return FALSE;
    g_autoptr(Install) in = install_new(config);
    /* berthd first: it would start them again */
    if (!down_daemon(in, "berthd", error) || (cli_flag(cli, "all") && !power_off(in, error)) ||
        !down_daemon(in, "registry", error) || !down_daemon(in, "postgresql", error) ||
        !down_libvirt(in, error))
        return FALSE;
    ui_note("down%s. \"sudo berth up\" goes on where it was",
            cli_flag(cli, "all") ? "" : "; instances and their tasks keep running");
    return TRUE;
}

static const Option down_options[] = {
    { "all", NULL, "power instances off too; \"berth up\" starts them again" }, { 0 }
};

const Command down_commands[] = {
    { "down", "", 0, 0, "stop what \"berth up\" started",
      "Instances and their tasks keep running, unless --all is given. Nothing is lost.",
      "sudo berth down\nsudo berth down --all", down_options, run_down, FALSE },
    { 0 },
};
