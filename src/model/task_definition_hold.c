#include "base/errors.h"
#include "model/task_definition.h"

#include <string.h>

#define OVERRIDES_BYTES_MAX 8192

void task_hold_free(TaskHold *hold)
{
    if (!hold)
        return;
    g_array_unref(hold->ports_tcp);
    g_array_unref(hold->ports_udp);
    g_free(hold);
}

/* The override of this container; NULL when there is none. */
static const json_t *override_of(const json_t *overrides, const char *name)
{
    const json_t *entry;
    size_t n;

    json_array_foreach(json_object_get(overrides, "containerOverrides"), n,
                       entry) if (g_strcmp0(tree_text(entry, "name"), name) == 0) return entry;
    return NULL;
}

static gint64 overridden(const json_t *container, const json_t *override, const char *name)
{
    return tree_int(override, name, tree_int(container, name, 0));
}

static gint64 task_level(const json_t *definition, const json_t *overrides, const char *name,
                         gint64 fallback)
{
    const char *text = tree_text(overrides, name);

    if (!text)
        text = tree_text(definition, name);
    return text ? g_ascii_strtoll(text, NULL, 10) : fallback;
}

static void hold_ports(TaskHold *hold, const json_t *container)
{
    const json_t *mapping;
    size_t n;

    json_array_foreach(json_object_get(container, "portMappings"), n, mapping)
    {
        gint64 port = tree_int(mapping, "hostPort", 0);
        if (port)
            g_array_append_val(g_strcmp0(tree_text(mapping, "protocol"), "udp") == 0
                                   ? hold->ports_udp
                                   : hold->ports_tcp,
                               port);
    }
}

TaskHold *task_definition_hold(const json_t *definition, const json_t *overrides)
{
    TaskHold *hold = g_new0(TaskHold, 1);
    gboolean own_ports = g_strcmp0(tree_text(definition, "networkMode"), "awsvpc") == 0;
    gint64 cpu = 0, memory = 0;
    const json_t *container;
    size_t n;

    hold->ports_tcp = g_array_new(FALSE, FALSE, sizeof(gint64));
    hold->ports_udp = g_array_new(FALSE, FALSE, sizeof(gint64));
    json_array_foreach(json_object_get(definition, "containerDefinitions"), n, container)
    {
        const json_t *override = override_of(overrides, tree_text(container, "name"));
        gint64 reserved = overridden(container, override, "memoryReservation");
        cpu += overridden(container, override, "cpu");
        memory += reserved ? reserved : overridden(container, override, "memory");
        if (!own_ports)
            hold_ports(hold, container);
    }
    hold->cpu = task_level(definition, overrides, "cpu", cpu);
    hold->memory_mib = task_level(definition, overrides, "memory", memory);
    return hold;
}

json_t *task_definition_containers(const json_t *definition, const json_t *overrides)
{
    json_t *list = json_array();
    const json_t *container;
    size_t n;

    json_array_foreach(json_object_get(definition, "containerDefinitions"), n, container)
    {
        const char *name = tree_text(container, "name");
        const json_t *override = override_of(overrides, name);
        gint64 memory = overridden(container, override, "memory");
        gint64 reserved = overridden(container, override, "memoryReservation");
        json_t *entry =
            json_pack("{s:s,s:s,s:I}", "name", name, "image", tree_text(container, "image"), "cpu",
                      (json_int_t)overridden(container, override, "cpu"));
        if (memory)
            json_object_set_new(entry, "memory_mib", json_integer(memory));
        if (reserved)
            json_object_set_new(entry, "memory_reservation_mib", json_integer(reserved));
        json_array_append_new(list, entry);
    }
    return list;
}

static gboolean check_override_names(const json_t *definition, const json_t *overrides,
                                     GError **error)
{
    const json_t *entry, *container;
    size_t n, m;

    json_array_foreach(json_object_get(overrides, "containerOverrides"), n, entry)
    {
        const char *name = tree_text(entry, "name");
        gboolean known = FALSE;
        json_array_foreach(json_object_get(definition, "containerDefinitions"), m, container)
            known |= g_strcmp0(tree_text(container, "name"), name) == 0;
        if (!known)
            return fail(error, INVALID_PARAMETER,
                        "Override for container named %s is not a container in the TaskDefinition.",
                        name ? name : "");
    }
    return TRUE;
}

/* Task sizes are numbers or a number with its unit in a definition, plain numbers in a call. */
static gboolean check_override_sizes(const json_t *overrides, GError **error)
{
    static const char *const sizes[] = { "cpu", "memory" };

    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const char *text = tree_text(overrides, sizes[i]);
        if (text && !g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT32, NULL, NULL))
            return fail(error, INVALID_PARAMETER, "Invalid '%s' setting for task override: \"%s\"",
                        sizes[i], text);
    }
    return TRUE;
}

json_t *task_definition_overrides(const json_t *definition, const json_t *overrides, GError **error)
{
    json_auto_t *shown = overrides ? json_deep_copy(overrides) : json_object();
    json_auto_t *entries = json_array();
    const json_t *container;
    size_t n;

    if (!check_override_names(definition, overrides, error) ||
        !check_override_sizes(overrides, error))
        return NULL;
    if (json_dumpb(shown, NULL, 0, JSON_COMPACT) > OVERRIDES_BYTES_MAX)
        return fail_null(error, INVALID_PARAMETER, "Overrides are longer than %d characters.",
                         OVERRIDES_BYTES_MAX);
    json_array_foreach(json_object_get(definition, "containerDefinitions"), n, container)
    {
        const char *name = tree_text(container, "name");
        const json_t *entry = override_of(overrides, name);
        json_array_append_new(entries,
                              entry ? json_deep_copy(entry) : json_pack("{s:s}", "name", name));
    }
    json_object_set(shown, "containerOverrides", entries);
    json_object_set_new(shown, "inferenceAcceleratorOverrides", json_array());
    return g_steal_pointer(&shown);
}

gboolean task_definition_checks_health(const json_t *definition)
{
    const json_t *container;
    size_t n;

    json_array_foreach(json_object_get(definition, "containerDefinitions"), n, container)
    {
        const json_t *command =
            json_object_get(json_object_get(container, "healthCheck"), "command");
        const char *first = json_string_value(json_array_get(command, 0));
        if (tree_bool(container, "essential", TRUE) && first && strcmp(first, "NONE") != 0)
            return TRUE;
    }
    return FALSE;
}
