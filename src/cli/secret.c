/* berth secret, berth parameter: what tasks are given by name (member "secrets" of their
 * definitions). Values come from standard input or a file: never from the command line, where
 * everybody on the machine reads them. */
#include "base/errors.h"
#include "cli/groups.h"
#include "cli/verbs.h"

#include <string.h>

/* The value: the second argument's file, or standard input. One newline at its end is the shell's.
 * Caller wipes and frees with value_free. */
static char *value_read(Cli *cli, GError **error)
{
    gsize length = 0;
    char *value = verb_read(cli_arg(cli, 1) ? cli_arg(cli, 1) : "-", &length, error);

    if (!value)
        return NULL;
    if (length && value[length - 1] == '\n')
        value[--length] = '\0';
    if (length == 0 || strlen(value) != length || !g_utf8_validate(value, (gssize)length, NULL)) {
        explicit_bzero(value, length);
        g_free(value);
        return fail_null(error, USAGE, "the value is %s",
                         length == 0 ? "empty" : "no text: encode it, in base64 for instance");
    }
    return value;
}

typedef char Value;
static void value_free(Value *value)
{
    if (value)
        explicit_bzero(value, strlen(value));
    g_free(value);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Value, value_free)

/* The answer, or one line about it. */
static void tell(Cli *cli, const json_t *answer, const char *done)
{
    if (cli_flag(cli, "json"))
        ui_json(answer);
    else
        ui_print("%s", done);
}

/* -- secrets */

static const Column secret_columns[] = {
    { "NAME", "Name", FORM_TEXT },
    { "CHANGED", "LastChangedDate", FORM_TIME },
    { "ARN", "ARN", FORM_TEXT },
    { 0 },
};

static gboolean run_secret_list(Cli *cli, GError **error)
{
    return verb_table(cli, "secretsmanager", "ListSecrets", NULL, "SecretList", secret_columns,
                      error);
}

/* A new version of the secret; a new secret where there was none. */
static gboolean run_secret_put(Cli *cli, GError **error)
{
    const char *name = cli_arg(cli, 0);
    g_autoptr(Value) value = value_read(cli, error);
    g_autoptr(GError) cause = NULL;

    if (!value)
        return FALSE;
    json_auto_t *answer =
        client_call(cli, "secretsmanager", "PutSecretValue",
                    json_pack("{s:s, s:s}", "SecretId", name, "SecretString", value), &cause);
    if (!answer && error_is(cause, ERROR_NOT_FOUND))
        answer = client_call(cli, "secretsmanager", "CreateSecret",
                             json_pack("{s:s, s:s}", "Name", name, "SecretString", value), error);
    else if (!answer)
        g_propagate_error(error, g_steal_pointer(&cause));
    if (!answer)
        return FALSE;
    tell(cli, answer, verb_text(answer, "ARN"));
    return TRUE;
}

static gboolean run_secret_show(Cli *cli, GError **error)
{
    const char *name = cli_arg(cli, 0);
    json_auto_t *answer = client_call(cli, "secretsmanager",
                                      cli_flag(cli, "value") ? "GetSecretValue" : "DescribeSecret",
                                      json_pack("{s:s}", "SecretId", name), error);

    if (!answer)
        return FALSE;
    if (cli_flag(cli, "value"))
        tell(cli, answer, verb_text(answer, "SecretString"));
    else
        ui_json(answer);
    return TRUE;
}

static gboolean run_secret_delete(Cli *cli, GError **error)
{
    json_t *params = json_pack("{s:s}", "SecretId", cli_arg(cli, 0));

    if (cli_flag(cli, "now"))
        json_object_set_new(params, "ForceDeleteWithoutRecovery", json_true());
    return verb_do(cli, "secretsmanager", "DeleteSecret", params, "deleted", error);
}

/* -- parameters */

static const Column parameter_columns[] = {
    { "NAME", "Name", FORM_TEXT },
    { "TYPE", "Type", FORM_TEXT },
    { "VERSION", "Version", FORM_TEXT },
    { "CHANGED", "LastModifiedDate", FORM_TIME },
    { 0 },
};

static gboolean run_parameter_list(Cli *cli, GError **error)
{
    return verb_table(cli, "ssm", "DescribeParameters", NULL, "Parameters", parameter_columns,
                      error);
}

static gboolean run_parameter_put(Cli *cli, GError **error)
{
    const char *type = cli_option(cli, "type");
    g_autoptr(Value) value = value_read(cli, error);

    if (!value)
        return FALSE;
    json_auto_t *answer =
        client_call(cli, "ssm", "PutParameter",
                    json_pack("{s:s, s:s, s:s, s:b}", "Name", cli_arg(cli, 0), "Value", value,
                              "Type", type ? type : "SecureString", "Overwrite", TRUE),
                    error);
    if (!answer)
        return FALSE;
    g_autofree char *done = g_strdup_printf("version %" JSON_INTEGER_FORMAT,
                                            json_integer_value(json_object_get(answer, "Version")));
    tell(cli, answer, done);
    return TRUE;
}

static gboolean run_parameter_show(Cli *cli, GError **error)
{
    gboolean shown = cli_flag(cli, "value");
    json_auto_t *answer = client_call(
        cli, "ssm", "GetParameter",
        json_pack("{s:s, s:b}", "Name", cli_arg(cli, 0), "WithDecryption", shown), error);
    json_t *parameter = json_object_get(answer, "Parameter");

    if (!answer)
        return FALSE;
    if (shown) {
        tell(cli, answer, verb_text(parameter, "Value"));
        return TRUE;
    }
    json_object_del(parameter, "Value");
    ui_json(parameter);
    return TRUE;
}

static gboolean run_parameter_delete(Cli *cli, GError **error)
{
    return verb_do(cli, "ssm", "DeleteParameter", json_pack("{s:s}", "Name", cli_arg(cli, 0)),
                   "deleted", error);
}

static const Option show_options[] = { { "value", NULL, "its value, in clear" }, { 0 } };
static const Option delete_options[] = { { "now", NULL,
                                           "for good, at once; else it can be restored"
                                           " for 30 days" },
                                         { 0 } };
static const Option put_options[] = {
    { "type", "TYPE", "SecureString (default), String or StringList" },
    { 0 },
};

#define FROM_INPUT                                                                                 \
    "The value is read from FILE or standard input, never from the command line; one newline at\n" \
    "its end is left out. It is kept sealed; a task gets it by its name in \"secrets\" of its\n"   \
    "definition, if its execution role may read it."

const Command secret_commands[] = {
    { "secret list", "", 0, 0, "list secrets", NULL, NULL, NULL, run_secret_list, FALSE },
    { "secret put", "NAME [FILE]", 1, 2, "make a secret, or give it a new value", FROM_INPUT,
      "pwgen 32 1 | berth secret put db/password\nberth secret put tls/key key.pem", NULL,
      run_secret_put, FALSE },
    { "secret show", "NAME", 1, 1, "show a secret's versions, or its value", NULL,
      "berth secret show db/password --value", show_options, run_secret_show, FALSE },
    { "secret delete", "NAME", 1, 1, "delete a secret", NULL, NULL, delete_options,
      run_secret_delete, FALSE },
    { "parameter list", "", 0, 0, "list parameters", NULL, NULL, NULL, run_parameter_list, FALSE },
    { "parameter put", "NAME [FILE]", 1, 2, "make a parameter, or give it a new value", FROM_INPUT,
      "echo debug | berth parameter put /web/log-level --type String", put_options,
      run_parameter_put, FALSE },
    { "parameter show", "NAME", 1, 1, "show a parameter, or its value", NULL, NULL, show_options,
      run_parameter_show, FALSE },
    { "parameter delete", "NAME", 1, 1, "delete a parameter", NULL, NULL, NULL,
      run_parameter_delete, FALSE },
    { 0 },
};
