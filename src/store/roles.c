#include "store/roles.h"
#include "base/errors.h"
#include "model/trust.h"
#include "store/ecs_rows.h"

#include <stdlib.h>

#define ROLE_COLUMNS                                                                               \
    "role_name, role_id, path, description, trust_policy, max_session_seconds, tags,"              \
    " " DB_US("created_at")
#define PROFILE_COLUMNS "profile_name, profile_id, path, role_name, tags, " DB_US("created_at")

void role_free(Role *role)
{
    if (!role)
        return;
    g_free(role->name);
    g_free(role->id);
    g_free(role->path);
    g_free(role->description);
    g_free(role->trust_policy);
    json_decref(role->tags);
    g_free(role);
}

static Role *role_from_row(const PGresult *res, int row)
{
    Role *role = g_new0(Role, 1);

    role->name = g_strdup(db_text(res, row, 0));
    role->id = g_strdup(db_text(res, row, 1));
    role->path = g_strdup(db_text(res, row, 2));
    role->description = g_strdup(db_text(res, row, 3));
    role->trust_policy = g_strdup(db_text(res, row, 4));
    role->max_session_seconds = db_int64(res, row, 5);
    role->tags = row_json(res, row, 6);
    role->created_us = db_int64(res, row, 7);
    return role;
}

gboolean roles_insert(DbTx *tx, const char *account_id, const Role *role, GError **error)
{
    char *tags = json_dumps(role->tags, JSON_COMPACT);
    guint rows = 0;
    gboolean done = db_exec(
        tx, error,
        "INSERT INTO roles (account_id, role_name, role_id, path, description, trust_policy,"
        " max_session_seconds, tags, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        DB_ARGS(account_id, role->name, role->id, role->path, role->description, role->trust_policy,
                db_int(tx, role->max_session_seconds), tags, db_time(tx, role->created_us)),
        &rows);

    free(tags);
    if (done && rows == 0)
        return fail(error, ENTITY_EXISTS, "Role with name %s already exists.", role->name);
    return done;
}

Role *roles_find(DbTx *tx, const char *account_id, const char *name, GError **error)
{
    g_autoptr(PGresult) res = db_query(tx, error,
                                       "SELECT " ROLE_COLUMNS " FROM roles"
                                       " WHERE account_id = $1 AND lower(role_name) = lower($2)",
                                       DB_ARGS(account_id, name));

    return res && PQntuples(res) > 0 ? role_from_row(res, 0) : NULL;
}

Role *roles_get(DbTx *tx, const char *account_id, const char *name, GError **error)
{
    GError *cause = NULL;
    Role *role = roles_find(tx, account_id, name, &cause);

    if (cause)
        g_propagate_error(error, cause);
    else if (!role)
        fail(error, NO_SUCH_ENTITY, "The role with name %s cannot be found.", name);
    return role;
}

GPtrArray *roles_list(DbTx *tx, const char *account_id, const char *path_prefix, const char *after,
                      gint64 limit, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " ROLE_COLUMNS " FROM roles WHERE account_id = $1"
                 " AND starts_with(path, $2) AND role_name > $3 ORDER BY role_name LIMIT $4",
                 DB_ARGS(account_id, path_prefix, after ? after : "", db_int(tx, limit)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)role_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, role_from_row(res, row));
    return list;
}

gboolean roles_delete(DbTx *tx, const char *account_id, const char *name, GError **error)
{
    guint rows = 0;
    g_autoptr(Role) role = roles_get(tx, account_id, name, error);

    if (!role)
        return FALSE;
    if (!db_exec(tx, error,
                 "DELETE FROM roles r WHERE account_id = $1 AND role_name = $2"
                 " AND NOT EXISTS (SELECT 1 FROM instance_profiles p"
                 "  WHERE p.account_id = r.account_id AND p.role_name = r.role_name)",
                 DB_ARGS(account_id, role->name), &rows))
        return FALSE;
    if (rows == 0)
        return fail(error, DELETE_CONFLICT,
                    "Cannot delete entity, must remove roles from instance profile first.");
    return db_exec(tx, error, "DELETE FROM sessions WHERE account_id = $1 AND role_name = $2",
                   DB_ARGS(account_id, role->name), NULL);
}

gboolean roles_check_service(DbTx *tx, const char *account_id, const char *name,
                             const char *service, GError **error)
{
    GError *cause = NULL;
    g_autoptr(Role) role = roles_find(tx, account_id, name, &cause);

    if (cause) {
        g_propagate_error(error, cause);
        return FALSE;
    }
    if (!role || !trust_allows_service(role->trust_policy, service))
        return fail(error, ACCESS_DENIED, "role \"%s\" of account %s %s \"%s\"", name, account_id,
                    role ? "does not trust" : "does not exist, asked for by", service);
    return TRUE;
}

/* -- instance profiles */

void instance_profile_free(InstanceProfile *profile)
{
    if (!profile)
        return;
    g_free(profile->name);
    g_free(profile->id);
    g_free(profile->path);
    g_free(profile->role_name);
    json_decref(profile->tags);
    g_free(profile);
}

static InstanceProfile *profile_from_row(const PGresult *res, int row)
{
    InstanceProfile *profile = g_new0(InstanceProfile, 1);

    profile->name = g_strdup(db_text(res, row, 0));
    profile->id = g_strdup(db_text(res, row, 1));
    profile->path = g_strdup(db_text(res, row, 2));
    profile->role_name = g_strdup(db_text(res, row, 3));
    profile->tags = row_json(res, row, 4);
    profile->created_us = db_int64(res, row, 5);
    return profile;
}

gboolean instance_profiles_insert(DbTx *tx, const char *account_id, const InstanceProfile *profile,
                                  GError **error)
{
    char *tags = json_dumps(profile->tags, JSON_COMPACT);
    guint rows = 0;
    gboolean done =
        db_exec(tx, error,
                "INSERT INTO instance_profiles (account_id, profile_name, profile_id, path, tags,"
                " created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                DB_ARGS(account_id, profile->name, profile->id, profile->path, tags,
                        db_time(tx, profile->created_us)),
                &rows);

    free(tags);
    if (done && rows == 0)
        return fail(error, ENTITY_EXISTS, "Instance Profile %s already exists.", profile->name);
    return done;
}

InstanceProfile *instance_profiles_find(DbTx *tx, const char *account_id, const char *name,
                                        GError **error)
{
    g_autoptr(PGresult) res = db_query(tx, error,
                                       "SELECT " PROFILE_COLUMNS " FROM instance_profiles"
                                       " WHERE account_id = $1 AND lower(profile_name) = lower($2)",
                                       DB_ARGS(account_id, name));

    return res && PQntuples(res) > 0 ? profile_from_row(res, 0) : NULL;
}

InstanceProfile *instance_profiles_get(DbTx *tx, const char *account_id, const char *name,
                                       GError **error)
{
    GError *cause = NULL;
    InstanceProfile *profile = instance_profiles_find(tx, account_id, name, &cause);

    if (cause)
        g_propagate_error(error, cause);
    else if (!profile)
        fail(error, NO_SUCH_ENTITY, "Instance Profile %s cannot be found.", name);
    return profile;
}

GPtrArray *instance_profiles_list(DbTx *tx, const char *account_id, const char *path_prefix,
                                  const char *role_name, const char *after, gint64 limit,
                                  GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT " PROFILE_COLUMNS " FROM instance_profiles WHERE account_id = $1"
        " AND starts_with(path, $2) AND ($3::text IS NULL OR lower(role_name) = lower($3))"
        " AND profile_name > $4 ORDER BY profile_name LIMIT $5",
        DB_ARGS(account_id, path_prefix, role_name, after ? after : "", db_int(tx, limit)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)instance_profile_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, profile_from_row(res, row));
    return list;
}

gboolean instance_profiles_set_role(DbTx *tx, const char *account_id, const char *name,
                                    const char *role_name, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE instance_profiles SET role_name = $3"
                   " WHERE account_id = $1 AND profile_name = $2",
                   DB_ARGS(account_id, name, role_name), NULL);
}

gboolean instance_profiles_delete(DbTx *tx, const char *account_id, const char *name,
                                  GError **error)
{
    return db_exec(tx, error,
                   "DELETE FROM instance_profiles WHERE account_id = $1 AND profile_name = $2",
                   DB_ARGS(account_id, name), NULL);
}
