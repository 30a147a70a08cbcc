#include "base/errors.h"
#include "cli/groups.h"
#include "cli/verbs.h"

#include <string.h>
#include <unistd.h>

static const Column key_columns[] = {
    { "NAME", "KeyName", FORM_TEXT },
    { "TYPE", "KeyType", FORM_TEXT },
    { "FINGERPRINT", "KeyFingerprint", FORM_TEXT },
    { 0 },
};

static gboolean run_key_list(Cli *cli, GError **error)
{
    return verb_table(cli, "ec2", "DescribeKeyPairs", NULL, "KeyPairs", key_columns, error);
}

/* Where the private key of a pair lies; its folder is made. Caller frees. */
static char *key_file(Cli *cli, const char *name, GError **error)
{
    Client *client = client_get(cli, error);
    g_autofree char *below = g_strdup_printf("keys/%s.pem", name);

    if (!client)
        return NULL;
    if (strchr(name, '/') || *name == '.')
        return fail_null(error, USAGE, "\"%s\" cannot be the name of a file of keys", name);
    return profile_file(client_profile(client), below, error);
}

static gboolean run_key_create(Cli *cli, GError **error)
{
    const char *name = cli_arg(cli, 0), *type = cli_option(cli, "type");
    g_autofree char *file = key_file(cli, name, error);

    if (!file)
        return FALSE;
    if (g_file_test(file, G_FILE_TEST_EXISTS))
        return fail(error, COMMAND, "\"%s\" exists: another key pair's private key is kept there",
                    file);
    json_auto_t *answer = client_call(
        cli, "ec2", "CreateKeyPair",
        json_pack("{s:s, s:s}", "KeyName", name, "KeyType", type ? type : "ed25519"), error);
    if (!answer || !profile_write(file, verb_text(answer, "KeyMaterial"), 0600, error))
        return FALSE;
    json_object_del(answer, "KeyMaterial");
    if (cli_flag(cli, "json"))
        ui_json(answer);
    else
        ui_print("%s: private key in %s", name, file);
    return TRUE;
}

static gboolean run_key_import(Cli *cli, GError **error)
{
    gsize length = 0;
    g_autofree char *text = verb_read(cli_arg(cli, 1), &length, error);

    if (!text)
        return FALSE;
    if (strstr(text, "PRIVATE KEY"))
        return fail(error, USAGE, "\"%s\" is a private key; give the public one (.pub)",
                    cli_arg(cli, 1));
    g_autofree char *encoded = g_base64_encode((const guint8 *)text, length);
    return verb_do(
        cli, "ec2", "ImportKeyPair",
        json_pack("{s:s, s:s}", "KeyName", cli_arg(cli, 0), "PublicKeyMaterial", encoded),
        "imported", error);
}

static gboolean run_key_rm(Cli *cli, GError **error)
{
    g_autofree char *file = key_file(cli, cli_arg(cli, 0), error);

    if (!file || !verb_do(cli, "ec2", "DeleteKeyPair",
                          json_pack("{s:s}", "KeyName", cli_arg(cli, 0)), "deleted", error))
        return FALSE;
    unlink(file);
    return TRUE;
}

static const Option key_create_options[] = { { "type", "TYPE", "ed25519 (default) or rsa" },
                                             { 0 } };

const Command key_commands[] = {
    { "key list", "", 0, 0, "list key pairs", NULL, NULL, NULL, run_key_list, FALSE },
    { "key create", "NAME", 1, 1, "make a key pair; the private half stays in ~/.berth/keys", NULL,
      "berth key create mine\nberth launch --key mine", key_create_options, run_key_create, FALSE },
    { "key import", "NAME FILE", 2, 2, "let instances take a public key of yours", NULL,
      "berth key import laptop ~/.ssh/id_ed25519.pub", NULL, run_key_import, FALSE },
    { "key rm", "NAME", 1, 1, "delete a key pair, and its private half kept here", NULL, NULL, NULL,
      run_key_rm, FALSE },
    { 0 },
};
