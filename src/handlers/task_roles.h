/*
 * handlers/task_roles.h - the roles that a task names, and whether ECS may take them for it
 *
 * Asked when a task is run, where Amazon's answer is a ClientException, and again when its payload
 * is made: a role may go in between.
 * Errors: ACCESS_DENIED (no role of this account, or it does not trust tasks); those of db.h.
 */
#pragma once

#include "handlers/request.h"

/* The role's name within role_arn, checked on the identity database; NULL with *error set. Borrowed
 * from role_arn. */
const char *task_role_check(DbTx *identity, const char *account_id, const char *role_arn,
                            GError **error);
/* The role that a task takes: its override's, else its definition's; NULL for none. member is
 * "taskRoleArn" or "executionRoleArn". Borrowed from the trees. */
const char *task_role_named(const json_t *definition, const json_t *overrides, const char *member);
/* Amazon's sentence for a role that cannot be taken. Caller frees. */
char *task_role_refusal(const char *role_arn);
/* Both roles at once, in the caller's words: ECS_CLIENT with the sentence. */
gboolean task_roles_check(Request *rq, const json_t *definition, const json_t *overrides,
                          GError **error);
