/*
 * store/parameters.h - rows of tables "parameters" and "parameter_versions": named values, sealed
 *
 * A value goes in and out as the sealed text of base/crypto.h: nothing here knows the key. The last
 * hundred versions are kept. Times are UTC microseconds. Callers own results.
 * Errors: PARAMETER_EXISTS, and those of store/db.h.
 * Source: SSM API Reference, "PutParameter", "Parameter".
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

#define PARAMETER_VERSIONS_KEPT 100

typedef struct {
    char *name;
    char *type; /* "String", "StringList", "SecureString" */
    gint64 version;
    char *sealed;
    char *modified_by; /* ARN */
    gint64 modified_us;
    json_t *details; /* of the newest version: {Description, AllowedPattern, KeyId ...} */
} Parameter;

void parameter_free(Parameter *parameter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Parameter, parameter_free)

/* version 0: the newest. NULL without an error when there is none. */
Parameter *parameters_find(DbTx *tx, const char *account_id, const char *name, gint64 version,
                           GError **error);

typedef struct {
    const char *below;  /* names that begin so ("/app/"); NULL: all */
    gboolean recursive; /* deeper ones too; without below: always */
    const char *after;  /* names behind this one; NULL: from the first */
    gint64 limit;
} ParameterRange;
/* Newest versions in the order of their names: Parameter *. */
GPtrArray *parameters_list(DbTx *tx, const char *account_id, const ParameterRange *range,
                           GError **error);
/* All kept versions of one, oldest first: Parameter *. */
GPtrArray *parameters_history(DbTx *tx, const char *account_id, const char *name, GError **error);

/* Makes it, or with overwrite its next version; details are merged. version, modified_us of value
 * are not read. *ret_version is the new one. Error: PARAMETER_EXISTS. */
gboolean parameters_put(DbTx *tx, const char *account_id, const Parameter *value,
                        gboolean overwrite, gint64 *ret_version, GError **error);
/* Takes those of names (ended by NULL) away that there are; their names: char *. */
GPtrArray *parameters_delete(DbTx *tx, const char *account_id, const char *const *names,
                             GError **error);
