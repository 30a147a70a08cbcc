#include "model/trust.h"
#include "base/errors.h"

#include <jansson.h>
#include <string.h>

#define ACTION_ASSUME "sts:AssumeRole"

/* Calls each for one text or a list of them; ends early when it gives TRUE. */
static gboolean any_text(const json_t *value, gboolean (*each)(const char *, gconstpointer),
                         gconstpointer user)
{
    const json_t *one;
    size_t n;

    if (json_is_string(value))
        return each(json_string_value(value), user);
    json_array_foreach(value, n, one) if (json_is_string(one) &&
                                          each(json_string_value(one), user)) return TRUE;
    return FALSE;
}

static gboolean is_texts(const json_t *value)
{
    const json_t *one;
    size_t n;

    if (json_is_string(value))
        return TRUE;
    json_array_foreach(value, n, one) if (!json_is_string(one)) return FALSE;
    return json_array_size(value) > 0;
}

/* -- checking */

static gboolean foreign_action(const char *action, gconstpointer user G_GNUC_UNUSED)
{
    return g_ascii_strncasecmp(action, ACTION_ASSUME, strlen(ACTION_ASSUME)) != 0 &&
           g_ascii_strcasecmp(action, "sts:TagSession") != 0 &&
           g_ascii_strcasecmp(action, "sts:SetSourceIdentity") != 0 &&
           g_ascii_strcasecmp(action, "sts:*") != 0;
}

static gboolean principal_good(const json_t *principal)
{
    static const char *const kinds[] = { "AWS", "Service", "Federated", "CanonicalUser", NULL };
    const char *kind;
    json_t *names;

    if (json_is_string(principal))
        return strcmp(json_string_value(principal), "*") == 0;
    json_object_foreach((json_t *)principal, kind,
                        names) if (!g_strv_contains(kinds, kind) || !is_texts(names)) return FALSE;
    return json_object_size(principal) > 0;
}

static gboolean statement_syntax(const json_t *statement)
{
    static const char *const members[] = { "Sid",          "Effect",   "Principal",
                                           "NotPrincipal", "Action",   "NotAction",
                                           "Condition",    "Resource", NULL };
    const char *effect = json_string_value(json_object_get(statement, "Effect"));
    const json_t *principal = json_object_get(statement, "Principal");
    const json_t *action = json_object_get(statement, "Action");
    const json_t *condition = json_object_get(statement, "Condition");
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)statement, name,
                        value) if (!g_strv_contains(members, name)) return FALSE;
    return effect && (strcmp(effect, "Allow") == 0 || strcmp(effect, "Deny") == 0) &&
           (!principal || principal_good(principal)) && (!action || is_texts(action)) &&
           (!condition || json_is_object(condition));
}

static gboolean statement_check(const json_t *statement, GError **error)
{
    const json_t *action = json_object_get(statement, "Action");

    if (!statement_syntax(statement))
        return fail(error, MALFORMED_POLICY, "Syntax errors in policy.");
    if (json_object_get(statement, "Resource"))
        return fail(error, MALFORMED_POLICY, "Has prohibited field Resource");
    if (!json_object_get(statement, "Principal"))
        return fail(error, MALFORMED_POLICY, "Missing required field Principal");
    if (!action)
        return fail(error, MALFORMED_POLICY, "Missing required field Action");
    if (any_text(action, foreign_action, NULL))
        return fail(error, MALFORMED_POLICY,
                    "Trust Policy statement actions can only be sts:AssumeRole, "
                    "sts:AssumeRoleWithSAML,  and sts:AssumeRoleWithWebIdentity");
    return TRUE;
}

static gsize weight(const char *text)
{
    gsize count = 0;

    for (; *text; text++)
        count += !g_ascii_isspace(*text);
    return count;
}

/* The statements as a list, one alone as well. New reference. */
static json_t *statements(const json_t *policy)
{
    json_t *statement = json_object_get(policy, "Statement");

    return json_is_object(statement) ? json_pack("[O]", statement) : json_incref(statement);
}

gboolean trust_check(const char *policy, GError **error)
{
    json_auto_t *tree = json_loads(policy, JSON_REJECT_DUPLICATES, NULL);
    json_auto_t *list = statements(tree);
    const char *version = json_string_value(json_object_get(tree, "Version"));
    const json_t *statement;
    size_t n;

    if (weight(policy) > TRUST_POLICY_MAX)
        return fail(error, LIMIT_EXCEEDED, "Cannot exceed quota for ACLSizePerRole: %d",
                    TRUST_POLICY_MAX);
    if (!json_is_object(tree) || !json_array_size(list) ||
        (version && strcmp(version, "2012-10-17") != 0 && strcmp(version, "2008-10-17") != 0))
        return fail(error, MALFORMED_POLICY, "Syntax errors in policy.");
    json_array_foreach(
        list, n, statement) if (!json_is_object(statement) ||
                                !statement_check(statement, error)) return json_is_object(statement)
        ? FALSE
        : fail(error, MALFORMED_POLICY, "Syntax errors in policy.");
    return TRUE;
}

/* -- deciding */

typedef struct {
    const char *kind; /* "AWS" or "Service" */
    const char *name; /* the service, or the caller's ARN */
    const char *account_id;
    char *root;
} Asker;

static gboolean names_assume(const char *action, gconstpointer user G_GNUC_UNUSED)
{
    return g_ascii_strcasecmp(action, ACTION_ASSUME) == 0 ||
           g_ascii_strcasecmp(action, ACTION_ASSUME "*") == 0 ||
           g_ascii_strcasecmp(action, "sts:*") == 0;
}

static gboolean names_asker(const char *name, gconstpointer user)
{
    const Asker *asker = user;

    if (strcmp(name, asker->name) == 0)
        return TRUE;
    return asker->account_id && (strcmp(name, "*") == 0 || strcmp(name, asker->account_id) == 0 ||
                                 strcmp(name, asker->root) == 0);
}

static gboolean concerns(const json_t *statement, const Asker *asker)
{
    const json_t *principal = json_object_get(statement, "Principal");
    const json_t *names =
        json_is_string(principal) ? principal : json_object_get(principal, asker->kind);

    return any_text(json_object_get(statement, "Action"), names_assume, NULL) &&
           (any_text(names, names_asker, asker) ||
            (json_is_string(principal) && strcmp(json_string_value(principal), "*") == 0));
}

static gboolean allows(const char *policy, const Asker *asker)
{
    json_auto_t *tree = json_loads(policy, 0, NULL);
    json_auto_t *list = statements(tree);
    const json_t *statement;
    gboolean allowed = FALSE;
    size_t n;

    json_array_foreach(list, n, statement)
    {
        const char *effect = json_string_value(json_object_get(statement, "Effect"));
        if (!effect || !concerns(statement, asker))
            continue;
        if (strcmp(effect, "Deny") == 0)
            return FALSE;
        allowed = allowed || !json_object_get(statement, "Condition");
    }
    return allowed;
}

gboolean trust_allows_service(const char *policy, const char *service)
{
    Asker asker = { .kind = "Service", .name = service };

    return allows(policy, &asker);
}

gboolean trust_allows_caller(const char *policy, const char *account_id, const char *arn)
{
    g_autofree char *root = g_strdup_printf("arn:aws:iam::%s:root", account_id);
    Asker asker = { .kind = "AWS", .name = arn, .account_id = account_id, .root = root };

    return allows(policy, &asker);
}
