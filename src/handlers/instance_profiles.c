/* Instance profiles: how an instance comes by its role; one role at most. */
#include "base/errors.h"
#include "base/id.h"
#include "handlers/iam_common.h"
#include "handlers/roles.h"
#include "handlers/table.h"
#include "store/roles.h"

/* With the role that it holds; NULL with *error set when that cannot be read. */
static json_t *profile_json(const Request *rq, const InstanceProfile *profile, GError **error)
{
    json_auto_t *roles = json_array();

    if (profile->role_name) {
        g_autoptr(Role) role = roles_get(rq->tx, rq->account_id, profile->role_name, error);
        if (!role)
            return NULL;
        json_array_append_new(roles, role_json(rq, role));
    }
    json_t *tree = json_pack("{s:s, s:s, s:s, s:o, s:I, s:O}", "Path", profile->path,
                             "InstanceProfileName", profile->name, "InstanceProfileId", profile->id,
                             "Arn", iam_arn(rq, "instance-profile", profile->path, profile->name),
                             "CreateDate", (json_int_t)profile->created_us, "Roles", roles);
    if (json_array_size(profile->tags))
        json_object_set(tree, "Tags", profile->tags);
    return tree;
}

static json_t *profile_answer(const Request *rq, const InstanceProfile *profile, GError **error)
{
    json_t *tree = profile_json(rq, profile, error);

    return tree ? json_pack("{s:o}", "InstanceProfile", tree) : NULL;
}

static InstanceProfile *profile_asked(Request *rq, GError **error)
{
    return instance_profiles_get(rq->tx, rq->account_id, request_text(rq, "InstanceProfileName"),
                                 error);
}

json_t *create_instance_profile(Request *rq, GError **error)
{
    const char *name = iam_new_name(rq, "InstanceProfileName", "instanceProfileName", error);
    const char *path = name ? iam_path(rq, error) : NULL;
    json_auto_t *tags = path ? iam_tags(rq, error) : NULL;
    g_autofree char *id = id_iam("AIPA", 21);

    if (!tags)
        return NULL;
    InstanceProfile profile = {
        .name = (char *)name, .id = id, .path = (char *)path, .tags = tags, .created_us = rq->now_us
    };
    return instance_profiles_insert(rq->tx, rq->account_id, &profile, error)
               ? profile_answer(rq, &profile, error)
               : NULL;
}

json_t *get_instance_profile(Request *rq, GError **error)
{
    g_autoptr(InstanceProfile) profile = profile_asked(rq, error);

    return profile ? profile_answer(rq, profile, error) : NULL;
}

static const char *profile_name_of(gconstpointer row)
{
    return ((const InstanceProfile *)row)->name;
}

static json_t *profile_item(const Request *rq, gconstpointer row)
{
    return profile_json(rq, row, NULL);
}

static json_t *list_profiles(Request *rq, const char *role_name, GError **error)
{
    g_auto(IamPage) page = { 0 };
    const char *prefix = request_text(rq, "PathPrefix");

    if (!iam_page(rq, &page, error))
        return NULL;
    g_autoptr(GPtrArray) list =
        instance_profiles_list(rq->tx, rq->account_id, prefix ? prefix : "/", role_name, page.after,
                               page.limit + 1, error);
    return list
               ? iam_page_answer(&page, "InstanceProfiles", list, profile_item, profile_name_of, rq)
               : NULL;
}

json_t *list_instance_profiles(Request *rq, GError **error)
{
    return list_profiles(rq, NULL, error);
}

json_t *list_instance_profiles_for_role(Request *rq, GError **error)
{
    g_autoptr(Role) role = roles_get(rq->tx, rq->account_id, request_text(rq, "RoleName"), error);

    return role ? list_profiles(rq, role->name, error) : NULL;
}

json_t *add_role_to_instance_profile(Request *rq, GError **error)
{
    g_autoptr(InstanceProfile) profile = profile_asked(rq, error);
    g_autoptr(Role) role =
        profile ? roles_get(rq->tx, rq->account_id, request_text(rq, "RoleName"), error) : NULL;

    if (!role)
        return NULL;
    if (profile->role_name)
        return fail_null(error, LIMIT_EXCEEDED,
                         "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1");
    return instance_profiles_set_role(rq->tx, rq->account_id, profile->name, role->name, error)
               ? json_object()
               : NULL;
}

json_t *remove_role_from_instance_profile(Request *rq, GError **error)
{
    g_autoptr(InstanceProfile) profile = profile_asked(rq, error);
    const char *name = request_text(rq, "RoleName");

    if (!profile)
        return NULL;
    if (!profile->role_name || g_ascii_strcasecmp(profile->role_name, name) != 0)
        return fail_null(error, NO_SUCH_ENTITY, "The role with name %s cannot be found.", name);
    return instance_profiles_set_role(rq->tx, rq->account_id, profile->name, NULL, error)
               ? json_object()
               : NULL;
}

json_t *delete_instance_profile(Request *rq, GError **error)
{
    g_autoptr(InstanceProfile) profile = profile_asked(rq, error);

    if (!profile)
        return NULL;
    if (profile->role_name)
        return fail_null(error, DELETE_CONFLICT,
                         "Cannot delete entity, must remove roles from instance profile first.");
    return instance_profiles_delete(rq->tx, rq->account_id, profile->name, error) ? json_object()
                                                                                  : NULL;
}
