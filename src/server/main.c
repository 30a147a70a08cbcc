#include "base/errors.h"
#include "base/fault.h"
#include "base/log.h"
#include "server/daemon.h"
#include "server/setup.h"

#include <libxml/parser.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    char *config_file;
    char *role;
    char *create_admin;
    gboolean migrate;
    gboolean version;
} Options;

static void options_clear(Options *options)
{
    g_free(options->config_file);
    g_free(options->role);
    g_free(options->create_admin);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static gboolean options_parse(Options *options, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        { "config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config_file,
          "settings; the built-in ones where it is left out", "FILE" },
        { "role", 0, 0, G_OPTION_ARG_STRING, &options->role,
          "all (default), api or reconcile; several may run against one database", "ROLE" },
        { "migrate", 0, 0, G_OPTION_ARG_NONE, &options->migrate,
          "bring the databases to this program's schema, and end", NULL },
        { "create-admin", 0, 0, G_OPTION_ARG_STRING, &options->create_admin,
          "make the admin account NAME with an access key, print it, and end", "NAME" },
        { "version", 0, 0, G_OPTION_ARG_NONE, &options->version, "print the version, and end",
          NULL },
        { 0 },
    };
    GOptionContext *context = g_option_context_new("- Berth's control plane");

    g_option_context_add_main_entries(context, entries, NULL);
    gboolean parsed = g_option_context_parse(context, argc, argv, error);
    g_option_context_free(context);
    if (parsed && *argc > 1)
        return fail(error, CONFIG, "\"%s\" is not an option", (*argv)[1]);
    return parsed;
}

static gboolean role_from_name(const char *name, DaemonRole *ret_role, GError **error)
{
    *ret_role = DAEMON_ALL;
    if (!name || strcmp(name, "all") == 0)
        return TRUE;
    if (strcmp(name, "api") == 0)
        *ret_role = DAEMON_API;
    else if (strcmp(name, "reconcile") == 0)
        *ret_role = DAEMON_RECONCILE;
    else
        return fail(error, CONFIG, "--role=%s is not all, api or reconcile", name);
    return TRUE;
}

static gboolean run(const Options *options, GError **error)
{
    g_autoptr(Config) config = config_load(options->config_file, error);
    DaemonRole role;
    LogLevel level;

    if (!config || !role_from_name(options->role, &role, error))
        return FALSE;
    if (!log_level_from_name(config->log_level, &level))
        return fail(error, CONFIG, "log_level = \"%s\" is not debug, info, warn or error",
                    config->log_level);
    log_set_level(level);
    if (!setup_defaults(config, error))
        return FALSE;
    if (options->migrate && !setup_migrate(config, error))
        return FALSE;
    if (options->create_admin && !setup_create_admin(config, options->create_admin, error))
        return FALSE;
    if (options->migrate || options->create_admin)
        return TRUE;
    return daemon_run(config, role, error);
}

int main(int argc, char **argv)
{
    g_auto(Options) options = { 0 };
    g_autoptr(GError) error = NULL;

    fault_init();
    xmlInitParser(); /* before threads use libxml2 */
    if (!options_parse(&options, &argc, &argv, &error)) {
        fprintf(stderr, "berthd: %s\n", error->message);
        return 2;
    }
    if (options.version) {
        printf("berthd %s\n", BERTH_VERSION);
        return 0;
    }
    if (!run(&options, &error)) {
        fprintf(stderr, "berthd: %s\n", error->message);
        return 1;
    }
    return 0;
}
