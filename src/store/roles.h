/*
 * store/roles.h - rows of tables "roles" and "instance_profiles" (sql/identity/0003-roles.sql)
 *
 * Names are unique whatever their case. Times are UTC microseconds. Callers free records; lists are
 * GPtrArrays that free theirs. Errors in IAM's words: NO_SUCH_ENTITY, ENTITY_EXISTS,
 * DELETE_CONFLICT, LIMIT_EXCEEDED; those of store/db.h.
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

typedef struct {
    char *name;
    char *id;
    char *path;
    char *description; /* NULL: none */
    char *trust_policy;
    gint64 max_session_seconds;
    json_t *tags; /* [{Key, Value}] */
    gint64 created_us;
} Role;

void role_free(Role *role);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Role, role_free)

gboolean roles_insert(DbTx *tx, const char *account_id, const Role *role, GError **error);
/* NULL without an error when there is none. */
Role *roles_find(DbTx *tx, const char *account_id, const char *name, GError **error);
/* "The role with name X cannot be found." */
Role *roles_get(DbTx *tx, const char *account_id, const char *name, GError **error);
/* At most limit roles by name, after a name (NULL: from the first), whose path begins so. */
GPtrArray *roles_list(DbTx *tx, const char *account_id, const char *path_prefix, const char *after,
                      gint64 limit, GError **error);
gboolean roles_delete(DbTx *tx, const char *account_id, const char *name, GError **error);
/* ACCESS_DENIED unless the role is there and lets this service in. */
gboolean roles_check_service(DbTx *tx, const char *account_id, const char *name,
                             const char *service, GError **error);

typedef struct {
    char *name;
    char *id;
    char *path;
    char *role_name; /* NULL: none */
    json_t *tags;
    gint64 created_us;
} InstanceProfile;

void instance_profile_free(InstanceProfile *profile);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(InstanceProfile, instance_profile_free)

gboolean instance_profiles_insert(DbTx *tx, const char *account_id, const InstanceProfile *profile,
                                  GError **error);
/* NULL without an error when there is none. */
InstanceProfile *instance_profiles_find(DbTx *tx, const char *account_id, const char *name,
                                        GError **error);
/* "Instance Profile X cannot be found." */
InstanceProfile *instance_profiles_get(DbTx *tx, const char *account_id, const char *name,
                                       GError **error);
/* As roles_list; role_name (NULL: any) is the role that they hold. */
GPtrArray *instance_profiles_list(DbTx *tx, const char *account_id, const char *path_prefix,
                                  const char *role_name, const char *after, gint64 limit,
                                  GError **error);
/* role_name NULL takes the role away. The profile must exist. */
gboolean instance_profiles_set_role(DbTx *tx, const char *account_id, const char *name,
                                    const char *role_name, GError **error);
gboolean instance_profiles_delete(DbTx *tx, const char *account_id, const char *name,
                                  GError **error);
