/*
 * store/region_secrets.h - rows of table "region_secrets": sealed, with what of them is public
 *
 * Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

/* The key that signs instance identity documents; its public part is the certificate. */
#define REGION_SECRET_IDENTITY "identity-document"

/* FALSE in *ret_found when there is none. Callers free both texts. */
gboolean region_secrets_get(DbTx *tx, const char *name, gboolean *ret_found, char **ret_sealed,
                            char **ret_public, GError **error);
/* The first one of a name stays: read it again afterwards. */
gboolean region_secrets_add(DbTx *tx, const char *name, const char *sealed, const char *public_text,
                            GError **error);
