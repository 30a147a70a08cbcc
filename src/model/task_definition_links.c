#include "base/errors.h"
#include "model/task_definition.h"

#include <string.h>

static const json_t *containers_of(const json_t *definition)
{
    return json_object_get(definition, "containerDefinitions");
}

/* The container of this name and where it stands; NULL when there is none. */
static const json_t *container_named(const json_t *definition, const char *name, size_t *ret_index)
{
    const json_t *container;
    size_t n;

    json_array_foreach(containers_of(definition), n,
                       container) if (name && strcmp(tree_text(container, "name"), name) == 0)
    {
        *ret_index = n;
        return container;
    }
    return NULL;
}

static gboolean check_volume(const json_t *volume, GError **error)
{
    const json_t *docker = json_object_get(volume, "dockerVolumeConfiguration");

    if (!tree_text(volume, "name") || !*tree_text(volume, "name"))
        return fail(error, ECS_CLIENT, "Volume.name should not be null or empty.");
    if (docker && json_object_get(volume, "host"))
        return fail(error, ECS_CLIENT, "Volume '%s' has both host and dockerVolumeConfiguration.",
                    tree_text(volume, "name"));
    if (tree_bool(docker, "autoprovision", FALSE) &&
        g_strcmp0(tree_text(docker, "scope"), "shared") != 0)
        return fail(error, ECS_CLIENT, "Volume '%s': autoprovision is for volumes of scope shared.",
                    tree_text(volume, "name"));
    return TRUE;
}

static gboolean check_volumes(const json_t *definition, GHashTable *names, GError **error)
{
    const json_t *volume;
    size_t n;

    json_array_foreach(json_object_get(definition, "volumes"), n, volume)
    {
        if (!check_volume(volume, error))
            return FALSE;
        if (!g_hash_table_add(names, (gpointer)tree_text(volume, "name")))
            return fail(error, ECS_CLIENT, "Volume.name \"%s\" is used more than once.",
                        tree_text(volume, "name"));
    }
    return TRUE;
}

static gboolean check_mounts(const json_t *definition, const json_t *container, GHashTable *volumes,
                             GError **error)
{
    const json_t *item;
    size_t n, other;

    json_array_foreach(json_object_get(container, "mountPoints"), n, item)
    {
        const char *volume = tree_text(item, "sourceVolume");
        if (!volume || !g_hash_table_contains(volumes, volume))
            return fail(error, ECS_CLIENT, "Unknown volume '%s'.", volume ? volume : "");
        if (!tree_text(item, "containerPath") || *tree_text(item, "containerPath") != '/')
            return fail(error, ECS_CLIENT,
                        "Invalid mount point for volume '%s': containerPath must"
                        " be an absolute path.",
                        volume);
    }
    json_array_foreach(json_object_get(container, "volumesFrom"), n, item)
    {
        const char *source = tree_text(item, "sourceContainer");
        if (!container_named(definition, source, &other))
            return fail(error, ECS_CLIENT, "Unknown container '%s' in volumesFrom.",
                        source ? source : "");
    }
    return TRUE;
}

static gboolean check_links_of(const json_t *definition, const json_t *container, GError **error)
{
    const json_t *link;
    size_t n, other;

    json_array_foreach(json_object_get(container, "links"), n, link)
    {
        g_auto(GStrv) parts = g_strsplit(json_string_value(link), ":", 2);
        const json_t *target = container_named(definition, parts[0], &other);
        if (!target || target == container)
            return fail(error, ECS_CLIENT, "Invalid link '%s' for container '%s'.",
                        json_string_value(link), tree_text(container, "name"));
    }
    return TRUE;
}

static gboolean check_condition(const json_t *container, const json_t *dependency,
                                const json_t *target, GError **error)
{
    const char *condition = tree_text(dependency, "condition");
    gboolean ends = g_strcmp0(condition, "COMPLETE") == 0 || g_strcmp0(condition, "SUCCESS") == 0;

    if (ends && tree_bool(target, "essential", TRUE))
        return fail(error, ECS_CLIENT,
                    "Container '%s' cannot depend on the essential container '%s'"
                    " with condition %s.",
                    tree_text(container, "name"), tree_text(target, "name"), condition);
    if (g_strcmp0(condition, "HEALTHY") == 0 && !json_object_get(target, "healthCheck"))
        return fail(error, ECS_CLIENT,
                    "Container '%s' depends on '%s' with condition HEALTHY, but"
                    " that has no health check.",
                    tree_text(container, "name"), tree_text(target, "name"));
    return TRUE;
}

/* Fills row of waits: waits[a * TASK_CONTAINERS_MAX + b] is set when a starts after b. */
static gboolean check_dependencies(const json_t *definition, const json_t *container, size_t index,
                                   gboolean *waits, GError **error)
{
    const json_t *dependency;
    size_t n, other = 0;

    json_array_foreach(json_object_get(container, "dependsOn"), n, dependency)
    {
        const json_t *target =
            container_named(definition, tree_text(dependency, "containerName"), &other);
        if (!target || target == container)
            return fail(error, ECS_CLIENT, "Container '%s' depends on unknown container '%s'.",
                        tree_text(container, "name"),
                        target ? tree_text(target, "name")
                               : tree_text(dependency, "containerName"));
        gboolean *wait = &waits[index * TASK_CONTAINERS_MAX + other];
        if (*wait)
            return fail(error, ECS_CLIENT, "Container '%s' depends on '%s' more than once.",
                        tree_text(container, "name"), tree_text(target, "name"));
        *wait = TRUE;
        if (!check_condition(container, dependency, target, error))
            return FALSE;
    }
    return TRUE;
}

/* Takes away containers that wait for nobody until none is left; what stays waits in a circle. */
static gboolean check_order(const json_t *definition, const gboolean *waits, GError **error)
{
    size_t count = json_array_size(containers_of(definition));
    gboolean started[TASK_CONTAINERS_MAX] = { FALSE };

    for (size_t round = 0; round < count; round++)
        for (size_t a = 0; a < count; a++) {
            gboolean free_to_start = TRUE;
            for (size_t b = 0; b < count; b++)
                free_to_start &= !waits[a * TASK_CONTAINERS_MAX + b] || started[b];
            started[a] |= free_to_start;
        }
    for (size_t a = 0; a < count; a++)
        if (!started[a])
            return fail(error, ECS_CLIENT, "Container dependencies form a cycle through '%s'.",
                        tree_text(json_array_get(containers_of(definition), a), "name"));
    return TRUE;
}

static gboolean check_host_ports(const json_t *definition, GError **error)
{
    g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const json_t *container, *mapping;
    size_t n, m;

    json_array_foreach(containers_of(definition), n, container)
        json_array_foreach(json_object_get(container, "portMappings"), m, mapping)
    {
        gint64 port = tree_int(mapping, "hostPort", 0);
        if (port && !g_hash_table_add(taken, g_strdup_printf("%" G_GINT64_FORMAT "/%s", port,
                                                             tree_text(mapping, "protocol"))))
            return fail(error, ECS_CLIENT,
                        "Host port %" G_GINT64_FORMAT "/%s is mapped more"
                        " than once.",
                        port, tree_text(mapping, "protocol"));
    }
    return TRUE;
}

gboolean task_definition_check_links(const json_t *definition, GError **error)
{
    g_autoptr(GHashTable) volumes = g_hash_table_new(g_str_hash, g_str_equal);
    gboolean waits[TASK_CONTAINERS_MAX * TASK_CONTAINERS_MAX] = { FALSE };
    const json_t *container;
    size_t n;

    if (!check_volumes(definition, volumes, error))
        return FALSE;
    json_array_foreach(
        containers_of(definition), n,
        container) if (!check_mounts(definition, container, volumes, error) ||
                       !check_links_of(definition, container, error) ||
                       !check_dependencies(definition, container, n, waits, error)) return FALSE;
    return check_order(definition, waits, error) && check_host_ports(definition, error);
}
