#include "agent/config.h"
#include "base/errors.h"

#include <string.h>

#define FILE_MAX (64 * 1024)

typedef enum { KIND_TEXT, KIND_NUMBER, KIND_DURATION, KIND_BOOL, KIND_LIST, KIND_MAP } Kind;

typedef struct {
    const char *key;
    const char *alias; /* the stock agent's name, or NULL */
    Kind kind;
    gsize offset;
    const char *initial; /* NULL: must be given */
    guint minimum;       /* of a number, or of a duration in ms */
    const char *why;
} Parameter;

#define AT(field) G_STRUCT_OFFSET(AgentConfig, field)

static const Parameter parameters[] = {
    { "BERTH_ENDPOINT", "ECS_BACKEND_HOST", KIND_TEXT, AT(endpoint), NULL, 0, "URL of the API" },
    { "BERTH_REGION", "AWS_DEFAULT_REGION", KIND_TEXT, AT(region), NULL, 0, "signed into calls" },
    { "BERTH_CLUSTER", "ECS_CLUSTER", KIND_TEXT, AT(cluster), "", 0,
      "cluster to join; empty: default, made when it is not there" },
    { "BERTH_CA", NULL, KIND_TEXT, AT(ca_file), "", 0, "PEM of the CA that signed the API" },
    { "BERTH_INSTANCE_ID", NULL, KIND_TEXT, AT(instance_id), "", 0,
      "saved state of another instance is not used" },
    { "AWS_ACCESS_KEY_ID", NULL, KIND_TEXT, AT(access_key_id), "", 0,
      "who signs; empty: the instance's role" },
    { "AWS_SECRET_ACCESS_KEY", NULL, KIND_TEXT, AT(secret_access_key), "", 0, "who signs" },
    { "AWS_SESSION_TOKEN", NULL, KIND_TEXT, AT(session_token), "", 0, "of a role's session" },
    { "BERTH_METADATA", "AWS_EC2_METADATA_SERVICE_ENDPOINT", KIND_TEXT, AT(metadata_url),
      "http://169.254.169.254", 0, "where the instance's role gives credentials" },
    { "BERTH_DOCKER", "DOCKER_HOST", KIND_TEXT, AT(docker_socket), "/run/docker.sock", 0,
      "Docker's socket" },
    { "BERTH_DATA_DIR", "ECS_DATADIR", KIND_TEXT, AT(data_dir), "/data", 0,
      "registration and tasks; survives restarts" },
    { "BERTH_CGROUP", NULL, KIND_TEXT, AT(cgroup_dir), "/sys/fs/cgroup", 0,
      "where control groups of tasks are made, when Docker keeps its own there" },
    { "BERTH_RESERVED_PORTS", "ECS_RESERVED_PORTS", KIND_LIST, AT(reserved_ports),
      "[22, 2375, 2376, 51678, 51679]", 0, "ports no task may ask for" },
    { "BERTH_RESERVED_PORTS_UDP", "ECS_RESERVED_PORTS_UDP", KIND_LIST, AT(reserved_ports_udp), "[]",
      0, "ports no task may ask for" },
    { "BERTH_ATTRIBUTES", "ECS_INSTANCE_ATTRIBUTES", KIND_MAP, AT(attributes), "{}", 0,
      "of this container instance, for placement" },
    { "BERTH_S3_ENDPOINT", NULL, KIND_TEXT, AT(s3_endpoint), "", 0,
      "URL of the S3-compatible store that environment files come from" },
    { "BERTH_S3_REGION", NULL, KIND_TEXT, AT(s3_region), "", 0,
      "signed into requests to it; empty: BERTH_REGION" },
    { "BERTH_S3_CA", NULL, KIND_TEXT, AT(s3_ca_file), "", 0, "PEM of the CA that signed it" },
    { "BERTH_S3_ACCESS_KEY_ID", NULL, KIND_TEXT, AT(s3_access_key_id), "", 0,
      "who asks it; empty: the execution role of the task" },
    { "BERTH_S3_SECRET_ACCESS_KEY", NULL, KIND_TEXT, AT(s3_secret_access_key), "", 0,
      "who asks it" },
    { "BERTH_LOG_LEVEL", "ECS_LOGLEVEL", KIND_TEXT, AT(log_level), "info", 0,
      "debug, info, warn or error" },
    { "BERTH_PULL_BEHAVIOR", "ECS_IMAGE_PULL_BEHAVIOR", KIND_TEXT, AT(pull_behavior_name),
      "default", 0, "default, always, once or prefer-cached" },
    { "BERTH_RESERVED_MEMORY", "ECS_RESERVED_MEMORY", KIND_NUMBER, AT(reserved_memory_mib), "0", 0,
      "MiB kept from tasks" },
    { "BERTH_ENDPOINT_PORT", NULL, KIND_NUMBER, AT(endpoint_port), "51679", 1,
      "of 127.0.0.1, where containers ask for credentials and metadata" },
    { "BERTH_INTROSPECTION_PORT", NULL, KIND_NUMBER, AT(introspection_port), "51678", 1,
      "where this machine's tasks are listed" },
    { "BERTH_PULL_RETRY", NULL, KIND_DURATION, AT(pull_retry_ms), "1s", 100,
      "from a try of a pull that failed to the next; doubled each time, up to five times it" },
    { "BERTH_PULL_IDLE", "ECS_IMAGE_PULL_INACTIVITY_TIMEOUT", KIND_DURATION, AT(pull_idle_ms), "1m",
      1000, "a pull without progress is given up" },
    { "BERTH_PULL_TIMEOUT", "ECS_IMAGE_PULL_TIMEOUT", KIND_DURATION, AT(pull_timeout_ms), "2h",
      1000, "a pull is given up after this, however it goes" },
    { "BERTH_ENGINE_AUTH_TYPE", "ECS_ENGINE_AUTH_TYPE", KIND_TEXT, AT(auth_type), "", 0,
      "form of the next: dockercfg or docker; empty: none" },
    { "BERTH_ENGINE_AUTH_DATA", "ECS_ENGINE_AUTH_DATA", KIND_MAP, AT(auth_data), "{}", 0,
      "who pulls from which registry" },
    { "BERTH_DISABLE_IMAGE_CLEANUP", "ECS_DISABLE_IMAGE_CLEANUP", KIND_BOOL, AT(keep_images),
      "false", 0, "images are removed neither for age nor for disk space" },
    { "BERTH_IMAGE_CLEANUP_INTERVAL", "ECS_IMAGE_CLEANUP_INTERVAL", KIND_DURATION,
      AT(image_interval_ms), "30m", 1000, "how often old images are looked for" },
    { "BERTH_IMAGE_MINIMUM_CLEANUP_AGE", "ECS_IMAGE_MINIMUM_CLEANUP_AGE", KIND_DURATION,
      AT(image_age_ms), "1h", 1, "an image pulled since stays" },
    { "BERTH_NUM_IMAGES_DELETE_PER_CYCLE", "ECS_NUM_IMAGES_DELETE_PER_CYCLE", KIND_NUMBER,
      AT(images_per_cycle), "5", 1, "so that Docker is not kept busy" },
    { "BERTH_ENABLE_UNTRACKED_IMAGE_CLEANUP", "ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP", KIND_BOOL,
      AT(clean_foreign), "false", 0, "images that others pulled are removed as well" },
    { "BERTH_EXCLUDE_UNTRACKED_IMAGE", "ECS_EXCLUDE_UNTRACKED_IMAGE", KIND_TEXT, AT(foreign_kept),
      "", 0, "names of such images that stay, between commas" },
    { "BERTH_UNTRACKED_IMAGE_AGE", "NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE", KIND_DURATION,
      AT(foreign_age_ms), "1h", 1, "such an image stays this long after it was seen first" },
    { "BERTH_DISK_MIN_FREE", NULL, KIND_NUMBER, AT(disk_min_free), "10", 0,
      "percent: with less, unused images and stopped containers go at once; 0: never" },
    { "BERTH_DISK_PATH", NULL, KIND_TEXT, AT(disk_path), "", 0,
      "where that is measured; empty: the data directory" },
    { "BERTH_DISK_CHECK", NULL, KIND_DURATION, AT(disk_check_ms), "30s", 100,
      "how often that is measured" },
    { "BERTH_STOP_TIMEOUT", "ECS_CONTAINER_STOP_TIMEOUT", KIND_DURATION, AT(stop_timeout_ms), "30s",
      1000, "from the stop signal to SIGKILL" },
    { "BERTH_CLEANUP_WAIT", "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION", KIND_DURATION,
      AT(cleanup_wait_ms), "3h", 1000, "stopped containers stay this long" },
    { "BERTH_BATCH", NULL, KIND_DURATION, AT(batch_min_ms), "10s", 100,
      "changes of single containers are sent together after this, or up to thrice it" },
    { "BERTH_PUBLISH", NULL, KIND_DURATION, AT(publish_ms), "20s", 100, "telemetry interval" },
    { "BERTH_INACTIVITY", NULL, KIND_DURATION, AT(inactivity_ms), "60s", 100,
      "a silent channel is dropped after this, up to twice it" },
    { "BERTH_ROTATION", NULL, KIND_DURATION, AT(rotation_ms), "15m", 100,
      "the task channel is renewed after this, up to thrice it" },
    { "BERTH_CHECK", NULL, KIND_DURATION, AT(check_ms), "5m", 1000,
      "running containers are looked at even without an event" },
};

gboolean agent_config_duration(const char *text, guint *ret_ms)
{
    guint64 total = 0;

    if (!*text)
        return FALSE;
    while (*text) {
        char *unit = NULL;
        guint64 number = g_ascii_strtoull(text, &unit, 10);
        guint64 scale = 0;
        if (!g_ascii_isdigit(*text) || number > G_MAXUINT)
            return FALSE;
        if (g_str_has_prefix(unit, "ms"))
            scale = 1;
        else if (*unit == 's')
            scale = 1000;
        else if (*unit == 'm')
            scale = 60 * 1000;
        else if (*unit == 'h')
            scale = 3600 * 1000;
        else
            return FALSE;
        total += number * scale;
        if (total > G_MAXINT)
            return FALSE;
        text = unit + (scale == 1 ? 2 : 1);
    }
    *ret_ms = (guint)total;
    return TRUE;
}

static gboolean read_bool(const char *text, gboolean *ret)
{
    static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True", NULL };
    static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False", NULL };

    *ret = g_strv_contains(yes, text);
    return *ret || g_strv_contains(no, text);
}

static gboolean is_json(const char *text, Kind kind)
{
    json_auto_t *tree = json_loads(text, 0, NULL);

    return kind == KIND_LIST ? json_is_array(tree) : json_is_object(tree);
}

static gboolean parameter_set(AgentConfig *config, const Parameter *p, const char *value,
                              GError **error)
{
    char *field = (char *)config + p->offset;
    guint64 number = 0;
    guint ms = 0;

    switch (p->kind) {
    case KIND_NUMBER:
        if (!g_ascii_string_to_unsigned(value, 10, p->minimum, 1024 * 1024, &number, NULL))
            return fail(error, CONFIG, "%s=\"%s\" is not a number", p->key, value);
        *(guint *)(void *)field = (guint)number;
        return TRUE;
    case KIND_DURATION:
        if (!agent_config_duration(value, &ms) || ms < p->minimum)
            return fail(error, CONFIG, "%s=\"%s\" is not a duration of at least %u ms", p->key,
                        value, p->minimum);
        *(guint *)(void *)field = ms;
        return TRUE;
    case KIND_BOOL:
        return read_bool(value, (gboolean *)(void *)field) ||
               fail(error, CONFIG, "%s=\"%s\" is neither true nor false", p->key, value);
    case KIND_LIST:
    case KIND_MAP:
        if (!is_json(value, p->kind))
            return fail(error, CONFIG, "%s is not a JSON %s", p->key,
                        p->kind == KIND_LIST ? "list" : "map");
        break;
    case KIND_TEXT:
        break;
    }
    *(char **)(void *)field = g_strdup(value);
    return TRUE;
}

/* KEY=VALUE lines; # begins a comment line; a value may stand in double quotes. */
static GHashTable *read_file(const char *file, GError **error)
{
    g_autoptr(GHashTable) values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autofree char *text = NULL;
    g_autoptr(GError) cause = NULL;
    gsize length = 0;

    if (!file || !g_file_get_contents(file, &text, &length, &cause)) {
        if (!cause || g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return g_steal_pointer(&values);
        return fail_null(error, CONFIG, "cannot read \"%s\": %s", file, cause->message);
    }
    if (length > FILE_MAX)
        return fail_null(error, CONFIG, "\"%s\" is too long", file);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *equals = strchr(g_strstrip(*line), '=');
        if (**line == '#' || !equals)
            continue;
        *equals = '\0';
        char *value = equals + 1;
        gsize size = strlen(value);
        gboolean quoted = size >= 2 && value[0] == '"' && value[size - 1] == '"';
        g_hash_table_insert(values, g_strdup(*line),
                            quoted ? g_strndup(value + 1, size - 2) : g_strdup(value));
    }
    return g_steal_pointer(&values);
}

static const char *find_value(GHashTable *file, const Parameter *p)
{
    const char *names[] = { p->key, p->alias };
    const char *value = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(names) && !value; i++)
        value = names[i] ? g_getenv(names[i]) : NULL;
    for (guint i = 0; i < G_N_ELEMENTS(names) && !value; i++)
        value = names[i] ? g_hash_table_lookup(file, names[i]) : NULL;
    return value;
}

static gboolean finish(AgentConfig *config, GError **error)
{
    static const char *const behaviors[] = { [PULL_DEFAULT] = "default",
                                             [PULL_ALWAYS] = "always",
                                             [PULL_ONCE] = "once",
                                             [PULL_PREFER_CACHED] = "prefer-cached" };

    if (!strstr(config->endpoint, "://")) {
        g_autofree char *host = config->endpoint;
        config->endpoint = g_strconcat("https://", host, NULL);
    }
    if (!*config->access_key_id != !*config->secret_access_key)
        return fail(error, CONFIG, "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY one is missing");
    if (MAX(config->endpoint_port, config->introspection_port) > G_MAXUINT16)
        return fail(error, CONFIG, "a port is not between 1 and %d", G_MAXUINT16);
    if (config->disk_min_free > 99)
        return fail(error, CONFIG, "BERTH_DISK_MIN_FREE is not between 0 and 99");
    for (guint i = 0; i < G_N_ELEMENTS(behaviors); i++)
        if (strcmp(config->pull_behavior_name, behaviors[i]) == 0) {
            config->pull_behavior = (PullBehavior)i;
            return TRUE;
        }
    return fail(error, CONFIG, "BERTH_PULL_BEHAVIOR=\"%s\" is not known",
                config->pull_behavior_name);
}

AgentConfig *agent_config_load(const char *file, GError **error)
{
    g_autoptr(AgentConfig) config = g_new0(AgentConfig, 1);
    g_autoptr(GHashTable) values = read_file(file, error);

    if (!values)
        return NULL;
    for (gsize i = 0; i < G_N_ELEMENTS(parameters); i++) {
        const Parameter *p = &parameters[i];
        const char *value = find_value(values, p);
        if (!value)
            value = p->initial;
        if (!value)
            return fail_null(error, CONFIG,
                             "%s is not set (%s), neither in \"%s\" nor in the environment", p->key,
                             p->why, file ? file : "-");
        if (!parameter_set(config, p, value, error))
            return NULL;
    }
    if (!finish(config, error))
        return NULL;
    return g_steal_pointer(&config);
}

void agent_config_free(AgentConfig *config)
{
    if (!config)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(parameters); i++)
        if (parameters[i].kind == KIND_TEXT || parameters[i].kind >= KIND_LIST)
            g_free(*(char **)(void *)((char *)config + parameters[i].offset));
    g_free(config);
}
