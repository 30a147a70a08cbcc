/* Secrets of tasks: what a definition names is opened when its payload is made, and kept nowhere.
 * Agents of 1.70 ask Amazon's public endpoints for them and cannot be told another: so it is done
 * here. */
#include "base/errors.h"
#include "handlers/secret_values.h"
#include "model/task_definition.h"

#include <stdlib.h>
#include <string.h>

#define BELOW_MAX 200 /* parameters of one path */

typedef struct {
    DbTx *tx;
    const SecretScope *scope;
    json_t *values; /* {name: value} */
} Opening;

static char *refuse(const char *from, const char *why, GError **error)
{
    return fail_null(error, TASK_RESOURCE, "\"%s\": %s", from, why);
}

/* A cause of the definition's or the store's content ends the task; anything else is tried again.
 */
static void propagate(const char *from, GError *cause, GError **error)
{
    if (error_is(cause, ERROR_SECRET_NOT_FOUND) || error_is(cause, ERROR_INTERNAL)) {
        refuse(from, cause->message, error);
        g_error_free(cause);
    } else {
        g_propagate_error(error, cause);
    }
}

static char *unseal(const Opening *o, const char *from, const char *sealed, GError **error)
{
    g_autoptr(GError) cause = NULL;
    char *value = crypto_unseal(o->scope->master_key, sealed, &cause);

    if (!value)
        propagate(from, g_steal_pointer(&cause), error);
    return value;
}

static char *open_parameter(const Opening *o, const char *from, const SecretRef *ref,
                            GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(Parameter) p = secret_values_parameter(o->tx, o->scope->account_id, ref, &cause);

    if (p)
        return unseal(o, from, p->sealed, error);
    if (!cause)
        return refuse(from, "there is no such parameter", error);
    propagate(from, g_steal_pointer(&cause), error);
    return NULL;
}

/* The whole value. */
static char *open_secret(const Opening *o, const char *from, const SecretRef *ref, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(SecretVersion) version = NULL;
    g_autoptr(Secret) secret = secrets_get(o->tx, o->scope->account_id, ref->name, FALSE, &cause);

    if (secret && secret->deleted_us)
        return refuse(from, "the secret is scheduled for deletion", error);
    if (secret)
        version = secret_values_version(o->tx, secret, ref->version_id, ref->stage, &cause);
    if (version)
        return unseal(o, from, version->sealed, error);
    propagate(from, g_steal_pointer(&cause), error);
    return NULL;
}

/* A member's value as a variable has it: text as it is, anything else as JSON. */
static char *member_text(const json_t *value)
{
    if (json_is_string(value))
        return g_strdup(json_string_value(value));
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    char *copy = g_strdup(text);
    free(text);
    return copy;
}

static char *open_one(const Opening *o, const char *from, GError **error)
{
    g_autoptr(SecretRef) ref = secret_ref_value_from(o->scope->region, o->scope->account_id, from);

    if (!ref)
        return refuse(from, "is no name or ARN of a parameter or secret of this region and account",
                      error);
    if (!ref->is_secret)
        return open_parameter(o, from, ref, error);
    g_autofree char *whole = open_secret(o, from, ref, error);
    if (!whole || !ref->json_key)
        return g_steal_pointer(&whole);
    json_auto_t *tree = json_loads(whole, 0, NULL);
    const json_t *member = json_object_get(tree, ref->json_key);
    return member ? member_text(member)
                  : refuse(from, "the secret's value is no JSON with this key", error);
}

/* -- names that end with "*" */

static void put(Opening *o, const char *star, const char *key, const char *value)
{
    g_autofree char *name = g_strdup_printf("%.*s%s", (int)strlen(star) - 1, star, key);

    json_object_set_new(o->values, name, json_string(value));
}

static gboolean open_members(Opening *o, const char *star, const char *from, const SecretRef *ref,
                             GError **error)
{
    g_autofree char *whole = open_secret(o, from, ref, error);
    json_auto_t *tree = whole ? json_loads(whole, 0, NULL) : NULL;
    const char *key;
    json_t *member;

    if (!whole)
        return FALSE;
    if (!json_is_object(tree))
        return fail(error, TASK_RESOURCE, "\"%s\": %s", from,
                    "the secret's value is no JSON object");
    json_object_foreach(tree, key, member)
    {
        g_autofree char *value = member_text(member);
        put(o, star, key, value);
    }
    return TRUE;
}

static gboolean open_path(Opening *o, const char *star, const char *from, const SecretRef *ref,
                          GError **error)
{
    g_autofree char *below =
        g_strconcat(ref->name, g_str_has_suffix(ref->name, "/") ? "" : "/", NULL);
    const ParameterRange range = { .below = below, .limit = BELOW_MAX + 1 };
    g_autoptr(GPtrArray) found = parameters_list(o->tx, o->scope->account_id, &range, error);

    if (!found)
        return FALSE;
    if (found->len == 0 || found->len > BELOW_MAX)
        return fail(error, TASK_RESOURCE, "\"%s\": %s", from,
                    found->len ? "too many parameters are below this path"
                               : "no parameter is below this path");
    for (guint i = 0; i < found->len; i++) {
        const Parameter *p = found->pdata[i];
        g_autofree char *value = unseal(o, from, p->sealed, error);
        if (!value)
            return FALSE;
        put(o, star, p->name + strlen(below), value);
    }
    return TRUE;
}

static gboolean open_all(Opening *o, const char *star, const char *from, GError **error)
{
    g_autoptr(SecretRef) ref = secret_ref_value_from(o->scope->region, o->scope->account_id, from);

    if (!ref)
        return fail(error, TASK_RESOURCE, "\"%s\": %s", from,
                    "is no name or ARN of a path or secret of this region and account");
    return ref->is_secret ? open_members(o, star, from, ref, error)
                          : open_path(o, star, from, ref, error);
}

static gboolean open_list(Opening *o, const json_t *list, GError **error)
{
    const json_t *entry;
    size_t n;

    json_array_foreach(list, n, entry)
    {
        const char *name = tree_text(entry, "name"), *from = tree_text(entry, "valueFrom");
        if (name && from && g_str_has_suffix(name, "*")) {
            if (!open_all(o, name, from, error))
                return FALSE;
            continue;
        }
        g_autofree char *value = from ? open_one(o, from, error) : NULL;
        if (!value)
            return FALSE;
        json_object_set_new(o->values, name, json_string(value));
    }
    return TRUE;
}

/* -- where values go */

static json_t *opened(DbTx *tx, const SecretScope *scope, const json_t *list, GError **error)
{
    json_auto_t *values = json_object();
    Opening o = { .tx = tx, .scope = scope, .values = values };

    return open_list(&o, list, error) ? json_incref(values) : NULL;
}

static gboolean apply_environment(DbTx *tx, const SecretScope *scope, json_t *container,
                                  GError **error)
{
    json_auto_t *values = opened(tx, scope, json_object_get(container, "secrets"), error);
    json_t *environment = json_object_get(container, "environment");
    const char *name;
    json_t *value;

    if (!values)
        return FALSE;
    if (!environment) {
        environment = json_array();
        json_object_set_new(container, "environment", environment);
    }
    json_object_foreach(values, name, value)
        json_array_append_new(environment, json_pack("{s:s, s:O}", "name", name, "value", value));
    return TRUE;
}

static gboolean apply_log_options(DbTx *tx, const SecretScope *scope, json_t *container,
                                  GError **error)
{
    json_t *log = json_object_get(container, "logConfiguration");
    json_t *options = json_object_get(log, "options");
    json_auto_t *values = opened(tx, scope, json_object_get(log, "secretOptions"), error);

    if (!values)
        return FALSE;
    if (json_object_size(values) && !options)
        json_object_set_new(log, "options", json_copy(values));
    else if (json_object_size(values))
        json_object_update(options, values);
    return TRUE;
}

json_t *task_secrets_apply(DbTx *tx, const SecretScope *scope, const json_t *definition,
                           GError **error)
{
    json_auto_t *copy = json_deep_copy(definition);
    json_t *container;
    size_t n;

    json_array_foreach(json_object_get(copy, "containerDefinitions"), n,
                       container) if (!apply_environment(tx, scope, container, error) ||
                                      !apply_log_options(tx, scope, container, error))
    {
        fail_prefix(error,
                    "ResourceInitializationError: unable to pull secrets of container "
                    "\"%s\"",
                    tree_text(container, "name"));
        return NULL;
    }
    return json_incref(copy);
}

gboolean task_secrets_needed(const json_t *definition)
{
    const json_t *container;
    size_t n;

    json_array_foreach(json_object_get(definition, "containerDefinitions"), n,
                       container) if (json_array_size(json_object_get(container, "secrets")) ||
                                      json_array_size(json_object_get(
                                          json_object_get(container, "logConfiguration"),
                                          "secretOptions"))) return TRUE;
    return FALSE;
}
