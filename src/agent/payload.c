#include "agent/payload.h"
#include "agent/credentials.h"
#include "agent/env_files.h"
#include "agent/names.h"
#include "agent/pause.h"
#include "agent/restart.h"
#include "agent/rules.h"
#include "base/errors.h"
#include "base/tree.h"

#include <string.h>

#define LIST_MAX    1000
#define TIMEOUT_MAX 86400
#define MEMORY_MAX  (64 * 1024 * 1024) /* MiB */

typedef enum {
    MEMBER_TEXT,
    MEMBER_INT,
    MEMBER_NUMBER,
    MEMBER_BOOL,
    MEMBER_LIST,
    MEMBER_OBJECT,
    MEMBER_TEXTS,
    MEMBER_TEXT_MAP,
    MEMBER_JSON /* text that holds a JSON object */
} MemberKind;

typedef struct {
    const char *name;
    MemberKind kind;
    gint64 max; /* of an integer, whose least value is 0 */
} Member;

static const Member task_members[] = {
    { "desiredStatus", MEMBER_TEXT, 0 },     { "family", MEMBER_TEXT, 0 },
    { "version", MEMBER_TEXT, 0 },           { "containers", MEMBER_LIST, 0 },
    { "volumes", MEMBER_LIST, 0 },           { "cpu", MEMBER_NUMBER, 1024 },
    { "memory", MEMBER_INT, MEMORY_MAX },    { "networkMode", MEMBER_TEXT, 0 },
    { "pidMode", MEMBER_TEXT, 0 },           { "ipcMode", MEMBER_TEXT, 0 },
    { "roleCredentials", MEMBER_OBJECT, 0 }, { "executionRoleCredentials", MEMBER_OBJECT, 0 },
};

static const Member container_members[] = {
    { "name", MEMBER_TEXT, 0 },
    { "image", MEMBER_TEXT, 0 },
    { "cpu", MEMBER_INT, 1024 * 1024 },
    { "memory", MEMBER_INT, MEMORY_MAX },
    { "essential", MEMBER_BOOL, 0 },
    { "entryPoint", MEMBER_TEXTS, 0 },
    { "command", MEMBER_TEXTS, 0 },
    { "environment", MEMBER_TEXT_MAP, 0 },
    { "portMappings", MEMBER_LIST, 0 },
    { "links", MEMBER_TEXTS, 0 },
    { "mountPoints", MEMBER_LIST, 0 },
    { "volumesFrom", MEMBER_LIST, 0 },
    { "dependsOn", MEMBER_LIST, 0 },
    { "startTimeout", MEMBER_INT, TIMEOUT_MAX },
    { "stopTimeout", MEMBER_INT, TIMEOUT_MAX },
    { "overrides", MEMBER_JSON, 0 },
    { "dockerConfig", MEMBER_OBJECT, 0 },
    { "healthCheckType", MEMBER_TEXT, 0 },
    { "registryAuthentication", MEMBER_OBJECT, 0 },
};

static const Member docker_members[] = {
    { "config", MEMBER_JSON, 0 },
    { "hostConfig", MEMBER_JSON, 0 },
    { "version", MEMBER_TEXT, 0 },
};

static const Member port_members[] = {
    { "containerPort", MEMBER_INT, 65535 },
    { "hostPort", MEMBER_INT, 65535 },
    { "protocol", MEMBER_TEXT, 0 },
    { "containerPortRange", MEMBER_TEXT, 0 },
};

static const Member mount_members[] = {
    { "sourceVolume", MEMBER_TEXT, 0 },
    { "containerPath", MEMBER_TEXT, 0 },
    { "readOnly", MEMBER_BOOL, 0 },
    { "sourceContainer", MEMBER_TEXT, 0 },
};

static const Member volume_members[] = {
    { "name", MEMBER_TEXT, 0 },
    { "type", MEMBER_TEXT, 0 },
    { "host", MEMBER_OBJECT, 0 },
    { "dockerVolumeConfiguration", MEMBER_OBJECT, 0 },
};

static const Member docker_volume_members[] = {
    { "scope", MEMBER_TEXT, 0 },      { "autoprovision", MEMBER_BOOL, 0 },
    { "driver", MEMBER_TEXT, 0 },     { "driverOpts", MEMBER_TEXT_MAP, 0 },
    { "labels", MEMBER_TEXT_MAP, 0 },
};

static gboolean all_texts(const json_t *list)
{
    const json_t *item;
    gsize n;

    json_array_foreach(list, n, item) if (!json_is_string(item)) return FALSE;
    return json_is_array(list) && json_array_size(list) <= LIST_MAX;
}

static gboolean all_text_values(json_t *map)
{
    const char *key;
    json_t *value;

    json_object_foreach(map, key, value) if (!json_is_string(value)) return FALSE;
    return json_is_object(map) && json_object_size(map) <= LIST_MAX;
}

static gboolean holds_object(const json_t *text)
{
    if (!json_is_string(text))
        return FALSE;
    if (json_string_length(text) == 0)
        return TRUE;
    json_auto_t *tree = json_loads(json_string_value(text), 0, NULL);
    return json_is_object(tree);
}

static gboolean member_fits(const Member *m, json_t *value)
{
    switch (m->kind) {
    case MEMBER_TEXT:
        return json_is_string(value);
    case MEMBER_INT:
        return json_is_integer(value) && json_integer_value(value) >= 0 &&
               json_integer_value(value) <= m->max;
    case MEMBER_NUMBER:
        return json_is_number(value) && json_number_value(value) >= 0 &&
               json_number_value(value) <= (double)m->max;
    case MEMBER_BOOL:
        return json_is_boolean(value);
    case MEMBER_LIST:
        return json_is_array(value) && json_array_size(value) <= LIST_MAX;
    case MEMBER_OBJECT:
        return json_is_object(value);
    case MEMBER_TEXTS:
        return all_texts(value);
    case MEMBER_TEXT_MAP:
        return all_text_values(value);
    case MEMBER_JSON:
        return holds_object(value);
    }
    return FALSE;
}

static gboolean check_members(const json_t *tree, const Member *members, gsize count,
                              const char *what, GError **error)
{
    if (!json_is_object(tree))
        return fail(error, INVALID_PARAMETER, "a %s is not an object", what);
    for (gsize i = 0; i < count; i++) {
        json_t *value = json_object_get(tree, members[i].name);
        if (value && !json_is_null(value) && !member_fits(&members[i], value))
            return fail(error, INVALID_PARAMETER, "%s of a %s cannot be read", members[i].name,
                        what);
    }
    return TRUE;
}
#define CHECK(tree, members, what, error)                                                          \
    check_members((tree), (members), G_N_ELEMENTS(members), (what), (error))

gboolean agent_payload_arn(const json_t *tree, const char **ret_arn, char **ret_id)
{
    const char *arn = text_of(tree, "arn");
    g_auto(GStrv) parts = g_strsplit(arn, ":", 7);
    const char *id = strrchr(arn, '/');

    if (g_strv_length(parts) != 6 || strcmp(parts[0], "arn") != 0 ||
        !g_str_has_prefix(parts[5], "task/") || !id || strlen(arn) > 1024)
        return FALSE;
    id++;
    if (!*id || strlen(id) > 128 || strspn(id, AGENT_NAME_SAFE) != strlen(id))
        return FALSE;
    *ret_arn = arn;
    *ret_id = g_strdup(id);
    return TRUE;
}

void agent_payload_strip(json_t *task)
{
    for (int kind = 0; kind < CREDENTIALS__COUNT; kind++) {
        const char *member = agent_credentials_member((AgentCredentialsKind)kind);
        const json_t *credentials = json_object_get(task, member);
        if (credentials)
            json_object_set_new(
                task, member,
                json_pack("{s:s}", "credentialsId", text_of(credentials, "credentialsId")));
    }
}

/* Credentials are served by their id: without one they are a mistake. */
static gboolean check_credentials(const json_t *tree, GError **error)
{
    for (int kind = 0; kind < CREDENTIALS__COUNT; kind++) {
        const char *member = agent_credentials_member((AgentCredentialsKind)kind);
        const json_t *credentials = json_object_get(tree, member);
        if (json_is_object(credentials) && !*text_of(credentials, "credentialsId"))
            return fail(error, INVALID_PARAMETER, "%s of a task have no credentialsId", member);
    }
    return TRUE;
}

static gboolean read_want(const json_t *tree, AgentWant *ret_want, GError **error)
{
    const char *desired = text_of(tree, "desiredStatus");

    if (strcmp(desired, "RUNNING") == 0)
        *ret_want = WANT_RUNNING;
    else if (strcmp(desired, "STOPPED") == 0)
        *ret_want = WANT_STOPPED;
    else
        return fail(error, INVALID_PARAMETER, "desiredStatus \"%.40s\" is not known", desired);
    return TRUE;
}

static gboolean check_port(const json_t *port, GError **error)
{
    const char *protocol = text_of(port, "protocol");
    const char *range = text_of(port, "containerPortRange");
    gint64 container_port = json_integer_value(json_object_get(port, "containerPort"));
    guint first, last;

    if (!CHECK(port, port_members, "port mapping", error))
        return FALSE;
    if (*protocol && strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
        return fail(error, INVALID_PARAMETER, "protocol \"%.20s\" is not known", protocol);
    if (*range ? container_port != 0 || !agent_port_range(range, &first, &last)
               : container_port == 0)
        return fail(error, INVALID_PARAMETER, "a port mapping names no port");
    return TRUE;
}

static gboolean check_list(const json_t *tree, const char *key,
                           gboolean (*check)(const json_t *item, GError **error), GError **error)
{
    const json_t *item;
    gsize n;

    json_array_foreach(json_object_get(tree, key), n, item) if (!check(item, error)) return FALSE;
    return TRUE;
}

static gboolean check_mount(const json_t *mount, GError **error)
{
    return CHECK(mount, mount_members, "mount point", error);
}

static gboolean check_volume(const json_t *volume, GError **error)
{
    const char *type = text_of(volume, "type");
    const json_t *host = json_object_get(volume, "host");
    const json_t *docker = json_object_get(volume, "dockerVolumeConfiguration");

    if (!CHECK(volume, volume_members, "volume", error))
        return FALSE;
    if (!*text_of(volume, "name"))
        return fail(error, INVALID_PARAMETER, "a volume has no name");
    if (strcmp(type, "docker") == 0)
        return CHECK(docker, docker_volume_members, "docker volume", error);
    if (*type && strcmp(type, "host") != 0)
        return fail(error, INVALID_PARAMETER, "volume type \"%.40s\" is not supported", type);
    if (!json_is_object(host))
        return fail(error, INVALID_PARAMETER, "volume \"%.100s\" has no host member",
                    text_of(volume, "name"));
    const json_t *path = json_object_get(host, "sourcePath");
    if (path && !json_is_null(path) && !json_is_string(path))
        return fail(error, INVALID_PARAMETER, "sourcePath of a volume cannot be read");
    return TRUE;
}

/* Only a command may be overridden here; the rest was merged by the sender. */
static gboolean apply_overrides(json_t *container, GError **error)
{
    json_auto_t *overrides = json_loads(text_of(container, "overrides"), 0, NULL);
    const char *key;
    json_t *value;

    json_object_foreach(overrides, key, value)
    {
        if (strcmp(key, "command") != 0 || !all_texts(value))
            return fail(error, INVALID_PARAMETER, "override \"%.40s\" is not known", key);
        json_object_set(container, "command", value);
    }
    return TRUE;
}

static gboolean check_container(json_t *tree, const AgentTask *task, GError **error)
{
    const json_t *docker = json_object_get(tree, "dockerConfig");
    const char *name = text_of(tree, "name");

    if (!CHECK(tree, container_members, "container", error))
        return FALSE;
    if (!*name || strlen(name) > 255 || agent_task_find(task, name) >= 0 ||
        g_str_has_prefix(name, AGENT_INTERNAL_PREFIX))
        return fail(error, INVALID_PARAMETER,
                    "container name \"%.100s\" is empty, too long, the agent's or twice", name);
    if (!*text_of(tree, "image"))
        return fail(error, INVALID_PARAMETER, "container \"%s\" has no image", name);
    if (docker && !json_is_null(docker) && !CHECK(docker, docker_members, "dockerConfig", error))
        return FALSE;
    return check_list(tree, "portMappings", check_port, error) &&
           check_list(tree, "mountPoints", check_mount, error) &&
           check_list(tree, "volumesFrom", check_mount, error) &&
           agent_env_files_check(json_object_get(tree, "environmentFiles"), error) &&
           apply_overrides(tree, error);
}

static gboolean add_container(AgentTask *task, json_t *tree, GError **error)
{
    if (!check_container(tree, task, error))
        return FALSE;
    AgentContainer *c = agent_task_add(task, text_of(tree, "name"));
    c->spec = tree;
    c->image = g_strdup(text_of(tree, "image"));
    c->docker_name = agent_name_container(task, c->name);
    c->essential = json_is_true(json_object_get(tree, "essential"));
    c->checks_health = strcmp(text_of(tree, "healthCheckType"), "docker") == 0;
    c->start_timeout_s = (guint)json_integer_value(json_object_get(tree, "startTimeout"));
    c->stop_timeout_s = (guint)json_integer_value(json_object_get(tree, "stopTimeout"));
    return agent_restart_read(c, json_object_get(tree, "restartPolicy"), error);
}

static gboolean depend_on(const AgentTask *task, AgentContainer *c, const char *name,
                          AgentCondition condition)
{
    int target = agent_task_find(task, name);
    AgentDepend depend = { (guint)target, condition };

    if (target < 0)
        return FALSE;
    g_array_append_val(c->depends, depend);
    return TRUE;
}

static gboolean read_condition(const char *text, AgentCondition *ret_condition)
{
    static const char *const names[] = { [DEPEND_START] = "START",
                                         [DEPEND_COMPLETE] = "COMPLETE",
                                         [DEPEND_SUCCESS] = "SUCCESS",
                                         [DEPEND_HEALTHY] = "HEALTHY" };

    for (guint i = DEPEND_START; i < G_N_ELEMENTS(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_condition = (AgentCondition)i;
            return TRUE;
        }
    return FALSE;
}

/* dependsOn, links (which need the other running) and volumesFrom (which need it to be there). */
static gboolean read_depends(const AgentTask *task, AgentContainer *c)
{
    const json_t *item;
    gsize n;

    json_array_foreach(json_object_get(c->spec, "dependsOn"), n, item)
    {
        AgentCondition condition;
        if (!read_condition(text_of(item, "condition"), &condition) ||
            !depend_on(task, c, text_of(item, "containerName"), condition))
            return FALSE;
        int target = agent_task_find(task, text_of(item, "containerName"));
        if (condition == DEPEND_HEALTHY &&
            !agent_task_container(task, (guint)target)->checks_health)
            return FALSE;
    }
    json_array_foreach(json_object_get(c->spec, "links"), n, item)
    {
        g_auto(GStrv) parts = g_strsplit(json_string_value(item), ":", 2);
        if (!parts[0] || !depend_on(task, c, parts[0], DEPEND_START))
            return FALSE;
    }
    json_array_foreach(json_object_get(c->spec, "volumesFrom"), n,
                       item) if (!depend_on(task, c, text_of(item, "sourceContainer"),
                                            DEPEND_CREATE)) return FALSE;
    return TRUE;
}

/* A task that is understood but cannot run: it will be reported stopped with this reason. */
static void refuse(AgentTask *task, const char *reason)
{
    task->want = WANT_STOPPED;
    g_free(task->reason);
    task->reason = g_strdup(reason);
}

static void check_memory(AgentTask *task)
{
    gint64 limit = json_integer_value(json_object_get(task->payload, "memory"));

    for (guint i = 0; i < task->containers->len && limit > 0; i++) {
        const AgentContainer *c = agent_task_container(task, i);
        gint64 memory = json_integer_value(json_object_get(c->spec, "memory"));
        if (memory <= limit)
            continue;
        g_autofree char *reason = g_strdup_printf(
            "resource cannot be initialized for task %s: container memory limit(%" G_GINT64_FORMAT
            ") greater than task memory limit(%" G_GINT64_FORMAT ")",
            task->arn, memory, limit);
        refuse(task, reason);
    }
}

/* A mode that is given must be one of these words. */
static void refuse_unless(AgentTask *task, const char *key, const char *words)
{
    const char *mode = text_of(task->payload, key);
    g_auto(GStrv) known = g_strsplit(words, " ", -1);

    if (*mode && !g_strv_contains((const char *const *)known, mode)) {
        g_autofree char *reason =
            g_strdup_printf("%s %.40s is not supported by this agent", key, mode);
        refuse(task, reason);
    }
}

static void check_start(AgentTask *task)
{
    gboolean resolved = TRUE;

    for (guint i = 0; i < task->containers->len; i++)
        resolved = resolved && read_depends(task, agent_task_container(task, i));
    if (!resolved || agent_rules_circular(task)) {
        for (guint i = 0; i < task->containers->len; i++)
            g_array_set_size(agent_task_container(task, i)->depends, 0);
        g_autofree char *reason =
            g_strdup_printf("Task dependencies cannot be resolved, taskArn: %s", task->arn);
        refuse(task, reason);
    }
    refuse_unless(task, "networkMode", "bridge host none");
    refuse_unless(task, "pidMode", "host task");
    refuse_unless(task, "ipcMode", "host task none");
    check_memory(task);
    agent_pause_add(task);
}

AgentTask *agent_payload_task(const json_t *tree, GError **error)
{
    const char *arn = NULL;
    g_autofree char *id = NULL;
    json_t *container;
    gsize n;

    if (!agent_payload_arn(tree, &arn, &id))
        return fail_null(error, INVALID_PARAMETER, "a task has no valid ARN");
    g_autoptr(AgentTask) task = agent_task_new(arn, id);
    if (!CHECK(tree, task_members, "task", error) || !read_want(tree, &task->want, error) ||
        !check_credentials(tree, error) || !check_list(tree, "volumes", check_volume, error))
        return NULL;
    json_decref(task->payload);
    task->payload = json_deep_copy(tree);
    agent_payload_strip(task->payload);
    g_free(task->family);
    g_free(task->version);
    task->family = g_strdup(text_of(tree, "family"));
    task->version = g_strdup(text_of(tree, "version"));
    json_t *containers = json_object_get(task->payload, "containers");
    if (json_array_size(containers) > AGENT_CONTAINERS_MAX ||
        (task->want == WANT_RUNNING && json_array_size(containers) == 0))
        return fail_null(error, INVALID_PARAMETER,
                         "a task has 1 to %d containers, not %" G_GSIZE_FORMAT,
                         AGENT_CONTAINERS_MAX, json_array_size(containers));
    json_array_foreach(containers, n,
                       container) if (!add_container(task, container, error)) return NULL;
    check_start(task);
    return g_steal_pointer(&task);
}
