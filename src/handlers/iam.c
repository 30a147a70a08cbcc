/* IAM: who the caller is. Users, roles and policies as resources are not built yet. */
#include "base/errors.h"
#include "handlers/table.h"
#include "store/accounts.h"

json_t *get_user(Request *rq, GError **error)
{
    const char *name = request_text(rq, "UserName");

    if (!name && rq->identity->kind != PRINCIPAL_USER)
        return fail_null(error, INVALID_PARAMETER,
                         "Must specify userName when calling with non-User credentials");
    g_autoptr(User) user =
        name ? users_get(rq->tx, rq->account_id, name, error)
             : users_get_by_id(rq->tx, rq->account_id, rq->identity->principal_id, error);
    if (!user)
        return NULL;
    return json_pack(
        "{s:{s:s, s:s, s:s, s:o, s:I}}", "User", "Path", user->path, "UserName", user->user_name,
        "UserId", user->user_id, "Arn",
        json_sprintf("arn:aws:iam::%s:user%s%s", rq->account_id, user->path, user->user_name),
        "CreateDate", (json_int_t)user->created_us);
}
