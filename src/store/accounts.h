/*
 * store/accounts.h - rows of tables "accounts", "users" and "access_keys" (sql/identity)
 *
 * An access key without a user name is the account's root. Secrets are sealed
 * (crypto_seal) and leave this room sealed. Times are UTC microseconds. Callers free records.
 * Errors: ADMIN_NOT_FOUND, ADMIN_EXISTS; those of db.h.
 */
#pragma once

#include "store/db.h"

typedef struct {
    char *account_id; /* twelve digits */
    char *name;
    gboolean is_admin;
    gint64 created_us;
} Account;

void account_free(Account *account);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Account, account_free)

/* Inserts; account_id NULL takes a free one. */
Account *accounts_insert(DbTx *tx, const char *account_id, const char *name, gboolean is_admin,
                         GError **error);
Account *accounts_get(DbTx *tx, const char *account_id, GError **error);
/* The account of this name; NULL without an error when there is none. */
Account *accounts_find(DbTx *tx, const char *name, GError **error);
/* Account *, oldest first; frees its elements. */
GPtrArray *accounts_list(DbTx *tx, GError **error);

typedef struct {
    char *access_key_id;
    char *account_id;
    char *user_name; /* NULL: root */
    char *user_id;   /* NULL: root */
    char *user_path;
    char *sealed_secret;
    gboolean active;
    gboolean is_admin; /* the account is */
    gint64 created_us;
} AccessKey;

void access_key_free(AccessKey *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AccessKey, access_key_free)

/* The key with what its principal is called; NULL without an error when there is none. */
AccessKey *access_keys_find(DbTx *tx, const char *access_key_id, GError **error);
gboolean access_keys_insert(DbTx *tx, const char *access_key_id, const char *account_id,
                            const char *user_name, const char *sealed_secret, GError **error);
/* AccessKey *, oldest first; user_name NULL: every key of the account. */
GPtrArray *access_keys_list(DbTx *tx, const char *account_id, const char *user_name,
                            GError **error);
gboolean access_keys_set_active(DbTx *tx, const char *account_id, const char *access_key_id,
                                gboolean active, GError **error);
gboolean access_keys_delete(DbTx *tx, const char *account_id, const char *access_key_id,
                            GError **error);

typedef struct {
    char *user_name;
    char *user_id;
    char *path;
    gint64 created_us;
} User;

void user_free(User *user);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(User, user_free)

/* Error: NO_SUCH_ENTITY in IAM's words. */
User *users_get(DbTx *tx, const char *account_id, const char *user_name, GError **error);
User *users_get_by_id(DbTx *tx, const char *account_id, const char *user_id, GError **error);
/* Makes the user where there is none. */
gboolean users_ensure(DbTx *tx, const char *account_id, const char *user_name, GError **error);
