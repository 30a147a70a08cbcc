#include "model/task_definition.h"
#include "base/errors.h"
#include "model/cluster_query.h"
#include "model/ecs_arn.h"

#include <string.h>

#define TASK_CPU_MIN    128
#define TASK_CPU_MAX    196608
#define CONSTRAINTS_MAX 10
#define STRATEGIES_MAX  5

/* Fargate's sizes: memory from..to by step, MiB. */
static const struct {
    gint64 cpu, from, to, step;
} fargate_sizes[] = {
    { 256, 512, 512, 1 },         { 256, 1024, 2048, 1024 },      { 512, 1024, 4096, 1024 },
    { 1024, 2048, 8192, 1024 },   { 2048, 4096, 16384, 1024 },    { 4096, 8192, 30720, 1024 },
    { 8192, 16384, 61440, 4096 }, { 16384, 32768, 122880, 8192 },
};

/* Members kept as they were sent; everything else is computed here. */
static const char *const kept[] = {
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "containerDefinitions",
    "volumes",
    "placementConstraints",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "inferenceAccelerators",
    "ephemeralStorage",
    "runtimePlatform",
    "networkMode",
};

/* "1024", "1 vCPU", "0.5 GB": a number, or one of the unit times scale. 0 when it is neither. */
static gint64 parse_size(const char *text, const char *unit, gint64 scale)
{
    char *end = NULL;
    double value = g_ascii_strtod(text, &end);

    if (end == text || !(value > 0 && value <= 1e9)) /* a NaN is neither */
        return 0;
    while (g_ascii_isspace(*end))
        end++;
    if (!*end)
        return value == (double)(gint64)value ? (gint64)value : 0;
    return g_ascii_strcasecmp(end, unit) == 0 ? (gint64)(value * (double)scale + 0.5) : 0;
}

static gboolean normalise_size(json_t *definition, const char *name, const char *unit, gint64 min,
                               gint64 max, GError **error)
{
    const char *text = tree_text(definition, name);
    char number[24];

    if (!text)
        return TRUE;
    gint64 value = parse_size(text, unit, 1024);
    if (value < min || value > max)
        return fail(error, ECS_CLIENT,
                    "Invalid '%s' setting for task. For more information, see the Troubleshooting"
                    " section of the Amazon ECS Developer Guide.",
                    name);
    g_snprintf(number, sizeof number, "%" G_GINT64_FORMAT, value);
    json_object_set_new(definition, name, json_string(number));
    return TRUE;
}

static gint64 task_size(const json_t *definition, const char *name)
{
    const char *text = tree_text(definition, name);

    return text ? g_ascii_strtoll(text, NULL, 10) : 0;
}

static gboolean wants(const json_t *definition, const char *compatibility)
{
    const json_t *value;
    size_t n;

    json_array_foreach(json_object_get(definition, "requiresCompatibilities"), n,
                       value) if (strcmp(json_string_value(value), compatibility) == 0) return TRUE;
    return FALSE;
}

static gboolean fargate_has_size(gint64 cpu, gint64 memory)
{
    for (gsize i = 0; i < G_N_ELEMENTS(fargate_sizes); i++)
        if (fargate_sizes[i].cpu == cpu && memory >= fargate_sizes[i].from &&
            memory <= fargate_sizes[i].to &&
            (memory - fargate_sizes[i].from) % fargate_sizes[i].step == 0)
            return TRUE;
    return FALSE;
}

static gboolean check_fargate(const json_t *definition, GError **error)
{
    const json_t *container;
    size_t n;

    if (!wants(definition, "FARGATE"))
        return TRUE;
    if (strcmp(tree_text(definition, "networkMode"), "awsvpc") != 0)
        return fail(error, ECS_CLIENT, "Fargate only supports network mode ‘awsvpc’.");
    if (!fargate_has_size(task_size(definition, "cpu"), task_size(definition, "memory")))
        return fail(error, ECS_CLIENT, "No Fargate configuration exists for given values.");
    json_array_foreach(json_object_get(definition, "containerDefinitions"), n, container)
    {
        const char *driver = tree_text(json_object_get(container, "logConfiguration"), "logDriver");
        if (tree_bool(container, "privileged", FALSE))
            return fail(error, ECS_CLIENT,
                        "The 'privileged' setting for container is not supported on Fargate.");
        if (g_strcmp0(driver, "awslogs") == 0 && !tree_text(definition, "executionRoleArn"))
            return fail(error, ECS_CLIENT,
                        "Fargate requires task definition to have execution role"
                        " ARN to support log driver awslogs.");
    }
    return TRUE;
}

/* Who is to read the credentials of a private registry. */
static gboolean check_registries(const json_t *definition, GError **error)
{
    const json_t *container;
    size_t n;

    json_array_foreach(json_object_get(definition, "containerDefinitions"), n, container)
    {
        if (json_object_get(container, "repositoryCredentials") &&
            !tree_text(definition, "executionRoleArn"))
            return fail(error, ECS_CLIENT,
                        "When you are specifying repositoryCredentials, you must also specify a"
                        " value for 'executionRoleArn'.");
    }
    return TRUE;
}

/* Sums over containers must fit into the sizes of the task. */
static gboolean check_sums(const json_t *definition, GError **error)
{
    gint64 cpu = 0, memory = 0, task_cpu = task_size(definition, "cpu");
    gint64 task_memory = task_size(definition, "memory");
    const json_t *container;
    size_t n;

    json_array_foreach(json_object_get(definition, "containerDefinitions"), n, container)
    {
        gint64 hard = tree_int(container, "memory", 0);
        cpu += tree_int(container, "cpu", 0);
        memory += hard ? hard : tree_int(container, "memoryReservation", 0);
        if (task_cpu && cpu > task_cpu)
            return fail(
                error, ECS_CLIENT,
                "Invalid 'cpu' setting for container '%s'. The total"
                " cpu of all containers must not exceed the cpu of the task (%" G_GINT64_FORMAT
                ").",
                tree_text(container, "name"), task_cpu);
        if (task_memory && memory > task_memory)
            return fail(error, ECS_CLIENT,
                        "Invalid 'memory' setting for container '%s'. The total"
                        " memory of all containers must not exceed the memory of the task "
                        "(%" G_GINT64_FORMAT ").",
                        tree_text(container, "name"), task_memory);
    }
    return TRUE;
}

static gboolean normalise_containers(json_t *definition, GError **error)
{
    const json_t *containers = json_object_get(definition, "containerDefinitions");
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    gboolean essential = FALSE;
    json_t *container;
    size_t n;

    if (json_array_size(containers) == 0)
        return fail(error, ECS_CLIENT, "Container definitions should not be null or empty.");
    if (json_array_size(containers) > TASK_CONTAINERS_MAX)
        return fail(error, ECS_CLIENT, "Too many containers. A task definition has at most %d.",
                    TASK_CONTAINERS_MAX);
    json_array_foreach(containers, n, container)
    {
        if (!container_definition_normalise(container, tree_text(definition, "networkMode"),
                                            tree_text(definition, "memory") != NULL, error))
            return FALSE;
        if (!g_hash_table_add(names, (gpointer)tree_text(container, "name")))
            return fail(error, ECS_CLIENT, "Container.name \"%s\" is used more than once.",
                        tree_text(container, "name"));
        essential |= tree_bool(container, "essential", FALSE);
    }
    return essential ||
           fail(error, ECS_CLIENT, "At least one essential container must be specified.");
}

gboolean placement_constraints_check(const json_t *constraints, gboolean in_call, GError **error)
{
    const json_t *constraint;
    size_t n;

    if (json_array_size(constraints) > CONSTRAINTS_MAX)
        return fail(error, INVALID_PARAMETER, "Too many placement constraints: at most %d.",
                    CONSTRAINTS_MAX);
    json_array_foreach(constraints, n, constraint)
    {
        const char *type = tree_text(constraint, "type");
        const char *expression = tree_text(constraint, "expression");
        if (in_call && g_strcmp0(type, "distinctInstance") == 0) {
            if (expression && *expression)
                return fail(error, INVALID_PARAMETER,
                            "Expressions are not supported for distinctInstance constraints.");
            continue;
        }
        if (g_strcmp0(type, "memberOf") != 0)
            return fail(error, INVALID_PARAMETER,
                        "Placement constraint type \"%s\" is not"
                        " supported here.",
                        type ? type : "");
        if (!expression)
            return fail(error, INVALID_PARAMETER,
                        "Invalid placement constraint expression: a"
                        " memberOf constraint needs one");
        g_autoptr(ClusterQuery) query = cluster_query_parse(expression, error);
        if (!query)
            return FALSE;
    }
    return TRUE;
}

/* The field of a strategy as it is shown; NULL when type does not take it. */
static char *strategy_field(const char *type, const char *field)
{
    if (strcmp(type, "random") == 0)
        return field && *field ? NULL : g_strdup("");
    if (!field)
        return NULL;
    if (strcmp(type, "binpack") == 0) {
        char *lower = g_ascii_strdown(field, -1);
        if (strcmp(lower, "cpu") == 0 || strcmp(lower, "memory") == 0)
            return lower;
        g_free(lower);
        return NULL;
    }
    if (g_ascii_strcasecmp(field, "instanceId") == 0 || g_ascii_strcasecmp(field, "host") == 0)
        return g_strdup("instanceId");
    if (g_ascii_strncasecmp(field, "attribute:", 10) == 0 && field[10])
        return g_strconcat("attribute:", field + 10, NULL);
    return NULL;
}

json_t *placement_strategy_normalise(const json_t *strategy, GError **error)
{
    g_autoptr(GError) none = NULL;
    json_auto_t *shown = json_array();
    const json_t *item;
    size_t n;

    if (json_array_size(strategy) > STRATEGIES_MAX)
        return fail_null(error, INVALID_PARAMETER, "Too many placement strategies: at most %d.",
                         STRATEGIES_MAX);
    json_array_foreach(strategy, n, item)
    {
        const char *type = tree_text(item, "type");
        if (!type)
            return fail_null(error, INVALID_PARAMETER, "A placement strategy needs a type.");
        g_autofree char *field = strategy_field(type, tree_text(item, "field"));
        if (!field)
            return fail_null(error, INVALID_PARAMETER,
                             "Invalid placement strategy: \"%s\" does not"
                             " take field \"%s\".",
                             type, tree_text(item, "field") ? tree_text(item, "field") : "");
        json_t *entry = json_pack("{s:s}", "type", type);
        if (*field)
            json_object_set_new(entry, "field", json_string(field));
        json_array_append_new(shown, entry);
    }
    return g_steal_pointer(&shown);
}

static gboolean check_family(const json_t *request, GError **error)
{
    const char *family = tree_text(request, "family");

    if (!family || !*family)
        return fail(error, ECS_CLIENT, "Family should not be null or empty.");
    return ecs_name_is_valid(family) ||
           fail(error, ECS_CLIENT,
                "Invalid family name: 1 to 255 letters, digits, hyphens and"
                " underscores are allowed.");
}

/* An empty text says what leaving it out says: Ansible sends one for each role it has none for. */
static json_t *copy_kept(const json_t *request)
{
    json_t *definition = json_object();

    for (gsize i = 0; i < G_N_ELEMENTS(kept); i++) {
        json_t *value = json_object_get(request, kept[i]);
        if (value && !(json_is_string(value) && json_string_length(value) == 0))
            json_object_set_new(definition, kept[i], json_deep_copy(value));
    }
    if (!tree_text(definition, "networkMode"))
        json_object_set_new(definition, "networkMode",
                            json_string(wants(definition, "FARGATE") ? "awsvpc" : "bridge"));
    if (!json_object_get(definition, "volumes"))
        json_object_set_new(definition, "volumes", json_array());
    if (!json_object_get(definition, "placementConstraints"))
        json_object_set_new(definition, "placementConstraints", json_array());
    return definition;
}

json_t *task_definition_normalise(const json_t *request, GError **error)
{
    if (!check_family(request, error))
        return NULL;
    json_auto_t *definition = copy_kept(request);
    const json_t *constraints = json_object_get(definition, "placementConstraints");
    if (!normalise_size(definition, "cpu", "vCPU", TASK_CPU_MIN, TASK_CPU_MAX, error) ||
        !normalise_size(definition, "memory", "GB", 1, G_MAXINT32, error) ||
        !normalise_containers(definition, error) || !check_sums(definition, error) ||
        !task_definition_check_links(definition, error) ||
        !placement_constraints_check(constraints, FALSE, error) ||
        !check_fargate(definition, error) || !check_registries(definition, error))
        return NULL;
    json_object_set_new(definition, "compatibilities", task_definition_compatibilities(definition));
    json_object_set_new(definition, "requiresAttributes", task_definition_requires(definition));
    if (json_dumpb(definition, NULL, 0, JSON_COMPACT) > TASK_DEFINITION_BYTES_MAX)
        return fail_null(error, ECS_CLIENT,
                         "Actual length of the task definition is more than"
                         " the maximum of %d bytes.",
                         TASK_DEFINITION_BYTES_MAX);
    return g_steal_pointer(&definition);
}
