/*
 * store/task_sessions.h - where a task's containers can be reached: for exec and logs
 *
 * Read only. Callers free records. Errors: those of db.h.
 */
#pragma once

#include "store/db.h"

typedef struct {
    char *name;
    char *runtime_id; /* NULL: never made */
    char *last_status;
} TaskPlaceContainer;

typedef struct {
    gint64 key;
    char *id;
    char *cluster_name;
    char *last_status;
    char *stopped_reason;  /* NULL: none */
    char *ec2_instance_id; /* "i-..." or "mi-..."; NULL: not placed, or a machine of nobody */
    GPtrArray *containers; /* of TaskPlaceContainer, as the definition orders them */
} TaskPlace;

void task_place_free(TaskPlace *place);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TaskPlace, task_place_free)

/* The account's task whose id begins with these hex digits; cluster_name NULL: in any cluster.
 * *ret_count: 0 (then the result is NULL), 1, or 2 when several begin so. */
TaskPlace *task_places_find(DbTx *tx, const char *account_id, const char *cluster_name,
                            const char *digits, guint *ret_count, GError **error);
