/*
 * store/instance_types.h - rows of table "instance_types": the catalogue and the administrator's
 * own
 *
 * Memory is MiB. Errors: ADMIN_NOT_FOUND, ADMIN_IN_USE, and those of store/db.h.
 */
#pragma once

#include "store/db.h"

typedef struct {
    char *name;
    gint vcpus;
    gint memory_mib;
    char *architecture;
    char *network;
    gboolean burstable;
    gboolean current_generation;
    gboolean built_in;
    gint64 created_us;
} InstanceType;

void instance_type_free(InstanceType *type);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(InstanceType, instance_type_free)

/* By name; names (NULL: all) ends with NULL. Names that are not there are left out. */
GPtrArray *instance_types_list(DbTx *tx, const char *const *names, GError **error);
/* NULL without an error in *ret_type when there is none of this name. */
gboolean instance_types_find(DbTx *tx, const char *name, InstanceType **ret_type, GError **error);
/* Makes or replaces a type of the administrator's own; a built-in one is ADMIN_IN_USE. */
gboolean instance_types_put(DbTx *tx, const InstanceType *type, GError **error);
/* ADMIN_IN_USE while instances of it live, or when it is built in. */
gboolean instance_types_delete(DbTx *tx, const char *name, GError **error);
