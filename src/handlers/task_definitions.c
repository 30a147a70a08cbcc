/* Task definitions: numbered documents that say which containers a task is made of. */
#include "base/errors.h"
#include "handlers/ecs_common.h"
#include "handlers/table.h"
#include "store/ecs_tags.h"

#include <string.h>

/* A definition as clients read it; takes nothing. */
static json_t *definition_json(const Request *rq, const TaskDefinition *d)
{
    g_autofree char *arn = ecs_definition_arn(rq, d->family, d->revision);
    json_t *tree = json_copy(d->definition);

    json_object_set_new(tree, "taskDefinitionArn", json_string(arn));
    json_object_set_new(tree, "revision", json_integer(d->revision));
    json_object_set_new(tree, "status", json_string(d->status));
    json_object_set_new(tree, "registeredAt", json_integer(d->registered_us));
    json_object_set_new(tree, "registeredBy", json_string(d->registered_by));
    if (d->deregistered_us)
        json_object_set_new(tree, "deregisteredAt", json_integer(d->deregistered_us));
    return tree;
}

json_t *register_task_definition(Request *rq, GError **error)
{
    const json_t *tags = request_member(rq, "tags");
    json_auto_t *definition = NULL;

    if (!ecs_tags_check(tags, error))
        return NULL;
    definition = task_definition_normalise(rq->params, error);
    if (!definition)
        return NULL;
    g_autoptr(TaskDefinition) added =
        task_definitions_add(rq->tx, rq->account_id, tree_text(definition, "family"), definition,
                             rq->identity->principal_arn, error);
    if (!added)
        return NULL;
    g_autofree char *arn = ecs_definition_arn(rq, added->family, added->revision);
    const char *arns[] = { arn };
    if (!ecs_tags_put(rq->tx, rq->account_id, "ecs:task-definition", arns, 1, tags, error))
        return NULL;
    json_t *answer = json_pack("{s:o}", "taskDefinition", definition_json(rq, added));
    if (json_array_size(tags) > 0)
        json_object_set_new(answer, "tags", json_deep_copy(tags));
    return answer;
}

/* The definition that the request names, in any status. Error text: what the caller was doing. */
static TaskDefinition *named_definition(Request *rq, gboolean needs_revision, GError **error)
{
    const char *reference = request_text(rq, "taskDefinition");
    g_autoptr(TaskDefinition) definition = NULL;
    gint64 revision = 0;
    g_autofree char *family =
        ecs_ref_task_definition(rq->region, rq->account_id, reference, &revision, error);

    if (!family)
        return NULL;
    if (needs_revision && !revision)
        return fail_null(error, ECS_CLIENT, "Revision is missing.");
    if (!task_definitions_find(rq->tx, rq->account_id, family, revision, &definition, error))
        return NULL;
    if (!definition)
        return fail_null(error, ECS_CLIENT, "Unable to describe task definition.");
    return g_steal_pointer(&definition);
}

json_t *describe_task_definition(Request *rq, GError **error)
{
    g_autoptr(TaskDefinition) definition = named_definition(rq, FALSE, error);

    if (!definition)
        return NULL;
    g_autofree char *arn = ecs_definition_arn(rq, definition->family, definition->revision);
    json_auto_t *tags = ecs_tags_of(rq->tx, rq->account_id, (const char *[]){ arn }, 1, error);
    if (!tags)
        return NULL;
    json_t *answer = json_pack("{s:o}", "taskDefinition", definition_json(rq, definition));
    json_object_set_new(answer, "tags",
                        request_includes(rq, "TAGS") ? ecs_tags_shown(tags, arn) : json_array());
    return answer;
}

json_t *deregister_task_definition(Request *rq, GError **error)
{
    g_autoptr(TaskDefinition) definition = named_definition(rq, TRUE, error);

    if (!definition || !task_definitions_deregister(rq->tx, definition, error))
        return NULL;
    return json_pack("{s:o}", "taskDefinition", definition_json(rq, definition));
}

/* Splits a page's key "family:revision". */
static gboolean split_key(const char *key, char **ret_family, gint64 *ret_revision, GError **error)
{
    const char *colon = key ? strrchr(key, ':') : NULL;

    *ret_family = NULL;
    *ret_revision = 0;
    if (!key)
        return TRUE;
    if (!colon)
        return fail(error, INVALID_PARAMETER, "Invalid token.");
    *ret_family = g_strndup(key, (gsize)(colon - key));
    *ret_revision = CLAMP(g_ascii_strtoll(colon + 1, NULL, 10), 0, G_MAXINT32);
    return TRUE;
}

static json_t *definition_arns(const Request *rq, const GArray *names, guint shown)
{
    json_t *arns = json_array();

    for (guint i = 0; i < shown; i++) {
        const TaskDefinitionName *name = &g_array_index(names, TaskDefinitionName, i);
        g_autofree char *arn = ecs_definition_arn(rq, name->family, name->revision);
        json_array_append_new(arns, json_string(arn));
    }
    return arns;
}

json_t *list_task_definitions(Request *rq, GError **error)
{
    const char *status = request_text(rq, "status");
    gboolean descending = g_strcmp0(request_text(rq, "sort"), "DESC") == 0;
    g_autofree char *family = NULL;
    g_auto(Page) page = { 0 };
    gint64 revision = 0;

    if (!page_read(rq, ECS_PAGE_MAX, &page, error) ||
        !split_key(page.after, &family, &revision, error))
        return NULL;
    g_autoptr(GArray) names = task_definitions_list(
        rq->tx, rq->account_id, request_text(rq, "familyPrefix"), status ? status : "ACTIVE",
        descending, family, revision, page.limit + 1, error);
    if (!names)
        return NULL;
    guint shown = MIN(names->len, (guint)page.limit);
    json_t *answer = json_pack("{s:o}", "taskDefinitionArns", definition_arns(rq, names, shown));
    if (shown) {
        const TaskDefinitionName *last = &g_array_index(names, TaskDefinitionName, shown - 1);
        g_autofree char *key =
            g_strdup_printf("%s:%" G_GINT64_FORMAT, last->family, last->revision);
        page_next(answer, &page, names->len, key);
    }
    return answer;
}

json_t *list_task_definition_families(Request *rq, GError **error)
{
    const char *status = request_text(rq, "status");
    g_auto(Page) page = { 0 };

    if (!page_read(rq, ECS_PAGE_MAX, &page, error))
        return NULL;
    g_autoptr(GPtrArray) names =
        task_definitions_families(rq->tx, rq->account_id, request_text(rq, "familyPrefix"),
                                  status ? status : "ALL", page.after, page.limit + 1, error);
    if (!names)
        return NULL;
    json_t *families = json_array();
    guint shown = MIN(names->len, (guint)page.limit);
    for (guint i = 0; i < shown; i++)
        json_array_append_new(families, json_string(g_ptr_array_index(names, i)));
    json_t *answer = json_pack("{s:o}", "families", families);
    if (shown)
        page_next(answer, &page, names->len, g_ptr_array_index(names, shown - 1));
    return answer;
}
