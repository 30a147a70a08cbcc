#include "server/setup.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "base/id.h"
#include "model/default_network.h"
#include "store/accounts.h"
#include "store/migrate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ADMIN_USER "admin"

static char *embedded_dsn(const Config *config, const char *database)
{
    return g_strdup_printf("host=%s/postgresql dbname=%s", config->run_dir, database);
}

static gboolean advertise_default(Config *config, GError **error)
{
    if (*config->advertise)
        return TRUE;
    g_autoptr(DefaultNetwork) net =
        default_network_new("", config->region, config->network_cidr, error);
    if (!net)
        return FALSE;
    g_free(config->advertise);
    config->advertise = default_network_gateway(net);
    return TRUE;
}

gboolean setup_defaults(Config *config, GError **error)
{
    g_autofree char *region = g_strdelimit(g_strdup(config->region), "-", '_');
    g_autofree char *database = g_strconcat("berth_", region, NULL);

    if (!*config->identity_dsn) {
        g_free(config->identity_dsn);
        config->identity_dsn = embedded_dsn(config, "berth_identity");
    }
    if (!*config->region_dsn) {
        g_free(config->region_dsn);
        config->region_dsn = embedded_dsn(config, database);
    }
    return advertise_default(config, error);
}

static gboolean migrate_one(const char *what, const char *dsn, const Migration *files,
                            GError **error)
{
    guint applied = 0;

    if (!migrate_apply(dsn, files, &applied, error))
        return fail_prefix(error, "%s database", what);
    printf("%s database: %u schema file%s applied\n", what, applied, applied == 1 ? "" : "s");
    return TRUE;
}

gboolean setup_migrate(const Config *config, GError **error)
{
    return migrate_one("identity", config->identity_dsn, migrations_identity, error) &&
           migrate_one(config->region, config->region_dsn, migrations_region, error);
}

gboolean setup_check(const Config *config, GError **error)
{
    if (!migrate_check(config->identity_dsn, "berth_api", migrations_identity, error))
        return fail_prefix(error, "identity database");
    if (!migrate_check(config->region_dsn, "berth_api", migrations_region, error))
        return fail_prefix(error, "database of region \"%s\"", config->region);
    return TRUE;
}

typedef struct {
    char *access_key_id;
    char *secret;
} AdminKey;

static void admin_key_clear(AdminKey *key)
{
    g_free(key->access_key_id);
    g_free(key->secret);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AdminKey, admin_key_clear)

/* The key that the file has; FALSE when there is no such file. */
static gboolean admin_file_read(const char *file, AdminKey *ret_key)
{
    g_autoptr(GKeyFile) keys = g_key_file_new();

    if (!g_key_file_load_from_file(keys, file, G_KEY_FILE_NONE, NULL))
        return FALSE;
    ret_key->access_key_id = g_key_file_get_string(keys, "default", "aws_access_key_id", NULL);
    ret_key->secret = g_key_file_get_string(keys, "default", "aws_secret_access_key", NULL);
    return ret_key->access_key_id && ret_key->secret;
}

static gboolean admin_file_write(const char *file, const AdminKey *key, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *text =
        g_strdup_printf("[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n",
                        key->access_key_id, key->secret);

    if (!g_file_set_contents_full(file, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &cause))
        return fail(error, CONFIG, "cannot write \"%s\": %s", file, cause->message);
    return TRUE;
}

/* The account of this name, with its user; made where there is none. */
static Account *admin_account(DbTx *tx, const char *name, GError **error)
{
    GError *cause = NULL;
    g_autoptr(Account) account = accounts_find(tx, name, &cause);

    if (!account && !cause)
        account = accounts_insert(tx, NULL, name, TRUE, &cause);
    if (!account) {
        g_propagate_error(error, cause);
        return NULL;
    }
    if (!users_ensure(tx, account->account_id, ADMIN_USER, error))
        return NULL;
    return g_steal_pointer(&account);
}

/* Makes key good: the row it names, or a new key and the file that keeps it. */
static gboolean admin_key_settle(const Config *config, DbTx *tx, const Account *account,
                                 AdminKey *key, GError **error)
{
    g_autofree char *file = g_build_filename(config->state_dir, "admin-credentials", NULL);
    g_autofree char *master_file = g_build_filename(config->state_dir, "master.key", NULL);
    guint8 master[CRYPTO_KEY_SIZE];
    GError *cause = NULL;

    if (admin_file_read(file, key)) {
        g_autoptr(AccessKey) known = access_keys_find(tx, key->access_key_id, &cause);
        if (known && strcmp(known->account_id, account->account_id) == 0)
            return TRUE;
        if (cause) {
            g_propagate_error(error, cause);
            return FALSE;
        }
        admin_key_clear(key);
    }
    if (!crypto_load_key(master_file, TRUE, master, error))
        return FALSE;
    key->access_key_id = id_iam("AKIA", 20);
    key->secret = id_secret(40);
    g_autofree char *sealed = crypto_seal(master, key->secret);
    return access_keys_insert(tx, key->access_key_id, account->account_id, ADMIN_USER, sealed,
                              error) &&
           admin_file_write(file, key, error);
}

gboolean setup_create_admin(const Config *config, const char *name, GError **error)
{
    g_auto(AdminKey) key = { 0 };
    DbPool *pool = db_pool_new(config->identity_dsn, "berth_api", 1);
    g_autoptr(Account) account = NULL;
    DbTx *tx = db_begin(pool, DB_MODE_WRITE, error);
    gboolean done = FALSE;

    if (tx) {
        account = admin_account(tx, name, error);
        done = account && admin_key_settle(config, tx, account, &key, error) &&
               db_exec(tx, error, "INSERT INTO regions (region) VALUES ($1) ON CONFLICT DO NOTHING",
                       DB_ARGS(config->region), NULL);
        if (done)
            done = db_commit(tx, error);
        else
            db_rollback(tx);
    }
    db_pool_free(pool);
    if (done)
        printf("account_id=%s\naws_access_key_id=%s\naws_secret_access_key=%s\n",
               account->account_id, key.access_key_id, key.secret);
    return done;
}
