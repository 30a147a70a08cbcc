/*
 * store/tasks.h - rows of tables "tasks" and "containers": adding, reading, asking to stop
 *
 * A task is PROVISIONING until it is placed, PENDING once its container instance's agent shall have
 * it, STOPPED at the end; it holds cpu, memory_mib and ports on the instance from placement until
 * then. Everything here works on many tasks with one statement. Memory is MiB, CPU units, times UTC
 * microseconds. Errors: TX_CONFLICT, UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "model/task_definition.h"
#include "store/db.h"

typedef struct {
    char *name;
    char *container_uuid;
    char *image;
    gint64 cpu;
    gint64 memory_mib, memory_reservation_mib; /* 0: none */
    char *last_status;
    char *runtime_id, *image_digest;
    gboolean has_exit_code;
    gint64 exit_code;
    char *reason;
    char *health_status;
    json_t *network_bindings;
} Container;

typedef struct {
    gint64 key;
    char *id;
    gint64 ci_id; /* 0: not placed */
    char *container_instance_id, *zone;
    gboolean connected;
    gint64 connected_us;
    char *family;
    gint64 revision;
    char *group, *started_by, *launch_type;
    json_t *overrides;
    json_t *definition_sizes; /* {cpu, memory} of the definition, as texts, when it has them */
    char *desired_status, *last_status, *health_status;
    char *stop_code, *stopped_reason;
    gint64 created_us, pull_started_us, pull_stopped_us, started_us, stopping_us;
    gint64 execution_stopped_us, stopped_us; /* 0: not yet */
    gint64 version;
    char *service_name, *deployment_id; /* NULL: none */
    GPtrArray *containers;              /* of Container */
} Task;

void task_free(Task *task);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Task, task_free)

/* What many new tasks have in common. */
typedef struct {
    const char *account_id;
    gint64 cluster_id;
    gint64 service_id;         /* 0: none */
    const char *deployment_id; /* NULL: none */
    gint64 task_definition_id;
    const char *group;
    const char *started_by; /* NULL: none */
    const json_t *overrides;
    const TaskHold *hold;
    const json_t *containers; /* task_definition_containers */
} TaskSeed;

/* Adds tasks ids[0..count) with their containers. ci_ids says where each is placed (PENDING),
 * pinned where each must go when it is placed; either may be NULL, 0 in them means nowhere. */
gboolean tasks_add(DbTx *tx, const TaskSeed *seed, const char *const *ids, const gint64 *ci_ids,
                   const gint64 *pinned, gsize count, GError **error);

/* Those of ids that exist in the cluster, with their containers; a GPtrArray of Task. */
GPtrArray *tasks_describe(DbTx *tx, gint64 cluster_id, const char *const *ids, gsize count,
                          GError **error);

typedef struct {
    const char *container_instance_id; /* NULL: any, for each of these */
    const char *family;
    const char *started_by;
    const char *service_name;
    const char *desired_status;
    const char *launch_type;
    gint64 after_key;
    gint64 limit;
} TaskFilter;
typedef struct {
    gint64 key;
    char *id;
} TaskName;
/* Tasks in the order of their keys. A GArray of TaskName. */
GArray *tasks_list(DbTx *tx, gint64 cluster_id, const TaskFilter *filter, GError **error);

/* Asks for tasks to stop: those not placed, or on an INACTIVE instance, are STOPPED at once; the
 * agents of the others are woken, and so are the services. Tasks already asked are left alone. */
gboolean tasks_stop(DbTx *tx, const gint64 *keys, gsize count, const char *stop_code,
                    const char *reason, GError **error);
