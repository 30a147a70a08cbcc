/*
 * store/ecs_lookup.h - which object of ECS an id or name is, in any cluster of the account
 *
 * For explanations. Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

typedef struct {
    char *kind; /* "task", "container-instance", "service", "cluster" */
    char *cluster_name;
    gint64 cluster_id;
    char *name;
    gint64 row_id; /* task_key, ci_id, service_id or cluster_id */
} EcsObject;

void ecs_object_free(EcsObject *object);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EcsObject, ecs_object_free)

#define ECS_DIGITS_MIN 8 /* fewer may well be somebody's name: "cafe" */

/* name: a name, or of a task or container instance the id or its first digits, at least
 * ECS_DIGITS_MIN. kind and cluster_name may be NULL: any. *ret_object is NULL when there is none.
 * Error: INVALID_PARAMETER when several ids begin so. */
gboolean ecs_lookup(DbTx *tx, const char *account_id, const char *kind, const char *cluster_name,
                    const char *name, EcsObject **ret_object, GError **error);
/* The first task that waits for a place: of a service, or of a cluster (the other is 0). 0: none.
 */
gboolean ecs_first_waiting(DbTx *tx, gint64 cluster_id, gint64 service_id, gint64 *ret_task_key,
                           gint64 *ret_count, GError **error);
