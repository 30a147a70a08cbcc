/* Roles: rows with the policy of who may take them. What they may do is fixed (model/policy.h). */
#include "handlers/roles.h"
#include "base/errors.h"
#include "base/id.h"
#include "handlers/iam_common.h"
#include "handlers/table.h"
#include "model/trust.h"

#define SESSION_SECONDS 3600

json_t *role_json(const Request *rq, const Role *role)
{
    /* documents travel escaped as in a URL */
    g_autofree char *policy = g_uri_escape_string(role->trust_policy, NULL, FALSE);
    json_t *tree = json_pack(
        "{s:s, s:s, s:s, s:o, s:I, s:s, s:s*, s:I}", "Path", role->path, "RoleName", role->name,
        "RoleId", role->id, "Arn", iam_arn(rq, "role", role->path, role->name), "CreateDate",
        (json_int_t)role->created_us, "AssumeRolePolicyDocument", policy, "Description",
        role->description, "MaxSessionDuration", (json_int_t)role->max_session_seconds);

    if (json_array_size(role->tags))
        json_object_set(tree, "Tags", role->tags);
    return tree;
}

json_t *create_role(Request *rq, GError **error)
{
    const char *name = iam_new_name(rq, "RoleName", "roleName", error);
    const char *path = name ? iam_path(rq, error) : NULL;
    const char *policy = request_text(rq, "AssumeRolePolicyDocument");
    json_auto_t *tags = path ? iam_tags(rq, error) : NULL;

    if (!tags || !trust_check(policy, error))
        return NULL;
    if (request_member(rq, "PermissionsBoundary"))
        return fail_null(error, UNSUPPORTED, "PermissionsBoundary is not supported here yet");
    g_autofree char *id = id_iam("AROA", 21);
    Role role = { .name = (char *)name,
                  .id = id,
                  .path = (char *)path,
                  .description = (char *)request_text(rq, "Description"),
                  .trust_policy = (char *)policy,
                  .max_session_seconds = request_int(rq, "MaxSessionDuration", SESSION_SECONDS),
                  .tags = tags,
                  .created_us = rq->now_us };
    if (!roles_insert(rq->tx, rq->account_id, &role, error))
        return NULL;
    return json_pack("{s:o}", "Role", role_json(rq, &role));
}

json_t *get_role(Request *rq, GError **error)
{
    g_autoptr(Role) role = roles_get(rq->tx, rq->account_id, request_text(rq, "RoleName"), error);

    return role ? json_pack("{s:o}", "Role", role_json(rq, role)) : NULL;
}

static json_t *role_item(const Request *rq, gconstpointer row)
{
    return role_json(rq, row);
}

static const char *role_name_of(gconstpointer row)
{
    return ((const Role *)row)->name;
}

json_t *list_roles(Request *rq, GError **error)
{
    g_auto(IamPage) page = { 0 };
    const char *prefix = request_text(rq, "PathPrefix");

    if (!iam_page(rq, &page, error))
        return NULL;
    g_autoptr(GPtrArray) list = roles_list(rq->tx, rq->account_id, prefix ? prefix : "/",
                                           page.after, page.limit + 1, error);
    return list ? iam_page_answer(&page, "Roles", list, role_item, role_name_of, rq) : NULL;
}

json_t *delete_role(Request *rq, GError **error)
{
    return roles_delete(rq->tx, rq->account_id, request_text(rq, "RoleName"), error) ? json_object()
                                                                                     : NULL;
}
