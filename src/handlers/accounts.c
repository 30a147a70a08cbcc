/* The admin service's accounts and access keys. */
#include "base/errors.h"
#include "base/id.h"
#include "handlers/table.h"
#include "store/accounts.h"

#include <string.h>

#define KEYS_PER_ACCOUNT 20
#define KEY_ID_LENGTH    20
#define SECRET_LENGTH    40

static gboolean check_account_id(const char *id, GError **error)
{
    if (id && (strlen(id) != 12 || strspn(id, "0123456789") != 12))
        return fail(error, INVALID_PARAMETER, "account id \"%s\" has not twelve digits", id);
    return TRUE;
}

static gboolean check_user_name(const char *name, GError **error)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789_+=,.@-";

    if (name && (!*name || strlen(name) > 64 || strspn(name, allowed) != strlen(name)))
        return fail(error, INVALID_PARAMETER,
                    "user name \"%s\" is not 1 to 64 letters, digits and _+=,.@-", name);
    return TRUE;
}

static json_t *account_json(const Account *account)
{
    return json_pack("{s:s, s:s, s:I}", "AccountId", account->account_id, "Name", account->name,
                     "CreatedAt", (json_int_t)account->created_us);
}

/* secret is NULL but for the one answer that tells it. */
static json_t *key_json(const AccessKey *key, const char *secret)
{
    return json_pack("{s:s, s:s*, s:s, s:s*, s:s, s:I}", "AccessKeyId", key->access_key_id,
                     "SecretAccessKey", secret, "AccountId", key->account_id, "UserName",
                     key->user_name, "Status", key->active ? "Active" : "Inactive", "CreatedAt",
                     (json_int_t)key->created_us);
}

/* The account that a call is about: another one for an admin, else the caller's own. */
static const char *target_account(const Request *rq)
{
    const char *named = request_text(rq, "AccountId");

    return named ? named : rq->account_id;
}

/* A new key with its secret in the answer, this once. */
static json_t *make_key(Request *rq, const char *account_id, const char *user_name, GError **error)
{
    g_autofree char *id = id_iam("AKIA", KEY_ID_LENGTH);
    g_autofree char *secret = id_secret(SECRET_LENGTH);
    g_autofree char *sealed = crypto_seal(rq->context->master_key, secret);

    if (!access_keys_insert(rq->tx, id, account_id, user_name, sealed, error))
        return NULL;
    g_autoptr(AccessKey) key = access_keys_find(rq->tx, id, error);
    return key ? key_json(key, secret) : NULL;
}

json_t *create_account(Request *rq, GError **error)
{
    const char *id = request_text(rq, "AccountId"), *name = request_text(rq, "Name");

    if (!check_account_id(id, error))
        return NULL;
    if (!*name || g_utf8_strlen(name, -1) > 64)
        return fail_null(error, INVALID_PARAMETER, "an account's name has 1 to 64 characters");
    g_autoptr(Account) account = accounts_insert(rq->tx, id, name, FALSE, error);
    json_t *key = account ? make_key(rq, account->account_id, NULL, error) : NULL;

    return key ? json_pack("{s:o, s:o}", "Account", account_json(account), "AccessKey", key) : NULL;
}

json_t *list_accounts(Request *rq, GError **error)
{
    g_autoptr(GPtrArray) accounts = accounts_list(rq->tx, error);
    json_t *list = accounts ? json_array() : NULL;

    for (guint i = 0; accounts && i < accounts->len; i++)
        json_array_append_new(list, account_json(accounts->pdata[i]));
    return list ? json_pack("{s:o}", "Accounts", list) : NULL;
}

json_t *create_access_key(Request *rq, GError **error)
{
    const char *user_name = request_text(rq, "UserName");

    if (!check_user_name(user_name, error))
        return NULL;
    g_autoptr(Account) account = accounts_get(rq->tx, target_account(rq), error);
    if (!account)
        return NULL;
    if (user_name && !users_ensure(rq->tx, account->account_id, user_name, error))
        return NULL;
    g_autoptr(GPtrArray) keys = access_keys_list(rq->tx, account->account_id, NULL, error);
    if (!keys)
        return NULL;
    if (keys->len >= KEYS_PER_ACCOUNT)
        return fail_null(error, INVALID_PARAMETER, "account \"%s\" has %u access keys already",
                         account->account_id, keys->len);
    json_t *key = make_key(rq, account->account_id, user_name, error);
    return key ? json_pack("{s:o}", "AccessKey", key) : NULL;
}

json_t *list_access_keys(Request *rq, GError **error)
{
    g_autoptr(Account) account = accounts_get(rq->tx, target_account(rq), error);
    g_autoptr(GPtrArray) keys =
        account ? access_keys_list(rq->tx, account->account_id, request_text(rq, "UserName"), error)
                : NULL;
    json_t *list = keys ? json_array() : NULL;

    for (guint i = 0; keys && i < keys->len; i++)
        json_array_append_new(list, key_json(keys->pdata[i], NULL));
    return list ? json_pack("{s:o}", "AccessKeys", list) : NULL;
}

/* The key that a call is made with would be the last thing that the caller could do with it. */
static gboolean not_the_callers(const Request *rq, GError **error)
{
    const char *id = request_text(rq, "AccessKeyId");

    if (strcmp(id, rq->identity->access_key_id) == 0)
        return fail(error, ADMIN_IN_USE,
                    "access key \"%s\" signed this call: use another one to "
                    "change it",
                    id);
    return TRUE;
}

json_t *update_access_key(Request *rq, GError **error)
{
    gboolean active = strcmp(request_text(rq, "Status"), "Active") == 0;

    if ((!active && !not_the_callers(rq, error)) ||
        !access_keys_set_active(rq->tx, target_account(rq), request_text(rq, "AccessKeyId"), active,
                                error))
        return NULL;
    return json_object();
}

json_t *delete_access_key(Request *rq, GError **error)
{
    if (!not_the_callers(rq, error) ||
        !access_keys_delete(rq->tx, target_account(rq), request_text(rq, "AccessKeyId"), error))
        return NULL;
    return json_object();
}
