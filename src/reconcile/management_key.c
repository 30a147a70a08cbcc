#include "reconcile/management_key.h"
#include "base/errors.h"
#include "model/ssh_key.h"
#include "store/region_secrets.h"

#include <string.h>

#define NAME "management_key"

static gboolean key_make(World *world, DbTx *tx, GError **error)
{
    g_autoptr(SshKey) key = ssh_key_generate(SSH_KEY_ED25519, "berth", error);

    if (!key)
        return FALSE;
    g_autofree char *sealed = crypto_seal(world->master_key, key->private_pem);
    explicit_bzero(key->private_pem, strlen(key->private_pem));
    return region_secrets_add(tx, NAME, sealed, key->public_line, error);
}

/* Reads it, and makes it first where there is none; of two that make it at once, one stays. */
static gboolean key_get(World *world, char **ret_sealed, char **ret_public, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);
    gboolean found = FALSE;

    if (!tx || !region_secrets_get(tx, NAME, &found, ret_sealed, ret_public, error))
        return FALSE;
    if (found)
        return TRUE;
    if (!key_make(world, tx, error) ||
        !region_secrets_get(tx, NAME, &found, ret_sealed, ret_public, error))
        return FALSE;
    return found || fail(error, INTERNAL, "the management key was not kept");
}

char *management_key_public(World *world, GError **error)
{
    g_autofree char *sealed = NULL;
    char *public_key = NULL;

    return key_get(world, &sealed, &public_key, error) ? public_key : NULL;
}

char *management_key_private(World *world, GError **error)
{
    g_autofree char *sealed = NULL, *public_key = NULL;

    return key_get(world, &sealed, &public_key, error)
               ? crypto_unseal(world->master_key, sealed, error)
               : NULL;
}

void management_key_wipe(char *private_key)
{
    if (!private_key)
        return;
    explicit_bzero(private_key, strlen(private_key));
    g_free(private_key);
}
