/*
 * store/account_settings.h - rows of table "account_settings": ECS settings by principal
 *
 * A setting of the account's root is the account's default. Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

gboolean account_settings_set(DbTx *tx, const char *account_id, const char *principal_arn,
                              const char *name, const char *value, GError **error);
/* Value by name of what is set for the principal itself, and with root_arn for the account where
 * the principal has nothing of its own. A GHashTable of char * to char *. */
GHashTable *account_settings_of(DbTx *tx, const char *account_id, const char *principal_arn,
                                const char *root_arn, GError **error);
