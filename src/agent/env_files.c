#include "agent/env_files.h"
#include "base/errors.h"
#include "base/tree.h"

#include <string.h>

gboolean agent_env_files_check(const json_t *list, GError **error)
{
    const json_t *file;
    gsize n;

    if (!list || json_is_null(list))
        return TRUE;
    if (!json_is_array(list) || json_array_size(list) > ENV_FILES_MAX)
        return fail(error, INVALID_PARAMETER, "environmentFiles of a container cannot be read");
    json_array_foreach(list, n, file)
    {
        if (!*text_of(file, "value") || strcmp(text_of(file, "type"), "s3") != 0)
            return fail(error, INVALID_PARAMETER,
                        "an environment file has no value, or is not of type s3");
    }
    return TRUE;
}

static AgentS3 *store(const AgentConfig *config, const char *access_key_id, const char *secret,
                      const char *token)
{
    AgentS3 *s3 = g_new0(AgentS3, 1);

    *s3 = (AgentS3){ .endpoint = g_strdup(config->s3_endpoint),
                     .region = g_strdup(*config->s3_region ? config->s3_region : config->region),
                     .ca_file = g_strdup(config->s3_ca_file),
                     .access_key_id = g_strdup(access_key_id),
                     .secret = g_strdup(secret),
                     .token = g_strdup(token) };
    return s3;
}

static AgentEnvState never(const char *why, GError **error)
{
    fail(error, TASK_RESOURCE, "%s", why);
    return ENV_NEVER;
}

AgentEnvState agent_env_files_ready(const AgentConfig *config,
                                    const AgentCredentialsTable *credentials, const AgentTask *task,
                                    const AgentContainer *container, AgentS3 **ret_s3,
                                    GError **error)
{
    const char *member = agent_credentials_member(CREDENTIALS_EXECUTION);
    const AgentCredentials *set;

    *ret_s3 = NULL;
    if (json_array_size(json_object_get(container->spec, "environmentFiles")) == 0)
        return ENV_READY;
    if (!*config->s3_endpoint)
        return never("BERTH_S3_ENDPOINT is not set on this container instance", error);
    if (*config->s3_access_key_id) {
        *ret_s3 = store(config, config->s3_access_key_id, config->s3_secret_access_key, "");
        return ENV_READY;
    }
    set = agent_credentials_of(credentials, task->arn, CREDENTIALS_EXECUTION);
    if (set && *set->access_key_id) {
        *ret_s3 = store(config, set->access_key_id, set->secret_access_key, set->session_token);
        return ENV_READY;
    }
    if (*text_of(json_object_get(task->payload, member), "credentialsId"))
        return ENV_WAIT;
    return never("unable to find execution role credentials", error);
}

/* Takes one line, without its end. */
static gboolean take_line(const char *line, gsize length, json_t *map, GError **error)
{
    const char *equals = memchr(line, '=', length);

    if (length > ENV_LINE_BYTES_MAX)
        return fail(error, TASK_RESOURCE, "a line is longer than %d bytes", ENV_LINE_BYTES_MAX);
    if (!equals || *line == '#' || equals == line || equals == line + length - 1)
        return TRUE;
    g_autofree char *name = g_strndup(line, (gsize)(equals - line));
    if (json_object_get(map, name))
        return TRUE;
    if (json_object_size(map) >= ENV_NAMES_MAX)
        return fail(error, TASK_RESOURCE, "there are more than %d variables", ENV_NAMES_MAX);
    json_object_set_new(map, name, json_stringn(equals + 1, length - (gsize)(equals + 1 - line)));
    return TRUE;
}

gboolean agent_env_files_parse(const char *text, gsize length, json_t *map, GError **error)
{
    const char *end = text + length;

    if (!g_utf8_validate_len(text, length, NULL))
        return fail(error, TASK_RESOURCE, "it is not text in UTF-8");
    for (const char *line = text; line < end;) {
        const char *stop = memchr(line, '\n', (gsize)(end - line));
        gsize size = (gsize)((stop ? stop : end) - line);
        if (!take_line(line, size > 0 && line[size - 1] == '\r' ? size - 1 : size, map, error))
            return FALSE;
        line += size + 1;
    }
    return TRUE;
}

/* Names that env says already; their values do not matter. Caller owns. */
static json_t *names_in(const json_t *env)
{
    json_t *names = json_object();
    const json_t *entry;
    gsize n;

    json_array_foreach(env, n, entry)
    {
        const char *text = json_string_value(entry);
        g_autofree char *name = g_strndup(text, strcspn(text, "="));
        json_object_set_new(names, name, json_true());
    }
    return names;
}

gboolean agent_env_files_fetch(const AgentS3 *s3, const json_t *files, json_t *env, GError **error)
{
    json_auto_t *said = names_in(env);
    json_auto_t *map = json_object();
    const json_t *file;
    const char *name;
    json_t *value;
    gsize n;

    json_array_foreach(files, n, file)
    {
        const char *arn = text_of(file, "value");
        g_autoptr(GString) text = agent_s3_get(s3, arn, ENV_FILE_BYTES_MAX, error);
        if (!text)
            return FALSE;
        if (!agent_env_files_parse(text->str, text->len, map, error))
            return fail_prefix(error, "\"%s\"", arn);
    }
    json_object_foreach(map, name, value)
    {
        g_autofree char *entry = g_strconcat(name, "=", json_string_value(value), NULL);
        if (!json_object_get(said, name))
            json_array_append_new(env, json_string(entry));
    }
    return TRUE;
}
