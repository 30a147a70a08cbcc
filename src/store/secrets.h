/*
 * store/secrets.h - rows of tables "secrets" and "secret_versions": values by name and stage,
 * sealed
 *
 * A value goes in and out as the sealed text of base/crypto.h: nothing here knows the key. A stage
 * ("AWSCURRENT", "AWSPREVIOUS", a caller's own) belongs to one version of a secret at a time.
 * Times are UTC microseconds, 0 for never. Callers own results.
 * Errors: SECRET_NOT_FOUND, SECRET_EXISTS, and those of store/db.h.
 * Source: Secrets Manager User Guide, "Secret versions".
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

typedef struct {
    gint64 id;
    char *name;
    char *suffix; /* six characters that end its ARN */
    json_t *details;
    gint64 created_us;
    gint64 changed_us;
    gint64 deleted_us; /* asked to go */
    gint64 delete_us;  /* goes for good */
} Secret;

void secret_free(Secret *secret);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Secret, secret_free)

typedef struct {
    char *version_id;
    char *sealed;
    gboolean is_binary; /* the value is base64 */
    char **stages;
    gint64 created_us;
} SecretVersion;

void secret_version_free(SecretVersion *version);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SecretVersion, secret_version_free)

/* By name, or name, dash and suffix; lock takes the row FOR UPDATE. Error: SECRET_NOT_FOUND. */
Secret *secrets_get(DbTx *tx, const char *account_id, const char *name, gboolean lock,
                    GError **error);
/* In the order of names, behind after (NULL: from the first), those whose name begins with prefix
 * (NULL: all); deleted ones are left out. Secret *. */
GPtrArray *secrets_list(DbTx *tx, const char *account_id, const char *prefix, const char *after,
                        gint64 limit, GError **error);
/* Error: SECRET_EXISTS. */
gboolean secrets_add(DbTx *tx, const char *account_id, const char *name, const char *suffix,
                     const json_t *details, gint64 *ret_id, GError **error);
/* Merges details. */
gboolean secrets_describe(DbTx *tx, gint64 id, const json_t *details, GError **error);
/* It goes for good at delete_us; 0: it stays after all. */
gboolean secrets_schedule(DbTx *tx, gint64 id, gint64 delete_us, GError **error);
gboolean secrets_remove(DbTx *tx, gint64 id, GError **error);

/* The version that has this id and this stage, either of which may be NULL. NULL without an error
 * when there is none. */
SecretVersion *secret_versions_find(DbTx *tx, gint64 secret_id, const char *version_id,
                                    const char *stage, GError **error);
/* Those that have a stage, newest first: SecretVersion *. */
GPtrArray *secret_versions_staged(DbTx *tx, gint64 secret_id, GError **error);
/* Adds a version (created_us is not read) and moves its stages from the others to it; what was
 * AWSCURRENT becomes AWSPREVIOUS. The version must be new. */
gboolean secret_versions_add(DbTx *tx, gint64 secret_id, const SecretVersion *version,
                             GError **error);
