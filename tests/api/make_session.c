/* Makes session credentials of the agents' role, as bootstrap does, and prints them:
 *     make_session CONFIG ACCOUNT INSTANCE [SECONDS]   (SECONDS until they end; may be negative) */
#include "base/clock.h"
#include "base/config.h"
#include "server/setup.h"
#include "store/sessions.h"

#include <stdio.h>
#include <stdlib.h>

static gboolean make(const char *file, const char *account, const char *instance, gint64 seconds,
                     GError **error)
{
    g_autoptr(Config) config = config_load(file, error);
    guint8 key[CRYPTO_KEY_SIZE];

    if (!config || !setup_defaults(config, error))
        return FALSE;
    g_autofree char *key_file = g_build_filename(config->state_dir, "master.key", NULL);
    if (!crypto_load_key(key_file, FALSE, key, error))
        return FALSE;
    DbPool *pool = db_pool_new(config->identity_dsn, "berth_reconcile", 1);
    DbTx *tx = db_begin(pool, DB_MODE_WRITE, error);
    g_autoptr(SessionCredentials) made =
        tx ? sessions_make(tx, key, account, SESSION_AGENT_ROLE, instance, instance,
                           clock_now_us() + seconds * CLOCK_SECOND_US, error)
           : NULL;
    gboolean done = made && db_commit(tx, error);
    db_pool_free(pool);
    if (done)
        printf("%s\n%s\n%s\n", made->access_key_id, made->secret, made->token);
    return done;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;

    if (argc < 4)
        return 2;
    if (make(argv[1], argv[2], argv[3], argc > 4 ? atol(argv[4]) : 3600, &error))
        return 0;
    fprintf(stderr, "%s\n", error->message);
    return 1;
}
