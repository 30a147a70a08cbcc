#include "model/secret_ref.h"

#include <string.h>

#define ARN_PARTS 6 /* arn:aws:SERVICE:REGION:ACCOUNT: and what is named */

void secret_ref_free(SecretRef *ref)
{
    g_free(ref->name);
    g_free(ref->json_key);
    g_free(ref->stage);
    g_free(ref->version_id);
    g_free(ref);
}

/* What an ARN of the service names, taken apart at its colons; NULL when it is not one of this
 * region and account. */
static char **arn_tail(const char *service, const char *region, const char *account_id,
                       const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", ARN_PARTS);

    if (g_strv_length(parts) != ARN_PARTS || strcmp(parts[1], "aws") != 0 ||
        strcmp(parts[2], service) != 0 || strcmp(parts[3], region) != 0 ||
        strcmp(parts[4], account_id) != 0)
        return NULL;
    return g_strsplit(parts[5], ":", -1);
}

static gboolean is_arn(const char *text)
{
    return g_str_has_prefix(text, "arn:");
}

/* parts are a name and, perhaps, its version. */
static SecretRef *parameter_ref(char **parts, const char *name, gboolean by_arn)
{
    guint64 version = 0;
    guint count = g_strv_length(parts);

    if (!*name || count > 2 ||
        (count == 2 && !g_ascii_string_to_unsigned(parts[1], 10, 1, G_MAXINT64, &version, NULL)))
        return NULL;
    SecretRef *ref = g_new0(SecretRef, 1);
    *ref = (SecretRef){ .name = g_strdup(name), .by_arn = by_arn, .version = (gint64)version };
    return ref;
}

SecretRef *secret_ref_parameter(const char *region, const char *account_id, const char *text)
{
    if (!is_arn(text)) {
        g_auto(GStrv) parts = g_strsplit(text, ":", -1);
        return parts[0] ? parameter_ref(parts, parts[0], FALSE) : NULL;
    }
    g_auto(GStrv) tail = arn_tail("ssm", region, account_id, text);
    if (!tail || !g_str_has_prefix(tail[0], "parameter/"))
        return NULL;
    const char *path = tail[0] + strlen("parameter");
    return parameter_ref(tail, strchr(path + 1, '/') ? path : path + 1, TRUE);
}

static char *part_or_null(char **parts, guint n)
{
    return g_strv_length(parts) > n && *parts[n] ? g_strdup(parts[n]) : NULL;
}

/* more: how many parts may follow the secret's name. */
static SecretRef *secret_ref(const char *region, const char *account_id, const char *text,
                             guint more)
{
    g_auto(GStrv) tail = arn_tail("secretsmanager", region, account_id, text);

    if (!tail || g_strv_length(tail) < 2 || g_strv_length(tail) > 2 + more ||
        strcmp(tail[0], "secret") != 0 || !*tail[1])
        return NULL;
    SecretRef *ref = g_new0(SecretRef, 1);
    *ref = (SecretRef){ .is_secret = TRUE,
                        .name = g_strdup(tail[1]),
                        .by_arn = TRUE,
                        .json_key = part_or_null(tail, 2),
                        .stage = part_or_null(tail, 3),
                        .version_id = part_or_null(tail, 4) };
    return ref;
}

SecretRef *secret_ref_secret(const char *region, const char *account_id, const char *text)
{
    if (is_arn(text))
        return secret_ref(region, account_id, text, 0);
    if (!*text)
        return NULL;
    SecretRef *ref = g_new0(SecretRef, 1);
    *ref = (SecretRef){ .is_secret = TRUE, .name = g_strdup(text) };
    return ref;
}

SecretRef *secret_ref_value_from(const char *region, const char *account_id, const char *text)
{
    if (g_str_has_prefix(text, "arn:aws:secretsmanager:"))
        return secret_ref(region, account_id, text, 3);
    return secret_ref_parameter(region, account_id, text);
}
