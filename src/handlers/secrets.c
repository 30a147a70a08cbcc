/* Secrets Manager: values by name and stage. Values are sealed before they meet a row. */
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "handlers/secret_values.h"
#include "handlers/table.h"
#include "model/task_definition.h"

#include <string.h>

#define NAME_MAX_CHARACTERS 512
#define VALUE_MAX_BYTES     (64 * 1024)
#define PAGE_MAX            100
#define SUFFIX_SIZE         6
#define WINDOW_DAYS_MIN     7
#define WINDOW_DAYS_MAX     30
#define DAY_US              (24 * 3600 * CLOCK_SECOND_US)

static json_t *secret_arn(const Request *rq, const Secret *s)
{
    return json_sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%s", rq->region, rq->account_id,
                        s->name, s->suffix);
}

static json_t *secret_head(const Request *rq, const Secret *s)
{
    return json_pack("{s:o, s:s}", "ARN", secret_arn(rq, s), "Name", s->name);
}

/* The secret that SecretId names, locked when write is set. alive: one asked to go is refused. */
static Secret *secret_asked(Request *rq, gboolean write, gboolean alive, GError **error)
{
    g_autoptr(SecretRef) ref =
        secret_ref_secret(rq->region, rq->account_id, request_text(rq, "SecretId"));
    g_autoptr(Secret) secret = NULL;

    if (!ref)
        return fail_null(error, SECRET_NOT_FOUND,
                         "Secrets Manager can't find the specified secret.");
    secret = secrets_get(rq->tx, rq->account_id, ref->name, write, error);
    if (secret && alive && secret->deleted_us)
        return fail_null(error, SECRET_STATE,
                         "You can't perform this operation on the secret because it was marked for "
                         "deletion.");
    return g_steal_pointer(&secret);
}

static gboolean check_name(const char *name, GError **error)
{
    if (!*name || strlen(name) > NAME_MAX_CHARACTERS)
        return fail(error, INVALID_PARAMETER, "A secret's name has 1 to %d characters.",
                    NAME_MAX_CHARACTERS);
    for (; *name; name++)
        if (!g_ascii_isalnum(*name) && !strchr("/_+=.@-", *name))
            return fail(error, INVALID_PARAMETER,
                        "Invalid name. Must be a valid name containing alphanumeric characters, or "
                        "any of the following: -/_+=.@!");
    return TRUE;
}

/* -- values */

/* The value in the request; NULL without an error when it has none. Borrowed. */
static const char *value_of(const Request *rq, gboolean *ret_binary, GError **error)
{
    const char *text = request_text(rq, "SecretString"), *blob = request_text(rq, "SecretBinary");
    const char *value = text ? text : blob;

    *ret_binary = text == NULL;
    if (text && blob)
        return fail_null(
            error, INVALID_PARAMETER,
            "You can't specify both a binary secret value and a string secret value in "
            "the same secret.");
    if (value && strlen(value) > VALUE_MAX_BYTES)
        return fail_null(error, INVALID_PARAMETER, "A secret's value has at most %d bytes.",
                         VALUE_MAX_BYTES);
    return value;
}

/* A version that is there already is this one again, or another's name. */
static gboolean check_same(const Request *rq, const SecretVersion *old, const char *value,
                           GError **error)
{
    g_autofree char *before = crypto_unseal(rq->context->master_key, old->sealed, error);

    if (before && strcmp(before, value) != 0)
        return fail(
            error, SECRET_EXISTS,
            "You can't use ClientRequestToken %s because that value is already in use for a "
            "version of secret.",
            old->version_id);
    return before != NULL;
}

/* Adds the request's value as a version with stages; *ret_version_id is NULL when it has none. */
static gboolean add_version(Request *rq, gint64 secret_id, char **stages, char **ret_version_id,
                            GError **error)
{
    const char *token = request_text(rq, "ClientRequestToken");
    g_autoptr(GError) cause = NULL;
    gboolean binary = FALSE;
    const char *value = value_of(rq, &binary, &cause);

    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (!value)
        return TRUE;
    *ret_version_id = token ? g_strdup(token) : id_uuid();
    g_autoptr(SecretVersion) old =
        secret_versions_find(rq->tx, secret_id, *ret_version_id, NULL, &cause);
    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (old)
        return check_same(rq, old, value, error);
    g_autofree char *sealed = crypto_seal(rq->context->master_key, value);
    const SecretVersion version = {
        .version_id = *ret_version_id, .sealed = sealed, .is_binary = binary, .stages = stages
    };
    return secret_versions_add(rq->tx, secret_id, &version, error);
}

static char *only_current[] = { (char *)"AWSCURRENT", NULL };

static json_t *details_of(const Request *rq)
{
    static const char *const members[] = { "Description", "KmsKeyId", "Tags" };
    json_t *details = json_object();

    for (gsize i = 0; i < G_N_ELEMENTS(members); i++)
        if (request_member(rq, members[i]))
            json_object_set(details, members[i], (json_t *)request_member(rq, members[i]));
    return details;
}

static void random_suffix(char ret_suffix[SUFFIX_SIZE + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    guint8 bytes[SUFFIX_SIZE];

    id_random(bytes, sizeof bytes);
    for (guint i = 0; i < SUFFIX_SIZE; i++)
        ret_suffix[i] = letters[bytes[i] % (sizeof letters - 1)];
    ret_suffix[SUFFIX_SIZE] = '\0';
}

json_t *create_secret(Request *rq, GError **error)
{
    const char *name = request_text(rq, "Name");
    json_auto_t *details = details_of(rq);
    g_autofree char *version_id = NULL;
    char suffix[SUFFIX_SIZE + 1];
    gint64 id = 0;

    if (json_array_size(request_member(rq, "AddReplicaRegions")))
        return fail_null(error, UNSUPPORTED, "AddReplicaRegions is not supported here.");
    random_suffix(suffix);
    if (!check_name(name, error) ||
        !secrets_add(rq->tx, rq->account_id, name, suffix, details, &id, error) ||
        !add_version(rq, id, only_current, &version_id, error))
        return NULL;
    const Secret made = { .name = (char *)name, .suffix = suffix };
    json_t *answer = secret_head(rq, &made);
    if (version_id)
        json_object_set_new(answer, "VersionId", json_string(version_id));
    return answer;
}

static json_t *stages_json(char *const *stages)
{
    json_t *list = json_array();

    for (; *stages; stages++)
        json_array_append_new(list, json_string(*stages));
    return list;
}

json_t *get_secret_value(Request *rq, GError **error)
{
    g_autoptr(Secret) secret = secret_asked(rq, FALSE, TRUE, error);
    g_autoptr(SecretVersion) version =
        secret ? secret_values_version(rq->tx, secret, request_text(rq, "VersionId"),
                                       request_text(rq, "VersionStage"), error)
               : NULL;
    g_autofree char *value =
        version ? crypto_unseal(rq->context->master_key, version->sealed, error) : NULL;

    if (!value)
        return NULL;
    json_t *answer = secret_head(rq, secret);
    json_object_set_new(answer, "VersionId", json_string(version->version_id));
    json_object_set_new(answer, version->is_binary ? "SecretBinary" : "SecretString",
                        json_string(value));
    json_object_set_new(answer, "VersionStages", stages_json(version->stages));
    json_object_set_new(answer, "CreatedDate", json_integer(version->created_us));
    return answer;
}

json_t *put_secret_value(Request *rq, GError **error)
{
    const json_t *asked = request_member(rq, "VersionStages"), *stage;
    g_autoptr(Secret) secret = secret_asked(rq, TRUE, TRUE, error);
    g_autoptr(GPtrArray) stages = g_ptr_array_new();
    g_autofree char *version_id = NULL;
    size_t n;

    json_array_foreach(asked, n, stage) g_ptr_array_add(stages, (gpointer)json_string_value(stage));
    if (stages->len == 0)
        g_ptr_array_add(stages, only_current[0]);
    g_ptr_array_add(stages, NULL);
    if (!secret || !add_version(rq, secret->id, (char **)stages->pdata, &version_id, error))
        return NULL;
    if (!version_id)
        return fail_null(error, INVALID_PARAMETER,
                         "You must provide either SecretString or SecretBinary.");
    json_t *answer = secret_head(rq, secret);
    json_object_set_new(answer, "VersionId", json_string(version_id));
    json_object_set_new(answer, "VersionStages", stages_json((char **)stages->pdata));
    return answer;
}

json_t *update_secret(Request *rq, GError **error)
{
    g_autoptr(Secret) secret = secret_asked(rq, TRUE, TRUE, error);
    json_auto_t *details = details_of(rq);
    g_autofree char *version_id = NULL;

    if (!secret || !secrets_describe(rq->tx, secret->id, details, error) ||
        !add_version(rq, secret->id, only_current, &version_id, error))
        return NULL;
    json_t *answer = secret_head(rq, secret);
    if (version_id)
        json_object_set_new(answer, "VersionId", json_string(version_id));
    return answer;
}

/* -- what is known of them */

static json_t *stages_by_version(Request *rq, const Secret *secret, GError **error)
{
    g_autoptr(GPtrArray) versions = secret_versions_staged(rq->tx, secret->id, error);

    if (!versions)
        return NULL;
    json_t *map = json_object();
    for (guint i = 0; i < versions->len; i++) {
        const SecretVersion *v = versions->pdata[i];
        json_object_set_new(map, v->version_id, stages_json(v->stages));
    }
    return map;
}

static json_t *secret_json(Request *rq, const Secret *s, const char *versions_member,
                           GError **error)
{
    json_t *versions = stages_by_version(rq, s, error);

    if (!versions)
        return NULL;
    json_t *tree = secret_head(rq, s);
    json_object_update(tree, s->details);
    json_object_set_new(tree, versions_member, versions);
    json_object_set_new(tree, "CreatedDate", json_integer(s->created_us));
    json_object_set_new(tree, "LastChangedDate", json_integer(s->changed_us));
    if (s->deleted_us)
        json_object_set_new(tree, "DeletedDate", json_integer(s->deleted_us));
    return tree;
}

json_t *describe_secret(Request *rq, GError **error)
{
    g_autoptr(Secret) secret = secret_asked(rq, FALSE, FALSE, error);

    return secret ? secret_json(rq, secret, "VersionIdsToStages", error) : NULL;
}

/* The one filter there is here: names that begin so. */
static gboolean read_filter(const Request *rq, const char **ret_prefix, GError **error)
{
    const json_t *filters = request_member(rq, "Filters");
    const json_t *filter = json_array_get(filters, 0);
    const json_t *values = json_object_get(filter, "Values");

    if (!filter)
        return TRUE;
    if (json_array_size(filters) > 1 || json_array_size(values) != 1 ||
        g_strcmp0(tree_text(filter, "Key"), "name") != 0)
        return fail(error, UNSUPPORTED,
                    "Of Filters one with the key name and one value is supported.");
    *ret_prefix = json_string_value(json_array_get(values, 0));
    return TRUE;
}

json_t *list_secrets(Request *rq, GError **error)
{
    gint64 limit = MIN(request_int(rq, "MaxResults", PAGE_MAX), PAGE_MAX);
    json_auto_t *list = json_array();
    const char *prefix = NULL;

    if (!read_filter(rq, &prefix, error))
        return NULL;
    g_autoptr(GPtrArray) found = secrets_list(rq->tx, rq->account_id, prefix,
                                              request_text(rq, "NextToken"), limit + 1, error);
    if (!found)
        return NULL;
    for (guint i = 0; i < found->len && i < limit; i++) {
        json_t *item = secret_json(rq, found->pdata[i], "SecretVersionsToStages", error);
        if (!item)
            return NULL;
        json_array_append_new(list, item);
    }
    json_t *answer = json_pack("{s:O}", "SecretList", list);
    if (found->len > limit)
        json_object_set_new(answer, "NextToken",
                            json_string(((const Secret *)found->pdata[limit - 1])->name));
    return answer;
}

/* -- going */

json_t *delete_secret(Request *rq, GError **error)
{
    gboolean now = request_bool(rq, "ForceDeleteWithoutRecovery", FALSE);
    gint64 days = request_int(rq, "RecoveryWindowInDays", 0);
    g_autoptr(Secret) secret = NULL;

    if (now && days)
        return fail_null(error, INVALID_PARAMETER,
                         "You can't use ForceDeleteWithoutRecovery in conjunction with "
                         "RecoveryWindowInDays.");
    if (days && (days < WINDOW_DAYS_MIN || days > WINDOW_DAYS_MAX))
        return fail_null(
            error, INVALID_PARAMETER,
            "The RecoveryWindowInDays value must be between %d and %d days (inclusive).",
            WINDOW_DAYS_MIN, WINDOW_DAYS_MAX);
    secret = secret_asked(rq, TRUE, !now, error);
    if (!secret)
        return NULL;
    gint64 at_us = now ? rq->now_us : rq->now_us + (days ? days : WINDOW_DAYS_MAX) * DAY_US;
    if (now ? !secrets_remove(rq->tx, secret->id, error)
            : !secrets_schedule(rq->tx, secret->id, at_us, error))
        return NULL;
    json_t *answer = secret_head(rq, secret);
    json_object_set_new(answer, "DeletionDate", json_integer(at_us));
    return answer;
}

json_t *restore_secret(Request *rq, GError **error)
{
    g_autoptr(Secret) secret = secret_asked(rq, TRUE, FALSE, error);

    if (!secret || !secrets_schedule(rq->tx, secret->id, 0, error))
        return NULL;
    return secret_head(rq, secret);
}
