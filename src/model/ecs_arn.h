/*
 * model/ecs_arn.h - names of ECS resources: ARNs, short names, and what a caller may write for them
 *
 * Every parameter that names a cluster, service, task or container instance takes the short name,
 * the ARN and, where an ARN has the cluster inside, the older ARN without it. Callers free results.
 * Source: ECS Developer Guide, "Amazon Resource Names (ARNs) and IDs".
 */
#pragma once

#include <glib.h>

/* "arn:aws:ecs:REGION:ACCOUNT:cluster/NAME". */
char *ecs_arn_cluster(const char *region, const char *account_id, const char *cluster_name);
/* "arn:aws:ecs:REGION:ACCOUNT:TYPE/CLUSTER/NAME"; type "service", "task", "container-instance". */
char *ecs_arn_in_cluster(const char *region, const char *account_id, const char *type,
                         const char *cluster_name, const char *name);
/* "arn:aws:ecs:REGION:ACCOUNT:task-definition/FAMILY:REVISION". */
char *ecs_arn_task_definition(const char *region, const char *account_id, const char *family,
                              gint64 revision);

/* The cluster's name in reference: NULL means "default". Fails with INVALID_PARAMETER when it is
 * an ARN of something else or malformed, CLUSTER_NOT_FOUND when of another region or account. */
char *ecs_ref_cluster(const char *region, const char *account_id, const char *reference,
                      GError **error);
/* The last part of reference, which names a TYPE of a cluster: "service", "task",
 * "container-instance". NULL when it is an ARN of something else, of another region or account,
 * or names another cluster than cluster_name. */
char *ecs_ref_in_cluster(const char *region, const char *account_id, const char *type,
                         const char *cluster_name, const char *reference);
/* Takes "family", "family:revision" or the ARN apart; *ret_revision is 0 when there is none.
 * Errors: INVALID_PARAMETER (a revision that is no number), ECS_CLIENT (anything else). */
char *ecs_ref_task_definition(const char *region, const char *account_id, const char *reference,
                              gint64 *ret_revision, GError **error);

/* What a tagging call names; the parts are owned by the record. */
typedef struct {
    char *type;    /* "cluster", "service", "task", "container-instance", "task-definition" */
    char *cluster; /* NULL for clusters and task definitions */
    char *name;
} EcsArn;

/* Takes a full ARN apart. Error: INVALID_PARAMETER. */
EcsArn *ecs_arn_parse(const char *region, const char *account_id, const char *arn, GError **error);
void ecs_arn_free(EcsArn *arn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EcsArn, ecs_arn_free)

/* 1 to 255 letters, digits, hyphens and underscores: clusters, services, families, containers. */
gboolean ecs_name_is_valid(const char *name);
