/*
 * store/task_credentials.h - rows of table "task_credentials" (sql/region): the credentials of
 * tasks' roles, without the credentials
 *
 * Times are UTC microseconds. Errors: those of store/db.h.
 */
#pragma once

#include "model/policy.h"
#include "store/db.h"

/* Records that credentials until expires_us are on their way to the task's agent. *ret_id is the
 * name under which the agent serves them, the same each time; caller frees. */
gboolean task_credentials_keep(DbTx *tx, gint64 task_key, SessionKind kind, const char *role_arn,
                               gint64 expires_us, char **ret_id, GError **error);

typedef struct {
    gint64 task_key;
    char *task_id;
    SessionKind kind;
    char *role_arn;
} TaskCredentials;

/* Those of living tasks of a container instance that have to be sent: every one, or what ends
 * before until_us and what was not acknowledged for a while. TaskCredentials *, freed with the
 * array. */
GPtrArray *task_credentials_due(DbTx *tx, gint64 ci_id, gboolean all, gint64 until_us,
                                GError **error);
/* The instance's agent has none any more: what it had acknowledged is sent again, in this session
 * or a later one. */
gboolean task_credentials_forgotten(DbTx *tx, gint64 ci_id, GError **error);
/* Agents have those of these names; ends with NULL. */
gboolean task_credentials_acked(DbTx *tx, gint64 ci_id, const char *const *ids, GError **error);

/* Tasks that had credentials, and instances, that have ended since then: ids, ends with NULL. */
char **task_credentials_ended(DbTx *tx, gint64 since_us, GError **error);
