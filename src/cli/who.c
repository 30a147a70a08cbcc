#include "cli/groups.h"
#include "cli/verbs.h"

static const Column account_columns[] = {
    { "ACCOUNT", "AccountId", FORM_TEXT },
    { "NAME", "Name", FORM_TEXT },
    { "MADE", "CreatedAt", FORM_TIME },
    { 0 },
};
static const Column access_key_columns[] = {
    { "ACCESS KEY", "AccessKeyId", FORM_TEXT }, { "ACCOUNT", "AccountId", FORM_TEXT },
    { "USER", "UserName", FORM_TEXT },          { "STATUS", "Status", FORM_TEXT },
    { "MADE", "CreatedAt", FORM_TIME },         { 0 },
};

static gboolean run_account_list(Cli *cli, GError **error)
{
    return verb_table(cli, "berth", "ListAccounts", NULL, "Accounts", account_columns, error);
}

/* Keeps a new key as a profile of its own, so that it is never shown on a terminal. */
static gboolean keep_key(Cli *cli, const char *name, const json_t *key, GError **error)
{
    const Profile *own = client_profile(cli->client);
    const Profile kept = { .folder = own->folder,
                           .name = (char *)name,
                           .endpoint = own->endpoint,
                           .region = own->region,
                           .ca_file = own->ca_file,
                           .access_key_id = (char *)verb_text(key, "AccessKeyId"),
                           .secret = (char *)verb_text(key, "SecretAccessKey") };
    gboolean changed = FALSE;

    if (!profile_save(&kept, &changed, error))
        return FALSE;
    ui_note("its key %s is profile \"%s\" of %s: berth --profile %s ...", kept.access_key_id, name,
            own->folder, name);
    return TRUE;
}

static gboolean run_account_create(Cli *cli, GError **error)
{
    const char *name = cli_arg(cli, 0);
    json_auto_t *answer =
        client_call(cli, "berth", "CreateAccount", json_pack("{s:s}", "Name", name), error);

    if (!answer || !keep_key(cli, name, json_object_get(answer, "AccessKey"), error))
        return FALSE;
    json_auto_t *rows = json_pack("[O]", json_object_get(answer, "Account"));
    ui_table(account_columns, rows, cli_flag(cli, "json"));
    return TRUE;
}

static gboolean run_access_key_list(Cli *cli, GError **error)
{
    json_t *params = json_object();

    verb_set(params, "AccountId", cli_option(cli, "account"));
    return verb_table(cli, "berth", "ListAccessKeys", params, "AccessKeys", access_key_columns,
                      error);
}

static gboolean run_access_key_create(Cli *cli, GError **error)
{
    json_t *params = json_object();

    verb_set(params, "AccountId", cli_option(cli, "account"));
    json_auto_t *answer = client_call(cli, "berth", "CreateAccessKey", params, error);
    return answer && keep_key(cli, cli_arg(cli, 0), json_object_get(answer, "AccessKey"), error);
}

static json_t *access_key_params(const Cli *cli)
{
    json_t *params = json_pack("{s:s}", "AccessKeyId", cli_arg(cli, 0));

    verb_set(params, "AccountId", cli_option(cli, "account"));
    return params;
}

static gboolean run_access_key_disable(Cli *cli, GError **error)
{
    json_t *params = access_key_params(cli);

    json_object_set_new(params, "Status", json_string("Inactive"));
    return verb_do(cli, "berth", "UpdateAccessKey", params, "disabled", error);
}

static gboolean run_access_key_enable(Cli *cli, GError **error)
{
    json_t *params = access_key_params(cli);

    json_object_set_new(params, "Status", json_string("Active"));
    return verb_do(cli, "berth", "UpdateAccessKey", params, "enabled", error);
}

static gboolean run_access_key_delete(Cli *cli, GError **error)
{
    return verb_do(cli, "berth", "DeleteAccessKey", access_key_params(cli), "deleted", error);
}

static const Option account_options[] = { { "account", "ID", "of this account, not our own" },
                                          { 0 } };

const Command who_commands[] = {
    { "account list", "", 0, 0, "list accounts", NULL, NULL, NULL, run_account_list, FALSE },
    { "account create", "NAME", 1, 1, "make an account; its key becomes a profile", NULL,
      "berth account create lab\nberth --profile lab instances", NULL, run_account_create, FALSE },
    { "access-key list", "", 0, 0, "list access keys", NULL, NULL, account_options,
      run_access_key_list, FALSE },
    { "access-key create", "PROFILE", 1, 1, "make an access key, kept as a profile", NULL, NULL,
      account_options, run_access_key_create, FALSE },
    { "access-key disable", "KEY", 1, 1, "refuse an access key", NULL, NULL, account_options,
      run_access_key_disable, FALSE },
    { "access-key enable", "KEY", 1, 1, "take a disabled access key again", NULL, NULL,
      account_options, run_access_key_enable, FALSE },
    { "access-key delete", "KEY", 1, 1, "delete an access key", NULL, NULL, account_options,
      run_access_key_delete, FALSE },
    { 0 },
};
