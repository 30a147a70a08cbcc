#include "handlers/task_roles.h"
#include "base/errors.h"
#include "store/roles.h"

#include <string.h>

#define TASKS_SERVICE "ecs-tasks.amazonaws.com"

const char *task_role_check(DbTx *identity, const char *account_id, const char *role_arn,
                            GError **error)
{
    g_autofree char *prefix = g_strdup_printf("arn:aws:iam::%s:role/", account_id);

    if (!g_str_has_prefix(role_arn, prefix))
        return fail_null(error, ACCESS_DENIED, "\"%s\" is no role of account %s", role_arn,
                         account_id);
    const char *name = strrchr(role_arn, '/') + 1;
    return roles_check_service(identity, account_id, name, TASKS_SERVICE, error) ? name : NULL;
}

const char *task_role_named(const json_t *definition, const json_t *overrides, const char *member)
{
    const char *over = json_string_value(json_object_get(overrides, member));
    const char *named =
        over && *over ? over : json_string_value(json_object_get(definition, member));

    return named && *named ? named : NULL;
}

char *task_role_refusal(const char *role_arn)
{
    return g_strdup_printf(
        "ECS was unable to assume the role '%s' that was provided for this task. Please verify "
        "that the role being passed has the proper trust relationship and permissions and that "
        "your IAM user has permissions to pass this role.",
        role_arn);
}

gboolean task_roles_check(Request *rq, const json_t *definition, const json_t *overrides,
                          GError **error)
{
    static const char *const members[] = { "taskRoleArn", "executionRoleArn" };
    g_autoptr(DbTx) identity = NULL;

    for (gsize n = 0; n < G_N_ELEMENTS(members); n++) {
        const char *role_arn = task_role_named(definition, overrides, members[n]);
        g_autoptr(GError) cause = NULL;
        if (!role_arn)
            continue;
        if (!identity && !(identity = db_begin(rq->context->identity, DB_MODE_READ, error)))
            return FALSE;
        if (task_role_check(identity, rq->account_id, role_arn, &cause))
            continue;
        if (!error_is(cause, ERROR_ACCESS_DENIED)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        g_autofree char *refusal = task_role_refusal(role_arn);
        return fail(error, ECS_CLIENT, "%s", refusal);
    }
    return TRUE;
}
