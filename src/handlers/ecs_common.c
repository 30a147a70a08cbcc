#include "handlers/ecs_common.h"
#include "base/errors.h"

#include <string.h>

#define TAGS_MAX      50
#define TAG_KEY_MAX   128
#define TAG_VALUE_MAX 256

Cluster *ecs_cluster(Request *rq, ClusterLock lock, GError **error)
{
    g_autofree char *name =
        ecs_ref_cluster(rq->region, rq->account_id, request_text(rq, "cluster"), error);

    return name ? clusters_get(rq->tx, rq->account_id, name, lock, error) : NULL;
}

TaskDefinition *ecs_active_definition(Request *rq, const char *reference, GError **error)
{
    g_autoptr(TaskDefinition) definition = NULL;
    gint64 revision = 0;
    g_autofree char *family =
        ecs_ref_task_definition(rq->region, rq->account_id, reference, &revision, error);

    if (!family ||
        !task_definitions_find(rq->tx, rq->account_id, family, revision, &definition, error))
        return NULL;
    if (!definition)
        return fail_null(error, ECS_CLIENT, "TaskDefinition not found.");
    if (strcmp(definition->status, "ACTIVE") != 0)
        return fail_null(error, ECS_CLIENT, "TaskDefinition is inactive");
    return g_steal_pointer(&definition);
}

char *ecs_arn(const Request *rq, const char *type, const char *cluster_name, const char *name)
{
    return ecs_arn_in_cluster(rq->region, rq->account_id, type, cluster_name, name);
}

char *ecs_definition_arn(const Request *rq, const char *family, gint64 revision)
{
    return ecs_arn_task_definition(rq->region, rq->account_id, family, revision);
}

gboolean page_read(const Request *rq, gint64 fallback, Page *ret_page, GError **error)
{
    const char *token = request_text(rq, "nextToken");
    gsize length = 0;

    ret_page->after = NULL;
    ret_page->limit = request_int(rq, "maxResults", fallback);
    if (ret_page->limit < 1 || ret_page->limit > ECS_PAGE_MAX)
        return fail(error, INVALID_PARAMETER, "maxResults must be between 1 and %d.", ECS_PAGE_MAX);
    if (!token || !*token)
        return TRUE;
    g_autofree guchar *key = g_base64_decode(token, &length);
    if (length < 2 || key[0] != '+' || memchr(key, 0, length) ||
        !g_utf8_validate((const char *)key, (gssize)length, NULL))
        return fail(error, INVALID_PARAMETER, "Invalid token.");
    ret_page->after = g_strndup((const char *)key + 1, length - 1);
    return TRUE;
}

void page_clear(Page *page)
{
    g_clear_pointer(&page->after, g_free);
}

void page_next(json_t *answer, const Page *page, gsize found, const char *key)
{
    if (found <= (gsize)page->limit)
        return;
    g_autofree char *marked = g_strconcat("+", key, NULL);
    g_autofree char *token = g_base64_encode((const guchar *)marked, strlen(marked));
    json_object_set_new(answer, "nextToken", json_string(token));
}

void failure_add(json_t *failures, const char *arn, const char *reason, const char *detail)
{
    json_t *failure = json_pack("{s:s,s:s}", "arn", arn, "reason", reason);

    if (detail)
        json_object_set_new(failure, "detail", json_string(detail));
    json_array_append_new(failures, failure);
}

gboolean request_includes(const Request *rq, const char *value)
{
    const json_t *item;
    size_t n;

    json_array_foreach(request_member(rq, "include"), n,
                       item) if (strcmp(json_string_value(item), value) == 0) return TRUE;
    return FALSE;
}

const char **request_texts(const Request *rq, const char *name, gsize *ret_count)
{
    const json_t *list = request_member(rq, name);
    const char **texts = g_new0(const char *, json_array_size(list) + 1);
    const json_t *item;
    size_t n;

    json_array_foreach(list, n, item) texts[n] = json_string_value(item);
    *ret_count = json_array_size(list);
    return texts;
}

gboolean ecs_tags_check(const json_t *tags, GError **error)
{
    const json_t *tag;
    size_t n;

    if (json_array_size(tags) > TAGS_MAX)
        return fail(error, INVALID_PARAMETER, "Too many tags: at most %d.", TAGS_MAX);
    json_array_foreach(tags, n, tag)
    {
        const char *key = tree_text(tag, "key");
        const char *value = tree_text(tag, "value");
        if (!key || !*key || g_utf8_strlen(key, -1) > TAG_KEY_MAX)
            return fail(error, INVALID_PARAMETER, "Tag keys have 1 to %d characters.", TAG_KEY_MAX);
        if (g_ascii_strncasecmp(key, "aws:", 4) == 0)
            return fail(error, INVALID_PARAMETER, "Tag keys must not begin with aws: (\"%s\").",
                        key);
        if (value && g_utf8_strlen(value, -1) > TAG_VALUE_MAX)
            return fail(error, INVALID_PARAMETER,
                        "The value of tag \"%s\" is longer than %d"
                        " characters.",
                        key, TAG_VALUE_MAX);
    }
    return TRUE;
}

json_t *ecs_tags_shown(const json_t *found, const char *arn)
{
    json_t *tags = json_object_get(found, arn);

    return tags ? json_incref(tags) : json_array();
}

/* Clients send what their users left out: Ansible an empty role, Terraform empty lists. */
static gboolean asks_for_nothing(const json_t *value)
{
    return !value || json_is_false(value) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

gboolean ecs_refuse(const Request *rq, const char *const *members, GError **error)
{
    for (; *members; members++) {
        if (!asks_for_nothing(request_member(rq, *members)))
            return fail(error, UNSUPPORTED, "%s is not supported here.", *members);
    }
    return TRUE;
}

gboolean ecs_check_launch(const Request *rq, GError **error)
{
    static const char *const providers[] = { "capacityProviderStrategy", NULL };
    const char *type = request_text(rq, "launchType");
    const json_t *strategy = request_member(rq, "capacityProviderStrategy");

    if (type && json_array_size(strategy) > 0)
        return fail(error, INVALID_PARAMETER,
                    "Specifying both a launch type and capacity provider"
                    " strategy is not supported. Remove one and try again.");
    if (!type || strcmp(type, "EC2") == 0)
        return ecs_refuse(rq, providers, error);
    return fail(error, UNSUPPORTED, "Launch type %s is not supported here: use EC2.", type);
}
