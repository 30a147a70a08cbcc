/* Tags of clusters, services, tasks, task definitions and container instances, by ARN. */
#include "base/errors.h"
#include "handlers/ecs_common.h"
#include "handlers/table.h"
#include "store/container_instances.h"
#include "store/ecs_tags.h"
#include "store/services.h"
#include "store/tasks.h"

#include <string.h>

#define TAGS_MAX 50

static gboolean definition_exists(Request *rq, const char *name, GError **error)
{
    g_autoptr(TaskDefinition) definition = NULL;
    gint64 revision = 0;
    g_autofree char *family =
        ecs_ref_task_definition(rq->region, rq->account_id, name, &revision, error);

    if (!family ||
        !task_definitions_find(rq->tx, rq->account_id, family, revision, &definition, error))
        return FALSE;
    return definition || fail(error, INVALID_PARAMETER,
                              "The specified task definition is not"
                              " found.");
}

static gboolean member_exists(Request *rq, const Cluster *cluster, const EcsArn *arn,
                              GError **error)
{
    g_autoptr(GPtrArray) found = NULL;
    const char *name = arn->name;

    if (strcmp(arn->type, "service") == 0)
        found = services_describe(rq->tx, cluster->id, &name, 1, error);
    else if (strcmp(arn->type, "task") == 0)
        found = tasks_describe(rq->tx, cluster->id, &name, 1, error);
    else
        found = container_instances_describe(rq->tx, cluster->id, &name, 1, error);
    return found &&
           (found->len > 0 || fail(error, INVALID_PARAMETER,
                                   "The specified %s is inactive or not found.", arn->type));
}

/* Whether the resource that the request names exists. */
static gboolean check_resource(Request *rq, char **ret_type, GError **error)
{
    const char *text = request_text(rq, "resourceArn");
    g_autoptr(EcsArn) arn = ecs_arn_parse(rq->region, rq->account_id, text, error);

    if (!arn)
        return FALSE;
    *ret_type = g_strconcat("ecs:", arn->type, NULL);
    if (strcmp(arn->type, "task-definition") == 0)
        return definition_exists(rq, arn->name, error);
    g_autoptr(Cluster) cluster = clusters_get(
        rq->tx, rq->account_id, arn->cluster ? arn->cluster : arn->name, CLUSTER_READ, error);
    return cluster && (!arn->cluster || member_exists(rq, cluster, arn, error));
}

json_t *list_tags_for_resource(Request *rq, GError **error)
{
    const char *arn = request_text(rq, "resourceArn");
    g_autofree char *type = NULL;

    if (!check_resource(rq, &type, error))
        return NULL;
    json_auto_t *found = ecs_tags_of(rq->tx, rq->account_id, &arn, 1, error);
    return found ? json_pack("{s:o}", "tags", ecs_tags_shown(found, arn)) : NULL;
}

json_t *tag_resource(Request *rq, GError **error)
{
    const char *arn = request_text(rq, "resourceArn");
    const json_t *tags = request_member(rq, "tags");
    g_autofree char *type = NULL;

    if (!ecs_tags_check(tags, error) || !check_resource(rq, &type, error) ||
        !ecs_tags_put(rq->tx, rq->account_id, type, &arn, 1, tags, error))
        return NULL;
    json_auto_t *found = ecs_tags_of(rq->tx, rq->account_id, &arn, 1, error);
    if (!found)
        return NULL;
    if (json_array_size(json_object_get(found, arn)) > TAGS_MAX)
        return fail_null(error, INVALID_PARAMETER, "Too many tags: at most %d.", TAGS_MAX);
    return json_object();
}

json_t *untag_resource(Request *rq, GError **error)
{
    g_autofree char *type = NULL;

    if (!check_resource(rq, &type, error) ||
        !ecs_tags_remove(rq->tx, rq->account_id, request_text(rq, "resourceArn"),
                         request_member(rq, "tagKeys"), error))
        return NULL;
    return json_object();
}
