/*
 * handlers/secret_values.h - parameters and secrets found and opened, for their actions and for
 * tasks
 *
 * Values are clear text: they go into an answer or a payload, never into a row or the log.
 * Callers own results. Errors: those of the stores; INTERNAL (sealed with another key).
 */
#pragma once

#include "base/crypto.h"
#include "model/secret_ref.h"
#include "store/parameters.h"
#include "store/secrets.h"

/* The version that ref names; by ARN "parameter/NAME" is NAME or else /NAME. NULL without an error
 * when there is none. */
Parameter *secret_values_parameter(DbTx *tx, const char *account_id, const SecretRef *ref,
                                   GError **error);
/* The version of a secret by id and stage; both NULL: AWSCURRENT. Error: SECRET_NOT_FOUND. */
SecretVersion *secret_values_version(DbTx *tx, const Secret *secret, const char *version_id,
                                     const char *stage, GError **error);

/* What is needed to open the secrets of a task. */
typedef struct {
    const char *region;
    const char *account_id;
    const guint8 *master_key;
} SecretScope;

/* The definition with the values of its containers' secrets among their environment, and those of
 * their log drivers' among the options. An entry whose name ends with "*" stands for all members of
 * a secret's JSON, or all parameters below a path ("/app/"), each named by what stands before the
 * "*" and its own key. Error: TASK_RESOURCE, with the sentence for the task. */
json_t *task_secrets_apply(DbTx *tx, const SecretScope *scope, const json_t *definition,
                           GError **error);
/* Whether there is anything to do for it. */
gboolean task_secrets_needed(const json_t *definition);
