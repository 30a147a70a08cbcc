#include "base/errors.h"
#include "model/ecs_arn.h"
#include "model/task_definition.h"

#include <string.h>

#define CONTAINER_MEMORY_MIN_MIB 6
#define PORT_MAPPINGS_MAX        100
#define IGNORED_CODES_MAX        50
#define ENVIRONMENT_FILES_MAX    10

/* Whole numbers of a container or one of its parts, with the limits they have. */
static const struct {
    const char *part; /* "" for the container itself */
    const char *name;
    gint64 min, max;
    gint64 initial; /* -1: none */
} numbers[] = {
    { "", "cpu", 0, 196608, 0 },
    { "", "memory", CONTAINER_MEMORY_MIN_MIB, G_MAXINT32, -1 },
    { "", "memoryReservation", CONTAINER_MEMORY_MIN_MIB, G_MAXINT32, -1 },
    { "", "startTimeout", 0, 86400, -1 },
    { "", "stopTimeout", 0, 86400, -1 },
    { "healthCheck", "interval", 5, 300, 30 },
    { "healthCheck", "timeout", 2, 120, 5 },
    { "healthCheck", "retries", 1, 10, 3 },
    { "healthCheck", "startPeriod", 0, 300, -1 },
    { "restartPolicy", "restartAttemptPeriod", 60, 1800, -1 },
};

/* What one network mode does not go with. */
static const struct {
    const char *mode;
    const char *member;
} excluded[] = {
    { "awsvpc", "links" },      { "host", "links" },        { "none", "links" },
    { "awsvpc", "hostname" },   { "awsvpc", "dnsServers" }, { "awsvpc", "dnsSearchDomains" },
    { "none", "portMappings" },
};

static const char *const log_drivers[] = {
    "json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "awsfirelens",
};

static gboolean check_numbers(json_t *container, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
        json_t *part = *numbers[i].part ? json_object_get(container, numbers[i].part) : container;
        if (!part)
            continue;
        const json_t *value = json_object_get(part, numbers[i].name);
        if (!value && numbers[i].initial >= 0)
            json_object_set_new(part, numbers[i].name, json_integer(numbers[i].initial));
        if (!value)
            continue;
        gint64 number = json_integer_value(value);
        if (number < numbers[i].min || number > numbers[i].max)
            return fail(error, ECS_CLIENT,
                        "Invalid '%s%s%s' setting for container '%s': %" G_GINT64_FORMAT
                        " is not between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT ".",
                        numbers[i].part, *numbers[i].part ? "." : "", numbers[i].name,
                        tree_text(container, "name"), number, numbers[i].min, numbers[i].max);
    }
    return TRUE;
}

static gboolean check_memory(const json_t *container, gboolean task_has_memory, GError **error)
{
    const char *name = tree_text(container, "name");
    gint64 memory = tree_int(container, "memory", 0);
    gint64 reserved = tree_int(container, "memoryReservation", 0);

    if (!memory && !reserved && !task_has_memory)
        return fail(error, ECS_CLIENT,
                    "Invalid setting for container '%s'. At least one of"
                    " 'memory' or 'memoryReservation' must be specified.",
                    name);
    if (memory && reserved && memory <= reserved)
        return fail(error, ECS_CLIENT,
                    "Invalid setting for container '%s'. 'memory' must be"
                    " greater than 'memoryReservation'",
                    name);
    return TRUE;
}

static gboolean check_names(const json_t *container, GError **error)
{
    const char *name = tree_text(container, "name");
    const char *image = tree_text(container, "image");

    if (!name || !*name)
        return fail(error, ECS_CLIENT, "Container.name should not be null or empty.");
    if (!ecs_name_is_valid(name))
        return fail(error, ECS_CLIENT,
                    "Invalid container name \"%s\": 1 to 255 letters, digits,"
                    " hyphens and underscores are allowed.",
                    name);
    if (!image || !*image)
        return fail(error, ECS_CLIENT, "Container.image should not be null or empty.");
    if (strlen(image) > 255)
        return fail(error, ECS_CLIENT, "Container.image should not be longer than 255 characters.");
    return TRUE;
}

static gboolean check_network(const json_t *container, const char *mode, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(excluded); i++) {
        const json_t *value = json_object_get(container, excluded[i].member);
        if (strcmp(mode, excluded[i].mode) != 0 || !value)
            continue;
        if (json_is_array(value) && json_array_size(value) == 0)
            continue;
        if (strcmp(excluded[i].member, "links") == 0)
            return fail(error, ECS_CLIENT, "Links are not supported when networkMode=%s.", mode);
        return fail(error, ECS_CLIENT, "Container.%s is not supported when networkMode=%s.",
                    excluded[i].member, mode);
    }
    return TRUE;
}

static gboolean normalise_port(json_t *mapping, const char *container, const char *mode,
                               GError **error)
{
    const json_t *host = json_object_get(mapping, "hostPort");
    gint64 inside = tree_int(mapping, "containerPort", -1);
    gint64 outside = tree_int(mapping, "hostPort", 0);
    gboolean same = strcmp(mode, "bridge") != 0;

    if (inside < 1 || inside > 65535 || outside < 0 || outside > 65535)
        return fail(error, ECS_CLIENT,
                    "Invalid 'containerPort' or 'hostPort' setting for container"
                    " '%s': ports are numbers from 1 to 65535.",
                    container);
    if (same && host && outside != inside && outside != 0)
        return fail(error, ECS_CLIENT,
                    "When networkMode=%s, the host ports and container ports in"
                    " port mappings must match.",
                    mode);
    json_object_set_new(mapping, "hostPort", json_integer(same ? inside : outside));
    if (!tree_text(mapping, "protocol"))
        json_object_set_new(mapping, "protocol", json_string("tcp"));
    return TRUE;
}

static gboolean normalise_ports(json_t *container, const char *mode, GError **error)
{
    const json_t *mappings = json_object_get(container, "portMappings");
    json_t *mapping;
    size_t n;

    if (json_array_size(mappings) > PORT_MAPPINGS_MAX)
        return fail(error, ECS_CLIENT, "Container '%s' has more than %d port mappings.",
                    tree_text(container, "name"), PORT_MAPPINGS_MAX);
    json_array_foreach(mappings, n,
                       mapping) if (!normalise_port(mapping, tree_text(container, "name"), mode,
                                                    error)) return FALSE;
    return TRUE;
}

static gboolean check_health(const json_t *container, GError **error)
{
    const json_t *check = json_object_get(container, "healthCheck");
    const json_t *command = json_object_get(check, "command");
    const char *first = json_string_value(json_array_get(command, 0));

    if (!check)
        return TRUE;
    if (!first || (strcmp(first, "CMD") != 0 && strcmp(first, "CMD-SHELL") != 0 &&
                   strcmp(first, "NONE") != 0))
        return fail(error, ECS_CLIENT,
                    "Invalid 'healthCheck.command' setting for container '%s':"
                    " it begins with CMD, CMD-SHELL or NONE.",
                    tree_text(container, "name"));
    if (strcmp(first, "NONE") != 0 && json_array_size(command) < 2)
        return fail(error, ECS_CLIENT,
                    "Invalid 'healthCheck.command' setting for container '%s':"
                    " there is no command after %s.",
                    tree_text(container, "name"), first);
    return TRUE;
}

static gboolean check_logging(const json_t *container, GError **error)
{
    const json_t *logging = json_object_get(container, "logConfiguration");
    const char *driver = tree_text(logging, "logDriver");

    if (!logging)
        return TRUE;
    for (gsize i = 0; driver && i < G_N_ELEMENTS(log_drivers); i++)
        if (strcmp(driver, log_drivers[i]) == 0)
            return TRUE;
    return fail(error, ECS_CLIENT, "Invalid log driver \"%s\" for container '%s'.",
                driver ? driver : "", tree_text(container, "name"));
}

static gboolean check_restarts(const json_t *container, GError **error)
{
    const json_t *policy = json_object_get(container, "restartPolicy");

    return json_array_size(json_object_get(policy, "ignoredExitCodes")) <= IGNORED_CODES_MAX ||
           fail(error, ECS_CLIENT,
                "Invalid 'restartPolicy.ignoredExitCodes' setting for container '%s': more than %d"
                " exit codes.",
                tree_text(container, "name"), IGNORED_CODES_MAX);
}

static gboolean check_environment(const json_t *container, GError **error)
{
    const json_t *pair;
    size_t n;

    json_array_foreach(json_object_get(container, "environment"), n, pair)
    {
        const char *name = tree_text(pair, "name");
        if (!name || !*name || strchr(name, '='))
            return fail(error, ECS_CLIENT,
                        "Invalid environment variable name \"%s\" for container"
                        " '%s'.",
                        name ? name : "", tree_text(container, "name"));
    }
    return TRUE;
}

static gboolean check_environment_files(const json_t *container, GError **error)
{
    const json_t *files = json_object_get(container, "environmentFiles");
    const json_t *file;
    size_t n;

    if (json_array_size(files) > ENVIRONMENT_FILES_MAX)
        return fail(error, ECS_CLIENT, "Container '%s' has more than %d environment files.",
                    tree_text(container, "name"), ENVIRONMENT_FILES_MAX);
    json_array_foreach(files, n, file)
    {
        const char *value = tree_text(file, "value");
        g_auto(GStrv) parts = g_strsplit(value ? value : "", ":", 6);
        gboolean is_object = g_strv_length(parts) == 6 && strcmp(parts[0], "arn") == 0 &&
                             strcmp(parts[2], "s3") == 0 && strchr(parts[5], '/') &&
                             g_str_has_suffix(parts[5], ".env");
        if (!is_object || g_strcmp0(tree_text(file, "type"), "s3") != 0)
            return fail(error, ECS_CLIENT,
                        "Invalid environment file '%s' for container '%s': it is of type s3, and"
                        " its value the ARN of an object whose name ends in .env.",
                        value ? value : "", tree_text(container, "name"));
    }
    return TRUE;
}

static void fill_in(json_t *container)
{
    static const char *const lists[] = { "portMappings", "environment", "mountPoints",
                                         "volumesFrom" };

    for (gsize i = 0; i < G_N_ELEMENTS(lists); i++)
        if (!json_object_get(container, lists[i]))
            json_object_set_new(container, lists[i], json_array());
    if (!json_object_get(container, "essential"))
        json_object_set_new(container, "essential", json_true());
    if (tree_int(container, "memory", -1) == 0)
        json_object_del(container, "memory");
    if (tree_int(container, "memoryReservation", -1) == 0)
        json_object_del(container, "memoryReservation");
}

gboolean container_definition_normalise(json_t *container, const char *network_mode,
                                        gboolean task_has_memory, GError **error)
{
    fill_in(container);
    return check_names(container, error) && check_numbers(container, error) &&
           check_memory(container, task_has_memory, error) &&
           check_network(container, network_mode, error) &&
           normalise_ports(container, network_mode, error) && check_health(container, error) &&
           check_logging(container, error) && check_restarts(container, error) &&
           check_environment(container, error) && check_environment_files(container, error);
}
