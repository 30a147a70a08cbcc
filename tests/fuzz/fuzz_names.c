/* Small languages that callers and guests write in: cluster queries, names and ARNs, keys, user data,
 * references to secrets, trust policies, consoles, durations. */
#include "agent/config.h"
#include "agent/names.h"
#include "base/errors.h"
#include "fuzz.h"
#include "model/cluster_query.h"
#include "model/ecs_arn.h"
#include "model/glob.h"
#include "model/secret_ref.h"
#include "model/ssh_key.h"
#include "model/trust.h"
#include "model/user_data.h"
#include "reconcile/instance.h"

#include <string.h>

#define REGION  "home-1"
#define ACCOUNT "123456789012"

static const char *attribute(gpointer instance G_GNUC_UNUSED, const char *name)
{
    return strlen(name) % 2 ? "value" : NULL;
}

static gboolean runs_group(gpointer instance G_GNUC_UNUSED, const char *group, const GRegex *pattern)
{
    return pattern ? g_regex_match(pattern, "service:web", 0, NULL) : strcmp(group, "service:web") == 0;
}

static void try_query(const char *text)
{
    const ClusterQuerySubject subject = { .attribute = attribute,
                                          .runs_group = runs_group,
                                          .agent_version = "1.70.0",
                                          .ec2_instance_id = "i-0123456789abcdef0",
                                          .running_tasks = 3 };
    g_autoptr(GError) error = NULL;
    g_autoptr(ClusterQuery) query = cluster_query_parse(text, &error);

    g_assert_cmpint(query == NULL, ==, error != NULL);
    if (!query)
        return;
    cluster_query_needs_groups(query);
    cluster_query_matches(query, &subject);
}

static void try_names(const char *text)
{
    gint64 revision = 0;
    g_autofree char *cluster = ecs_ref_cluster(REGION, ACCOUNT, text, NULL);
    g_autofree char *service = ecs_ref_in_cluster(REGION, ACCOUNT, "service", "default", text);
    g_autofree char *family = ecs_ref_task_definition(REGION, ACCOUNT, text, &revision, NULL);
    g_autoptr(EcsArn) arn = ecs_arn_parse(REGION, ACCOUNT, text, NULL);
    g_autoptr(SecretRef) parameter = secret_ref_parameter(REGION, ACCOUNT, text);
    g_autoptr(SecretRef) secret = secret_ref_secret(REGION, ACCOUNT, text);
    g_autoptr(SecretRef) from = secret_ref_value_from(REGION, ACCOUNT, text);

    g_assert_cmpint(revision, >=, 0);
    g_assert_true(!parameter || parameter->name);
    g_assert_true(!secret || secret->name);
    g_assert_true(!from || from->name);
    g_assert_true(!arn || (arn->type && arn->name));
    ecs_name_is_valid(text);
}

static void try_guest(const char *text, size_t size)
{
    g_autofree char *cluster = user_data_cluster(text, size);
    g_autofree char *keys = instance_key_lines(text);
    g_autofree char *console = instance_console_keys(text);

    g_assert_true(!cluster || ecs_name_is_valid(cluster));
    if (!keys)
        return;
    g_autofree char *again = instance_key_lines(keys);
    g_assert_cmpstr(again, ==, keys);
}

static void try_key(const char *text, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SshKey) key = ssh_key_import(text, size, &error);

    g_assert_cmpint(key == NULL, ==, error != NULL);
    if (!key)
        return;
    g_autoptr(SshKey) again = ssh_key_import(key->public_line, strlen(key->public_line), NULL);
    g_assert_nonnull(again);
    g_assert_cmpstr(again->fingerprint, ==, key->fingerprint);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    const char *second = strchr(text, '\n');
    guint first_port, last_port, ms;

    try_query(text);
    try_names(text);
    try_guest(text, strlen(text));
    try_key(text, strlen(text));
    if (trust_check(text, NULL))
        trust_allows_caller(text, ACCOUNT, "arn:aws:iam::" ACCOUNT ":root");
    agent_config_duration(text, &ms);
    if (agent_port_range(text, &first_port, &last_port))
        g_assert_cmpuint(first_port, <=, last_port);
    if (second) {
        g_autofree char *pattern = g_strndup(text, (gsize)(second - text));
        glob_match(pattern, second + 1);
    }
    return 0;
}
