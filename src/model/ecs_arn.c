#include "model/ecs_arn.h"
#include "base/errors.h"

#include <string.h>

char *ecs_arn_cluster(const char *region, const char *account_id, const char *cluster_name)
{
    return g_strdup_printf("arn:aws:ecs:%s:%s:cluster/%s", region, account_id, cluster_name);
}

char *ecs_arn_in_cluster(const char *region, const char *account_id, const char *type,
                         const char *cluster_name, const char *name)
{
    return g_strdup_printf("arn:aws:ecs:%s:%s:%s/%s/%s", region, account_id, type, cluster_name,
                           name);
}

char *ecs_arn_task_definition(const char *region, const char *account_id, const char *family,
                              gint64 revision)
{
    return g_strdup_printf("arn:aws:ecs:%s:%s:task-definition/%s:%" G_GINT64_FORMAT, region,
                           account_id, family, revision);
}

gboolean ecs_name_is_valid(const char *name)
{
    gsize length = 0;

    for (; name[length]; length++)
        if (!g_ascii_isalnum(name[length]) && name[length] != '-' && name[length] != '_')
            return FALSE;
    return length >= 1 && length <= 255;
}

/* The resource part of an ECS ARN of this region and account; NULL when it is none. */
static const char *arn_tail(const char *region, const char *account_id, const char *arn)
{
    g_autofree char *head = g_strdup_printf("arn:aws:ecs:%s:%s:", region, account_id);

    return g_str_has_prefix(arn, head) ? arn + strlen(head) : NULL;
}

char *ecs_ref_cluster(const char *region, const char *account_id, const char *reference,
                      GError **error)
{
    if (!reference || !*reference)
        return g_strdup("default");
    if (g_str_has_prefix(reference, "arn:")) {
        const char *tail = arn_tail(region, account_id, reference);
        if (!tail)
            return fail_null(error, CLUSTER_NOT_FOUND, "Cluster not found.");
        if (!g_str_has_prefix(tail, "cluster/"))
            return fail_null(error, INVALID_PARAMETER, "Identifier is for %.*s. Expected cluster.",
                             (int)strcspn(tail, "/"), tail);
        reference = tail + strlen("cluster/");
    }
    if (!ecs_name_is_valid(reference))
        return fail_null(error, INVALID_PARAMETER, "Invalid identifier: \"%s\"", reference);
    return g_strdup(reference);
}

char *ecs_ref_in_cluster(const char *region, const char *account_id, const char *type,
                         const char *cluster_name, const char *reference)
{
    if (!g_str_has_prefix(reference, "arn:"))
        return g_strdup(reference);
    const char *tail = arn_tail(region, account_id, reference);
    if (!tail || !g_str_has_prefix(tail, type) || tail[strlen(type)] != '/')
        return NULL;
    tail += strlen(type) + 1;
    const char *slash = strchr(tail, '/');
    if (!slash)
        return g_strdup(tail);
    if (strlen(cluster_name) != (gsize)(slash - tail) ||
        strncmp(tail, cluster_name, (gsize)(slash - tail)) != 0)
        return NULL;
    return g_strdup(slash + 1);
}

char *ecs_ref_task_definition(const char *region, const char *account_id, const char *reference,
                              gint64 *ret_revision, GError **error)
{
    guint64 revision = 0;

    *ret_revision = 0;
    if (g_str_has_prefix(reference, "arn:")) {
        const char *tail = arn_tail(region, account_id, reference);
        if (!tail || !g_str_has_prefix(tail, "task-definition/"))
            return fail_null(error, ECS_CLIENT, "Invalid task definition ARN: \"%s\"", reference);
        reference = tail + strlen("task-definition/");
    }
    const char *colon = strchr(reference, ':');
    g_autofree char *family =
        colon ? g_strndup(reference, (gsize)(colon - reference)) : g_strdup(reference);
    if (!ecs_name_is_valid(family))
        return fail_null(error, ECS_CLIENT, "Invalid task definition: \"%s\"", reference);
    if (!colon)
        return g_steal_pointer(&family);
    if (!g_ascii_string_to_unsigned(colon + 1, 10, 1, G_MAXINT32, &revision, NULL))
        return fail_null(error, INVALID_PARAMETER, "Invalid revision number. Number: %s",
                         colon + 1);
    *ret_revision = (gint64)revision;
    return g_steal_pointer(&family);
}

void ecs_arn_free(EcsArn *arn)
{
    if (!arn)
        return;
    g_free(arn->type);
    g_free(arn->cluster);
    g_free(arn->name);
    g_free(arn);
}

EcsArn *ecs_arn_parse(const char *region, const char *account_id, const char *text, GError **error)
{
    static const struct {
        const char *type;
        guint parts;
    } kinds[] = { { "cluster", 2 },
                  { "task-definition", 2 },
                  { "service", 3 },
                  { "task", 3 },
                  { "container-instance", 3 } };
    g_autoptr(EcsArn) arn = g_new0(EcsArn, 1);
    const char *tail = arn_tail(region, account_id, text);

    if (!tail)
        return fail_null(error, INVALID_PARAMETER, "Invalid ARN: \"%s\"", text);
    g_auto(GStrv) parts = g_strsplit(tail, "/", 4);
    guint count = g_strv_length(parts);
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (count != kinds[i].parts || strcmp(parts[0], kinds[i].type) != 0 || !*parts[count - 1])
            continue;
        arn->type = g_strdup(parts[0]);
        arn->cluster = count == 3 ? g_strdup(parts[1]) : NULL;
        arn->name = g_strdup(parts[count - 1]);
        return g_steal_pointer(&arn);
    }
    return fail_null(error, INVALID_PARAMETER, "Invalid ARN: \"%s\"", text);
}
