#include "agent/credentials.h"

#include <string.h>

struct AgentCredentialsTable {
    GPtrArray *sets; /* AgentCredentials */
};

static void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    g_free(secret);
}

static void set_free(gpointer data)
{
    AgentCredentials *set = data;

    g_free(set->task_arn);
    g_free(set->role_arn);
    g_free(set->access_key_id);
    g_free(set->expiration);
    wipe(set->id);
    wipe(set->secret_access_key);
    wipe(set->session_token);
    g_free(set);
}

AgentCredentialsTable *agent_credentials_new(void)
{
    AgentCredentialsTable *table = g_new0(AgentCredentialsTable, 1);

    table->sets = g_ptr_array_new_with_free_func(set_free);
    return table;
}

void agent_credentials_free(AgentCredentialsTable *table)
{
    if (!table)
        return;
    g_ptr_array_free(table->sets, TRUE);
    g_free(table);
}

const char *agent_credentials_member(AgentCredentialsKind kind)
{
    static const char *const names[CREDENTIALS__COUNT] = {
        [CREDENTIALS_TASK] = "roleCredentials",
        [CREDENTIALS_EXECUTION] = "executionRoleCredentials",
    };

    return names[kind];
}

void agent_credentials_drop(AgentCredentialsTable *table, const char *task_arn,
                            AgentCredentialsKind kind)
{
    for (guint i = table->sets->len; i-- > 0;) {
        const AgentCredentials *set = table->sets->pdata[i];
        if (set->kind == kind && strcmp(set->task_arn, task_arn) == 0)
            g_ptr_array_remove_index_fast(table->sets, i);
    }
}

gboolean agent_credentials_keep(AgentCredentialsTable *table, const char *task_arn,
                                AgentCredentialsKind kind, const json_t *tree)
{
    static const char *const names[] = { "credentialsId",   "roleArn",      "accessKeyId",
                                         "secretAccessKey", "sessionToken", "expiration" };
    const char *values[G_N_ELEMENTS(names)];

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *value = json_string_value(json_object_get(tree, names[i]));
        values[i] = value ? value : "";
    }
    if (!*values[0])
        return FALSE;
    AgentCredentials *set = g_new0(AgentCredentials, 1);
    *set = (AgentCredentials){ .id = g_strdup(values[0]),
                               .task_arn = g_strdup(task_arn),
                               .kind = kind,
                               .role_arn = g_strdup(values[1]),
                               .access_key_id = g_strdup(values[2]),
                               .secret_access_key = g_strdup(values[3]),
                               .session_token = g_strdup(values[4]),
                               .expiration = g_strdup(values[5]) };
    agent_credentials_drop(table, task_arn, kind);
    g_ptr_array_add(table->sets, set);
    return TRUE;
}

const AgentCredentials *agent_credentials_by_id(const AgentCredentialsTable *table, const char *id)
{
    for (guint i = 0; i < table->sets->len; i++) {
        const AgentCredentials *set = table->sets->pdata[i];
        if (strcmp(set->id, id) == 0)
            return set;
    }
    return NULL;
}

const AgentCredentials *agent_credentials_of(const AgentCredentialsTable *table,
                                             const char *task_arn, AgentCredentialsKind kind)
{
    for (guint i = 0; i < table->sets->len; i++) {
        const AgentCredentials *set = table->sets->pdata[i];
        if (set->kind == kind && strcmp(set->task_arn, task_arn) == 0)
            return set;
    }
    return NULL;
}
