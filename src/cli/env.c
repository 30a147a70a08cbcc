#include "base/errors.h"
#include "cli/groups.h"
#include "cli/cli.h"
#include "cli/process.h"
#include "cli/profile.h"
#include "cli/ui.h"

#include <stdlib.h>

/* The variables that point the stock tools here; calls put for each. */
static gboolean each_variable(const Profile *p, void (*put)(const char *name, const char *value))
{
    g_autofree char *config = g_build_filename(p->folder, "config", NULL);
    g_autofree char *credentials = g_build_filename(p->folder, "credentials", NULL);

    put("AWS_PROFILE", p->name);
    put("AWS_CONFIG_FILE", config);
    put("AWS_SHARED_CREDENTIALS_FILE", credentials);
    put("AWS_CA_BUNDLE", p->ca_file);
    put("AWS_REGION", p->region);
    put("AWS_DEFAULT_REGION", p->region);
    put("AWS_ENDPOINT_URL", p->endpoint);
    put("AWS_PAGER", "");
    return TRUE;
}

/* Keys in the environment would win over the profile's. */
static const char *const keys_of_others[] = { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                                              "AWS_SESSION_TOKEN" };

static void print_export(const char *name, const char *value)
{
    g_autofree char *quoted = g_shell_quote(value);

    ui_print("export %s=%s", name, quoted);
}

static gboolean run_env(Cli *cli, GError **error)
{
    g_autoptr(Profile) p = profile_load(cli, error);

    if (!p)
        return FALSE;
    each_variable(p, print_export);
    ui_print("unset %s %s %s", keys_of_others[0], keys_of_others[1], keys_of_others[2]);
    return TRUE;
}

static void set_variable(const char *name, const char *value)
{
    g_setenv(name, value, TRUE);
}

static gboolean run_aws(Cli *cli, GError **error)
{
    g_autoptr(Profile) p = profile_load(cli, error);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    if (!p)
        return FALSE;
    each_variable(p, set_variable);
    for (gsize i = 0; i < G_N_ELEMENTS(keys_of_others); i++)
        g_unsetenv(keys_of_others[i]);
    /* Debian's own, whose Python has its modules, before any other in PATH */
    gboolean debian = g_file_test("/usr/bin/aws", G_FILE_TEST_IS_EXECUTABLE);
    g_ptr_array_add(argv, (gpointer)(debian ? "/usr/bin/aws" : "aws"));
    g_ptr_array_add(argv, (gpointer) "--endpoint-url");
    g_ptr_array_add(argv, p->endpoint);
    g_ptr_array_extend(argv, cli->args, NULL, NULL);
    return process_become((const char *const *)argv->pdata, error);
}

static gboolean run_help(Cli *cli, GError **error)
{
    g_autofree char *words = g_strjoinv(" ", (char **)cli->args->pdata);

    if (g_strcmp0(words, "config") == 0) {
        help_config();
        return TRUE;
    }
    return help_page(words) || fail(error, USAGE, "there is no command \"%s\"", words);
}

static gboolean run_complete(Cli *cli, GError **error G_GNUC_UNUSED)
{
    g_ptr_array_set_size(cli->args, (int)cli->args->len - 1);
    help_complete(cli->args);
    return TRUE;
}

static gboolean run_version(Cli *cli G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
    ui_print("berth %s", BERTH_VERSION);
    return TRUE;
}

const Command env_commands[] = {
    { "env", "", 0, 0, "print the variables that point stock tools here",
      "Profile, region, CA and endpoint for aws, boto3, Ansible, Terraform. Debian's aws is older\n"
      "than AWS_ENDPOINT_URL: use \"berth aws\" there.",
      "eval \"$(berth env)\"\n/usr/bin/python3 -c 'import boto3, os; ...'", NULL, run_env, FALSE },
    { "aws", "...", 0, ANY_NUMBER, "run the stock aws command against this installation",
      "Everything behind \"aws\" goes to it as it stands.",
      "berth aws ec2 describe-instances\n"
      "berth aws ecs wait services-stable --services web",
      NULL, run_aws, TRUE },
    { "help", "[COMMAND]", 0, 3, "teach a command, or \"config\": the settings", NULL,
      "berth help launch\nberth help config", NULL, run_help, FALSE },
    { "complete", "[WORD ...]", 0, ANY_NUMBER, "list what may follow; for shell completion", NULL,
      NULL, NULL, run_complete, TRUE },
    { "version", "", 0, 0, "print the version", NULL, NULL, NULL, run_version, FALSE },
    { 0 },
};
