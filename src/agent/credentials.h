/*
 * agent/credentials.h - credentials of tasks' roles: in memory only, found by their secret id
 *
 * A task has at most one set of each kind; a new set takes the place of the one before. They never
 * reach the disk or a log. The loop's thread owns them.
 * Source: agent protocol, credentials object and IAMRoleCredentialsMessage.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

typedef enum { CREDENTIALS_TASK, CREDENTIALS_EXECUTION, CREDENTIALS__COUNT } AgentCredentialsKind;

typedef struct {
    char *id;
    char *task_arn;
    AgentCredentialsKind kind;
    char *role_arn, *access_key_id, *secret_access_key, *session_token, *expiration;
} AgentCredentials;

typedef struct AgentCredentialsTable AgentCredentialsTable;

AgentCredentialsTable *agent_credentials_new(void);
void agent_credentials_free(AgentCredentialsTable *table);

/* Member of the protocol's task with credentials of this kind. */
const char *agent_credentials_member(AgentCredentialsKind kind);

/* FALSE when tree has no credentialsId; what else is missing is "". */
gboolean agent_credentials_keep(AgentCredentialsTable *table, const char *task_arn,
                                AgentCredentialsKind kind, const json_t *tree);
void agent_credentials_drop(AgentCredentialsTable *table, const char *task_arn,
                            AgentCredentialsKind kind);

/* Borrowed, until the table changes; NULL when there are none. */
const AgentCredentials *agent_credentials_by_id(const AgentCredentialsTable *table, const char *id);
const AgentCredentials *agent_credentials_of(const AgentCredentialsTable *table,
                                             const char *task_arn, AgentCredentialsKind kind);
