#include "model/task_definition.h"

#include <string.h>

#define CAPABILITY "ecs.capability."
#define COM        "com.amazonaws.ecs.capability."
#define API        COM "docker-remote-api."

typedef gboolean (*Asks)(const json_t *definition, const json_t *container);

static gboolean has(const json_t *tree, const char *name)
{
    const json_t *value = json_object_get(tree, name);

    return json_is_array(value) || json_is_object(value)
               ? json_array_size(value) > 0 || json_object_size(value) > 0
               : value != NULL;
}

static gboolean logs(const json_t *d G_GNUC_UNUSED, const json_t *c)
{
    return has(c, "logConfiguration");
}
static gboolean reserves_memory(const json_t *d G_GNUC_UNUSED, const json_t *c)
{
    return has(c, "memoryReservation");
}
static gboolean checks_health(const json_t *d G_GNUC_UNUSED, const json_t *c)
{
    return has(c, "healthCheck");
}
static gboolean wants_init(const json_t *d G_GNUC_UNUSED, const json_t *c)
{
    return tree_bool(json_object_get(c, "linuxParameters"), "initProcessEnabled", FALSE);
}
static gboolean is_privileged(const json_t *d G_GNUC_UNUSED, const json_t *c)
{
    return tree_bool(c, "privileged", FALSE);
}
static gboolean is_ordered(const json_t *d G_GNUC_UNUSED, const json_t *c)
{
    return has(c, "dependsOn") || has(c, "startTimeout") || has(c, "stopTimeout");
}
static gboolean has_env_files(const json_t *d G_GNUC_UNUSED, const json_t *c)
{
    return has(c, "environmentFiles");
}
static gboolean restarts(const json_t *d G_GNUC_UNUSED, const json_t *c)
{
    return tree_bool(json_object_get(c, "restartPolicy"), "enabled", FALSE);
}
static gboolean is_ecr(const json_t *d G_GNUC_UNUSED, const json_t *c)
{
    const char *image = tree_text(c, "image");

    return strstr(image, ".dkr.ecr.") && strstr(image, ".amazonaws.com");
}
static gboolean is_private(const json_t *d G_GNUC_UNUSED, const json_t *c)
{
    return has(c, "repositoryCredentials");
}

static gboolean has_secret_from(const json_t *c, const char *service)
{
    const json_t *secret;
    size_t n;

    json_array_foreach(json_object_get(c, "secrets"), n, secret)
    {
        const char *from = tree_text(secret, "valueFrom");
        gboolean manager = from && g_str_has_prefix(from, "arn:aws:secretsmanager:");
        if (manager == (strcmp(service, "asm") == 0))
            return TRUE;
    }
    return FALSE;
}
static gboolean has_ssm_secret(const json_t *d G_GNUC_UNUSED, const json_t *c)
{
    return has_secret_from(c, "ssm");
}
static gboolean has_asm_secret(const json_t *d G_GNUC_UNUSED, const json_t *c)
{
    return has_secret_from(c, "asm");
}
static gboolean logs_with_role(const json_t *d, const json_t *c)
{
    const char *driver = tree_text(json_object_get(c, "logConfiguration"), "logDriver");

    return has(d, "executionRoleArn") && g_strcmp0(driver, "awslogs") == 0;
}
static gboolean pulls_with_role(const json_t *d, const json_t *c)
{
    return has(d, "executionRoleArn") && is_ecr(d, c);
}

/* What a container makes necessary. */
static const struct {
    const char *attribute;
    Asks asks;
} container_rules[] = {
    { API "1.18", logs },
    { API "1.21", reserves_memory },
    { API "1.24", checks_health },
    { CAPABILITY "container-health-check", checks_health },
    { API "1.25", wants_init },
    { COM "privileged-container", is_privileged },
    { CAPABILITY "container-ordering", is_ordered },
    { CAPABILITY "env-files.s3", has_env_files },
    { CAPABILITY "container-restart-policy", restarts },
    { API "1.19", is_ecr },
    { COM "ecr-auth", is_ecr },
    { CAPABILITY "execution-role-ecr-pull", pulls_with_role },
    { CAPABILITY "execution-role-awslogs", logs_with_role },
    { CAPABILITY "private-registry-authentication.secretsmanager", is_private },
    { CAPABILITY "secrets.ssm.environment-variables", has_ssm_secret },
    { CAPABILITY "secrets.asm.environment-variables", has_asm_secret },
};

static gboolean is_awsvpc(const json_t *d, const json_t *c G_GNUC_UNUSED)
{
    return strcmp(tree_text(d, "networkMode"), "awsvpc") == 0;
}
static gboolean has_role(const json_t *d, const json_t *c G_GNUC_UNUSED)
{
    return has(d, "taskRoleArn") && strcmp(tree_text(d, "networkMode"), "host") != 0;
}
static gboolean has_role_on_host(const json_t *d, const json_t *c G_GNUC_UNUSED)
{
    return has(d, "taskRoleArn") && strcmp(tree_text(d, "networkMode"), "host") == 0;
}
static gboolean has_sizes(const json_t *d, const json_t *c G_GNUC_UNUSED)
{
    return has(d, "cpu") || has(d, "memory");
}
static gboolean shares_namespaces(const json_t *d, const json_t *c G_GNUC_UNUSED)
{
    return has(d, "pidMode") || has(d, "ipcMode");
}
static gboolean has_proxy(const json_t *d, const json_t *c G_GNUC_UNUSED)
{
    return has(d, "proxyConfiguration");
}

/* What the definition as a whole makes necessary. */
static const struct {
    const char *attribute;
    Asks asks;
} definition_rules[] = {
    { CAPABILITY "task-eni", is_awsvpc },
    { COM "task-iam-role", has_role },
    { COM "task-iam-role-network-host", has_role_on_host },
    { CAPABILITY "task-cpu-mem-limit", has_sizes },
    { CAPABILITY "pid-ipc-namespace-sharing", shares_namespaces },
    { CAPABILITY "aws-appmesh", has_proxy },
};

static void require(json_t *list, const char *name)
{
    const json_t *entry;
    size_t n;

    json_array_foreach(list, n, entry) if (strcmp(tree_text(entry, "name"), name) == 0) return;
    json_array_append_new(list, json_pack("{s:s}", "name", name));
}

static void require_named(json_t *list, const char *prefix, const char *name)
{
    g_autofree char *full = g_strconcat(prefix, name, NULL);

    require(list, full);
}

static void require_volumes(json_t *list, const json_t *definition)
{
    const json_t *volume;
    size_t n;

    json_array_foreach(json_object_get(definition, "volumes"), n, volume)
    {
        const char *driver =
            tree_text(json_object_get(volume, "dockerVolumeConfiguration"), "driver");
        if (has(volume, "dockerVolumeConfiguration"))
            require_named(list, CAPABILITY "docker-plugin.", driver ? driver : "local");
        if (has(volume, "efsVolumeConfiguration"))
            require(list, CAPABILITY "efsAuth");
        if (has(volume, "fsxWindowsFileServerVolumeConfiguration"))
            require(list, CAPABILITY "fsxWindowsFileServer");
    }
}

json_t *task_definition_requires(const json_t *definition)
{
    json_t *list = json_array();
    const json_t *container;
    size_t n;

    json_array_foreach(json_object_get(definition, "containerDefinitions"), n, container)
    {
        const char *driver = tree_text(json_object_get(container, "logConfiguration"), "logDriver");
        for (gsize i = 0; i < G_N_ELEMENTS(container_rules); i++)
            if (container_rules[i].asks(definition, container))
                require(list, container_rules[i].attribute);
        if (driver)
            require_named(list, COM "logging-driver.", driver);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(definition_rules); i++)
        if (definition_rules[i].asks(definition, NULL))
            require(list, definition_rules[i].attribute);
    require_volumes(list, definition);
    return list;
}

/* Fargate takes a definition with sizes, awsvpc, and nothing of the host. */
static gboolean fits_fargate(const json_t *definition)
{
    const json_t *item;
    size_t n;

    if (!is_awsvpc(definition, NULL) || !has(definition, "cpu") || !has(definition, "memory"))
        return FALSE;
    json_array_foreach(json_object_get(definition, "containerDefinitions"), n,
                       item) if (is_privileged(NULL, item) || has(item, "links")) return FALSE;
    json_array_foreach(
        json_object_get(definition, "volumes"), n,
        item) if (has(item, "dockerVolumeConfiguration") ||
                  tree_text(json_object_get(item, "host"), "sourcePath")) return FALSE;
    return !has(definition, "placementConstraints");
}

json_t *task_definition_compatibilities(const json_t *definition)
{
    json_t *list = json_array();

    if (!is_awsvpc(definition, NULL))
        json_array_append_new(list, json_string("EXTERNAL"));
    json_array_append_new(list, json_string("EC2"));
    if (fits_fargate(definition))
        json_array_append_new(list, json_string("FARGATE"));
    return list;
}
