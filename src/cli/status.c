#include "base/errors.h"
#include "cli/groups.h"
#include "cli/local.h"
#include "cli/process.h"
#include "cli/verbs.h"
#include "store/setup.h"

#include <string.h>

static const Column part_columns[] = {
    { "PART", "Name", FORM_TEXT },
    { "HEALTH", "Health", FORM_TEXT },
    { "DETAIL", "Detail", FORM_TEXT },
    { 0 },
};

static void add_part(json_t *parts, const char *name, gboolean good, const char *detail,
                     const char *remedy)
{
    json_t *part = json_pack("{s:s, s:s, s:s}", "Name", name, "Health", good ? "OK" : "DOWN",
                             "Detail", detail);

    if (!good)
        json_object_set_new(part, "Remedy", json_string(remedy));
    json_array_append_new(parts, part);
}

static void add_daemon(json_t *parts, const Install *in, const char *name)
{
    g_autofree char *pid_file = install_pid_file(in, name);
    g_autofree char *log_file = install_log_file(in, name);
    g_autofree char *remedy = g_strdup_printf("sudo berth up; if it ends again: %s", log_file);
    pid_t pid = 0;
    gboolean lives = process_lives(pid_file, &pid);
    g_autofree char *detail =
        lives ? g_strdup_printf("process %d", (int)pid) : g_strdup("does not run");

    add_part(parts, name, lives, detail, remedy);
}

/* What can be seen of this machine without asking berthd. */
static void add_local(json_t *parts, const Install *in)
{
    const Config *c = in->config;

    if (strcmp(c->database, "embedded") == 0)
        add_daemon(parts, in, "postgresql");
    else
        add_part(parts, "database", setup_ready(c->region_dsn), "yours",
                 "it takes no connections: see its log");
    if (strcmp(c->libvirt_uri, "qemu:///system") == 0)
        add_part(parts, "libvirtd", local_libvirt_runs(),
                 local_libvirt_runs() ? "answers" : "does not answer", "sudo berth up");
    if (g_str_has_prefix(c->registry, c->advertise))
        add_daemon(parts, in, "registry");
    add_daemon(parts, in, "berthd");
}

/* What berthd says of itself; adds one part when it cannot be asked. */
static void add_reported(Cli *cli, json_t *parts)
{
    g_autoptr(GError) cause = NULL;
    json_auto_t *answer = client_call(cli, "berth", "GetStatus", NULL, &cause);

    if (answer)
        json_array_extend(parts, json_object_get(answer, "Parts"));
    else
        add_part(parts, "api", FALSE, cause->message, "sudo berth up");
}

static gboolean run_status(Cli *cli, GError **error)
{
    /* a user without the right to read the settings still sees what the API says */
    const Config *config = cli_config(cli, NULL);
    json_auto_t *parts = json_array();
    const json_t *part;
    size_t n;

    if (!config && !client_get(cli, error))
        return FALSE;
    if (config) {
        g_autoptr(Install) in = install_new(config);
        add_local(parts, in);
    }
    add_reported(cli, parts);
    ui_table(part_columns, parts, cli_flag(cli, "json"));
    json_array_foreach(parts, n, part)
    {
        if (strcmp(verb_text(part, "Health"), "OK") == 0)
            continue;
        cli->status = EXIT_FAILED;
        if (!cli_flag(cli, "json"))
            ui_print("%s%s%s: %s\n  %s", ui_red(), verb_text(part, "Name"), ui_plain(),
                     verb_text(part, "Detail"), verb_text(part, "Remedy"));
    }
    return TRUE;
}

const Command status_commands[] = {
    { "status", "", 0, 0, "show the health of every part, and what to do",
      "Exit code 0 when all is well, 1 when not.", NULL, NULL, run_status, FALSE },
    { 0 },
};
