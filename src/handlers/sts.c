/* STS: who calls, and taking a role. */
#include "base/clock.h"
#include "base/errors.h"
#include "handlers/table.h"
#include "model/trust.h"
#include "store/roles.h"
#include "store/sessions.h"

#include <string.h>

#define SESSION_SECONDS 3600
#define ACCOUNT_DIGITS  12

json_t *get_caller_identity(Request *rq, GError **error G_GNUC_UNUSED)
{
    const Identity *who = rq->identity;

    return json_pack("{s:s, s:s, s:s}", "UserId", who->principal_id, "Account", who->account_id,
                     "Arn", who->principal_arn);
}

/* Account and name of "arn:aws:iam::123456789012:role/path/name"; callers free both. */
static gboolean role_arn_split(const char *arn, char **ret_account, char **ret_name)
{
    static const char prefix[] = "arn:aws:iam::";
    static const char kind[] = ":role/";
    const char *account = arn + strlen(prefix);

    if (!g_str_has_prefix(arn, prefix) || strlen(account) < ACCOUNT_DIGITS ||
        !g_str_has_prefix(account + ACCOUNT_DIGITS, kind))
        return FALSE;
    *ret_account = g_strndup(account, ACCOUNT_DIGITS);
    *ret_name = g_strdup(strrchr(arn, '/') + 1);
    return TRUE;
}

static gboolean refuse_members(const Request *rq, GError **error)
{
    static const char *const refused[] = { "Policy",        "PolicyArns",
                                           "Tags",          "TransitiveTagKeys",
                                           "SerialNumber",  "TokenCode",
                                           "SourceIdentity" };

    for (gsize i = 0; i < G_N_ELEMENTS(refused); i++)
        if (request_member(rq, refused[i]))
            return fail(error, UNSUPPORTED, "%s is not supported here yet", refused[i]);
    return TRUE;
}

/* The role, when it lets the caller in. A role that is not there is told apart by nobody. */
static Role *role_trusting(Request *rq, const char *arn, const char *account, const char *name,
                           GError **error)
{
    GError *cause = NULL;
    g_autoptr(Role) role = roles_find(rq->tx, account, name, &cause);

    if (cause) {
        g_propagate_error(error, cause);
        return NULL;
    }
    g_autofree char *full =
        role ? g_strdup_printf("arn:aws:iam::%s:role%s%s", account, role->path, role->name) : NULL;
    if (!role || strcmp(full, arn) != 0 ||
        !trust_allows_caller(role->trust_policy, rq->account_id, rq->identity->principal_arn))
        return fail_null(error, ACCESS_DENIED,
                         "User: %s is not authorized to perform: sts:AssumeRole on resource: %s",
                         rq->identity->principal_arn, arn);
    return g_steal_pointer(&role);
}

json_t *assume_role(Request *rq, GError **error)
{
    const char *arn = request_text(rq, "RoleArn");
    const char *session_name = request_text(rq, "RoleSessionName");
    gint64 seconds = request_int(rq, "DurationSeconds", SESSION_SECONDS);
    g_autofree char *account = NULL, *name = NULL;

    if (!refuse_members(rq, error))
        return NULL;
    if (!role_arn_split(arn, &account, &name))
        return fail_null(error, INVALID_PARAMETER, "%s is invalid", arn);
    g_autoptr(Role) role = role_trusting(rq, arn, account, name, error);
    if (!role)
        return NULL;
    if (seconds > role->max_session_seconds)
        return fail_null(error, INVALID_PARAMETER,
                         "The requested DurationSeconds exceeds the MaxSessionDuration set for "
                         "this role.");
    SessionWish wish = { .account_id = account,
                         .role_name = role->name,
                         .session_name = session_name,
                         .kind = SESSION_ASSUMED,
                         .expires_us = rq->now_us + seconds * CLOCK_SECOND_US };
    g_autoptr(SessionCredentials) made =
        sessions_grant(rq->tx, rq->context->master_key, &wish, error);
    if (!made)
        return NULL;
    return json_pack(
        "{s:{s:s, s:s, s:s, s:I}, s:{s:o, s:o}}", "Credentials", "AccessKeyId", made->access_key_id,
        "SecretAccessKey", made->secret, "SessionToken", made->token, "Expiration",
        (json_int_t)made->expires_us, "AssumedRoleUser", "AssumedRoleId",
        json_sprintf("%s:%s", role->id, session_name), "Arn",
        json_sprintf("arn:aws:sts::%s:assumed-role/%s/%s", account, role->name, session_name));
}
