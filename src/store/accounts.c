#include "store/accounts.h"
#include "base/errors.h"
#include "base/id.h"

#include <string.h>

#define ACCOUNT_COLUMNS "account_id, name, is_admin, " DB_US("created_at")
#define USER_ID_LENGTH  21
#define ACCOUNT_DIGITS  12

void account_free(Account *account)
{
    if (!account)
        return;
    g_free(account->account_id);
    g_free(account->name);
    g_free(account);
}

static Account *account_from_row(const PGresult *res, int row)
{
    Account *account = g_new0(Account, 1);

    account->account_id = g_strdup(db_text(res, row, 0));
    account->name = g_strdup(db_text(res, row, 1));
    account->is_admin = db_truth(res, row, 2);
    account->created_us = db_int64(res, row, 3);
    return account;
}

/* Twelve random digits, the first not 0. */
static void random_account_id(char ret_id[ACCOUNT_DIGITS + 1])
{
    guint64 bits;

    id_random(&bits, sizeof bits);
    g_snprintf(ret_id, ACCOUNT_DIGITS + 1, "%012" G_GUINT64_FORMAT,
               G_GUINT64_CONSTANT(100000000000) + bits % G_GUINT64_CONSTANT(900000000000));
}

Account *accounts_insert(DbTx *tx, const char *account_id, const char *name, gboolean is_admin,
                         GError **error)
{
    char made[ACCOUNT_DIGITS + 1];

    random_account_id(made);
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "INSERT INTO accounts (account_id, name, is_admin) VALUES ($1, $2, $3)"
                 " ON CONFLICT DO NOTHING RETURNING " ACCOUNT_COLUMNS,
                 DB_ARGS(account_id ? account_id : made, name, db_bool(is_admin)));
    if (!res)
        return NULL;
    if (PQntuples(res) == 0)
        return fail_null(error, ADMIN_EXISTS, "an account with the name \"%s\" or that id exists",
                         name);
    return account_from_row(res, 0);
}

Account *accounts_get(DbTx *tx, const char *account_id, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error, "SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE account_id = $1",
                 DB_ARGS(account_id));
    if (!res)
        return NULL;
    if (PQntuples(res) == 0)
        return fail_null(error, ADMIN_NOT_FOUND, "account \"%s\" does not exist", account_id);
    return account_from_row(res, 0);
}

Account *accounts_find(DbTx *tx, const char *name, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error, "SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE name = $1", DB_ARGS(name));

    return res && PQntuples(res) > 0 ? account_from_row(res, 0) : NULL;
}

GPtrArray *accounts_list(DbTx *tx, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error, "SELECT " ACCOUNT_COLUMNS " FROM accounts ORDER BY created_at, account_id",
        DB_NO_ARGS);
    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)account_free);
    for (int i = 0; i < PQntuples(res); i++)
        g_ptr_array_add(list, account_from_row(res, i));
    return list;
}

void access_key_free(AccessKey *key)
{
    if (!key)
        return;
    g_free(key->access_key_id);
    g_free(key->account_id);
    g_free(key->user_name);
    g_free(key->user_id);
    g_free(key->user_path);
    g_free(key->sealed_secret);
    g_free(key);
}

#define KEY_SELECT                                                                                 \
    "SELECT k.access_key_id, k.account_id, k.user_name, u.user_id, u.path, k.sealed_secret,"       \
    " k.status = 'Active', a.is_admin, " DB_US(                                                    \
        "k.created_at") " FROM access_keys k JOIN accounts a USING (account_id)"                   \
                        " LEFT JOIN users u ON u.account_id = k.account_id AND u.user_name = "     \
                        "k.user_name"

static AccessKey *access_key_from_row(const PGresult *res, int row)
{
    AccessKey *key = g_new0(AccessKey, 1);

    key->access_key_id = g_strdup(db_text(res, row, 0));
    key->account_id = g_strdup(db_text(res, row, 1));
    key->user_name = g_strdup(db_text(res, row, 2));
    key->user_id = g_strdup(db_text(res, row, 3));
    key->user_path = g_strdup(db_text(res, row, 4));
    key->sealed_secret = g_strdup(db_text(res, row, 5));
    key->active = db_truth(res, row, 6);
    key->is_admin = db_truth(res, row, 7);
    key->created_us = db_int64(res, row, 8);
    return key;
}

AccessKey *access_keys_find(DbTx *tx, const char *access_key_id, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error, KEY_SELECT " WHERE k.access_key_id = $1", DB_ARGS(access_key_id));

    return res && PQntuples(res) > 0 ? access_key_from_row(res, 0) : NULL;
}

gboolean access_keys_insert(DbTx *tx, const char *access_key_id, const char *account_id,
                            const char *user_name, const char *sealed_secret, GError **error)
{
    return db_exec(tx, error,
                   "INSERT INTO access_keys (access_key_id, account_id, user_name, sealed_secret)"
                   " VALUES ($1, $2, $3, $4)",
                   DB_ARGS(access_key_id, account_id, user_name, sealed_secret), NULL);
}

GPtrArray *access_keys_list(DbTx *tx, const char *account_id, const char *user_name, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 KEY_SELECT " WHERE k.account_id = $1 AND ($2::text IS NULL OR k.user_name = $2)"
                            " ORDER BY k.created_at, k.access_key_id",
                 DB_ARGS(account_id, user_name));
    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)access_key_free);
    for (int i = 0; i < PQntuples(res); i++)
        g_ptr_array_add(list, access_key_from_row(res, i));
    return list;
}

static gboolean key_was_there(gboolean done, guint rows, const char *access_key_id, GError **error)
{
    if (done && rows == 0)
        return fail(error, ADMIN_NOT_FOUND, "access key \"%s\" does not exist", access_key_id);
    return done;
}

gboolean access_keys_set_active(DbTx *tx, const char *account_id, const char *access_key_id,
                                gboolean active, GError **error)
{
    guint rows = 0;
    gboolean done =
        db_exec(tx, error,
                "UPDATE access_keys SET status = $3 WHERE account_id = $1 AND access_key_id = $2",
                DB_ARGS(account_id, access_key_id, active ? "Active" : "Inactive"), &rows);

    return key_was_there(done, rows, access_key_id, error);
}

gboolean access_keys_delete(DbTx *tx, const char *account_id, const char *access_key_id,
                            GError **error)
{
    guint rows = 0;
    gboolean done =
        db_exec(tx, error, "DELETE FROM access_keys WHERE account_id = $1 AND access_key_id = $2",
                DB_ARGS(account_id, access_key_id), &rows);

    return key_was_there(done, rows, access_key_id, error);
}

void user_free(User *user)
{
    if (!user)
        return;
    g_free(user->user_name);
    g_free(user->user_id);
    g_free(user->path);
    g_free(user);
}

#define USER_SELECT "SELECT user_name, user_id, path, " DB_US("created_at") " FROM users"

static User *user_from_rows(const PGresult *res, const char *named, GError **error)
{
    if (!res)
        return NULL;
    if (PQntuples(res) == 0)
        return fail_null(error, NO_SUCH_ENTITY, "The user with name %s cannot be found.", named);
    User *user = g_new0(User, 1);
    user->user_name = g_strdup(db_text(res, 0, 0));
    user->user_id = g_strdup(db_text(res, 0, 1));
    user->path = g_strdup(db_text(res, 0, 2));
    user->created_us = db_int64(res, 0, 3);
    return user;
}

User *users_get(DbTx *tx, const char *account_id, const char *user_name, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error, USER_SELECT " WHERE account_id = $1 AND user_name = $2",
                 DB_ARGS(account_id, user_name));

    return user_from_rows(res, user_name, error);
}

User *users_get_by_id(DbTx *tx, const char *account_id, const char *user_id, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error, USER_SELECT " WHERE account_id = $1 AND user_id = $2",
                 DB_ARGS(account_id, user_id));

    return user_from_rows(res, user_id, error);
}

gboolean users_ensure(DbTx *tx, const char *account_id, const char *user_name, GError **error)
{
    g_autofree char *user_id = id_iam("AIDA", USER_ID_LENGTH);

    return db_exec(tx, error,
                   "INSERT INTO users (account_id, user_name, user_id) VALUES ($1, $2, $3)"
                   " ON CONFLICT DO NOTHING",
                   DB_ARGS(account_id, user_name, user_id), NULL);
}
