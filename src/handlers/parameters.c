/* SSM's parameters: named values. Values are sealed before they meet a row. */
#include "base/errors.h"
#include "handlers/public_parameters.h"
#include "handlers/secret_values.h"
#include "handlers/table.h"
#include "model/task_definition.h"
#include "store/parameters.h"

#include <string.h>

#define NAME_MAX_BYTES  1011
#define LEVELS_MAX      15
#define VALUE_MAX_BYTES (8 * 1024)
#define PAGE_MAX        50
#define BY_PATH_MAX     10

static char *parameter_arn(const Request *rq, const char *name)
{
    return g_strdup_printf("arn:aws:ssm:%s:%s:parameter%s%s", rq->region, rq->account_id,
                           *name == '/' ? "" : "/", name);
}

static gboolean check_name(const char *name, GError **error)
{
    guint levels = 0;

    if (strlen(name) > NAME_MAX_BYTES)
        return fail(error, SSM_VALIDATION, "A parameter's name has at most %d characters.",
                    NAME_MAX_BYTES);
    for (const char *at = name; *at; at++) {
        if (!g_ascii_isalnum(*at) && !strchr("_.-/", *at))
            return fail(
                error, SSM_VALIDATION,
                "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed"
                " as a path, it can consist of sub-paths divided by slash symbol; each "
                "sub-path can be formed as a mix of letters, numbers and the following 3 "
                "symbols .-_");
        levels += *at == '/';
    }
    if (strchr(name, '/') && *name != '/')
        return fail(error, SSM_VALIDATION, "Parameter name must be a fully qualified name.");
    if (levels > LEVELS_MAX)
        return fail(error, PARAMETER_HIERARCHY, "A name has at most %d levels.", LEVELS_MAX);
    const char *first = name + (*name == '/');
    if (g_ascii_strncasecmp(first, "aws", 3) == 0 || g_ascii_strncasecmp(first, "ssm", 3) == 0)
        return fail(
            error, SSM_VALIDATION,
            "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive).");
    return TRUE;
}

static gboolean check_value(const char *value, const char *pattern, GError **error)
{
    g_autoptr(GError) cause = NULL;

    if (strlen(value) == 0 || strlen(value) > VALUE_MAX_BYTES)
        return fail(error, SSM_VALIDATION, "A parameter's value has 1 to %d bytes.",
                    VALUE_MAX_BYTES);
    if (!pattern || !*pattern)
        return TRUE;
    g_autoptr(GRegex) regex = g_regex_new(pattern, 0, 0, &cause);
    if (!regex)
        return fail(error, PARAMETER_PATTERN_INVALID, "The pattern is not valid: %s",
                    cause->message);
    if (!g_regex_match(regex, value, 0, NULL))
        return fail(error, PARAMETER_PATTERN,
                    "Parameter value, cannot be validated against allowedPattern: %s", pattern);
    return TRUE;
}

/* What is given back of a parameter, as the request has it. */
static json_t *details_of(const Request *rq, const char *type)
{
    static const char *const members[] = { "Description", "AllowedPattern", "DataType", "Tier" };
    json_t *details = json_object();
    const char *key = request_text(rq, "KeyId");

    for (gsize i = 0; i < G_N_ELEMENTS(members); i++)
        if (request_text(rq, members[i]))
            json_object_set(details, members[i], (json_t *)request_member(rq, members[i]));
    if (strcmp(type, "SecureString") == 0)
        json_object_set_new(details, "KeyId", json_string(key ? key : "alias/aws/ssm"));
    return details;
}

/* The type of a first version must be told; later ones keep it. */
static const char *type_of(const Request *rq, const Parameter *old, GError **error)
{
    const char *type = request_text(rq, "Type");

    if (!type && !old)
        return fail_null(error, SSM_VALIDATION,
                         "A parameter type is required when you create a parameter.");
    return type ? type : old->type;
}

json_t *put_parameter(Request *rq, GError **error)
{
    const char *name = request_text(rq, "Name"), *value = request_text(rq, "Value");
    const char *pattern = request_text(rq, "AllowedPattern");
    g_autoptr(GError) cause = NULL;
    gint64 version = 0;

    if (request_text(rq, "Policies") || json_array_size(request_member(rq, "Tags")))
        return fail_null(error, UNSUPPORTED, "Policies and Tags are not supported here.");
    if (!check_name(name, error))
        return NULL;
    g_autoptr(Parameter) old = parameters_find(rq->tx, rq->account_id, name, 0, &cause);
    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    const char *type = type_of(rq, old, error);
    if (!type ||
        !check_value(value, pattern || !old ? pattern : tree_text(old->details, "AllowedPattern"),
                     error))
        return NULL;
    g_autofree char *sealed = crypto_seal(rq->context->master_key, value);
    json_auto_t *details = details_of(rq, type);
    const Parameter row = { .name = (char *)name,
                            .type = (char *)type,
                            .sealed = sealed,
                            .modified_by = rq->identity->principal_arn,
                            .details = details };
    if (!parameters_put(rq->tx, rq->account_id, &row, request_bool(rq, "Overwrite", FALSE),
                        &version, error))
        return NULL;
    return json_pack("{s:I, s:s}", "Version", (json_int_t)version, "Tier", "Standard");
}

/* -- reading */

/* As GetParameter shows it. A SecureString's value is its sealed text unless it is to be opened. */
static json_t *parameter_json(const Request *rq, const Parameter *p, GError **error)
{
    gboolean open =
        strcmp(p->type, "SecureString") != 0 || request_bool(rq, "WithDecryption", FALSE);
    const char *data_type = tree_text(p->details, "DataType");
    g_autofree char *value =
        open ? crypto_unseal(rq->context->master_key, p->sealed, error) : g_strdup(p->sealed);
    g_autofree char *arn = parameter_arn(rq, p->name);

    if (!value)
        return NULL;
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s}", "Name", p->name, "Type", p->type,
                     "Value", value, "Version", (json_int_t)p->version, "LastModifiedDate",
                     (json_int_t)p->modified_us, "ARN", arn, "DataType",
                     data_type ? data_type : "text");
}

/* The parameter that a reference names: "name", "name:version" or its ARN. NULL without an error
 * when there is none. */
static json_t *read_one(Request *rq, const char *reference, GError **error)
{
    g_autoptr(SecretRef) ref = secret_ref_parameter(rq->region, rq->account_id, reference);
    g_autoptr(GError) cause = NULL;

    if (ref && public_parameter_is(ref->name))
        return public_parameter(rq, ref->name, error);
    g_autoptr(Parameter) p =
        ref ? secret_values_parameter(rq->tx, rq->account_id, ref, &cause) : NULL;
    if (!p) {
        if (cause)
            g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    json_t *tree = parameter_json(rq, p, error);
    if (tree && ref->version)
        json_object_set_new(tree, "Selector", json_sprintf(":%" G_GINT64_FORMAT, ref->version));
    return tree;
}

json_t *get_parameter(Request *rq, GError **error)
{
    const char *reference = request_text(rq, "Name");
    g_autoptr(GError) cause = NULL;
    json_t *found = read_one(rq, reference, &cause);

    if (found)
        return json_pack("{s:o}", "Parameter", found);
    if (!cause && strchr(reference, ':') && !g_str_has_prefix(reference, "arn:"))
        return fail_null(error, PARAMETER_VERSION_NOT_FOUND,
                         "Systems Manager could not find version %s of %.*s.",
                         strchr(reference, ':') + 1, (int)strcspn(reference, ":"), reference);
    if (!cause)
        return fail_null(error, PARAMETER_NOT_FOUND, "Parameter %s not found.", reference);
    g_propagate_error(error, g_steal_pointer(&cause));
    return NULL;
}

json_t *get_parameters(Request *rq, GError **error)
{
    json_auto_t *found = json_array(), *unknown = json_array();
    const json_t *reference;
    size_t n;

    json_array_foreach(request_member(rq, "Names"), n, reference)
    {
        g_autoptr(GError) cause = NULL;
        json_t *parameter = read_one(rq, json_string_value(reference), &cause);
        if (cause) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return NULL;
        }
        if (parameter)
            json_array_append_new(found, parameter);
        else
            json_array_append(unknown, (json_t *)reference);
    }
    return json_pack("{s:O, s:O}", "Parameters", found, "InvalidParameters", unknown);
}

/* One page of newest versions, each shown by show; NextToken is the last name. */
static json_t *page_of(Request *rq, ParameterRange range, gint64 most,
                       json_t *(*show)(const Request *, const Parameter *, GError **),
                       GError **error)
{
    gint64 limit = MIN(request_int(rq, "MaxResults", most), most);
    json_auto_t *list = json_array();

    range.after = request_text(rq, "NextToken");
    range.limit = limit + 1;
    g_autoptr(GPtrArray) found = parameters_list(rq->tx, rq->account_id, &range, error);
    if (!found)
        return NULL;
    for (guint i = 0; i < found->len && i < limit; i++) {
        json_t *item = show(rq, found->pdata[i], error);
        if (!item)
            return NULL;
        json_array_append_new(list, item);
    }
    json_t *answer = json_pack("{s:O}", "Parameters", list);
    if (found->len > limit)
        json_object_set_new(answer, "NextToken",
                            json_string(((const Parameter *)found->pdata[limit - 1])->name));
    return answer;
}

json_t *get_parameters_by_path(Request *rq, GError **error)
{
    const char *path = request_text(rq, "Path");
    g_autofree char *below = g_strconcat(path, g_str_has_suffix(path, "/") ? "" : "/", NULL);

    if (*path != '/')
        return fail_null(error, SSM_VALIDATION, "The parameter path must begin with a slash (/).");
    if (json_array_size(request_member(rq, "ParameterFilters")))
        return fail_null(error, UNSUPPORTED, "ParameterFilters is not supported with a path here.");
    return page_of(
        rq, (ParameterRange){ .below = below, .recursive = request_bool(rq, "Recursive", FALSE) },
        BY_PATH_MAX, parameter_json, error);
}

static json_t *metadata_json(const Request *rq G_GNUC_UNUSED, const Parameter *p,
                             GError **error G_GNUC_UNUSED)
{
    static const char *const members[] = { "Description", "AllowedPattern", "KeyId" };
    const char *data_type = tree_text(p->details, "DataType");
    json_t *tree =
        json_pack("{s:s, s:s, s:I, s:s, s:I, s:s, s:s, s:[]}", "Name", p->name, "Type", p->type,
                  "LastModifiedDate", (json_int_t)p->modified_us, "LastModifiedUser",
                  p->modified_by, "Version", (json_int_t)p->version, "Tier", "Standard", "DataType",
                  data_type ? data_type : "text", "Policies");

    for (gsize i = 0; i < G_N_ELEMENTS(members); i++)
        if (tree_text(p->details, members[i]))
            json_object_set(tree, members[i], json_object_get(p->details, members[i]));
    return tree;
}

/* A filter of one name (Equals) or one beginning (BeginsWith, or Path) is what there is here. */
static gboolean read_filter(const Request *rq, char **ret_equal, char **ret_below, GError **error)
{
    const json_t *filters = request_member(rq, "ParameterFilters");
    const json_t *filter = json_array_get(filters, 0);
    const json_t *values = json_object_get(filter, "Values");
    const char *key = tree_text(filter, "Key"), *option = tree_text(filter, "Option");
    const char *value = json_string_value(json_array_get(values, 0));
    gboolean name = g_strcmp0(key, "Name") == 0;

    if (json_array_size(request_member(rq, "Filters")))
        return fail(error, UNSUPPORTED, "Filters is not supported here: use ParameterFilters.");
    if (!filter)
        return TRUE;
    if (json_array_size(filters) > 1 || json_array_size(values) != 1 ||
        (!name && g_strcmp0(key, "Path") != 0))
        return fail(
            error, UNSUPPORTED,
            "Of ParameterFilters one with the key Name or Path and one value is supported.");
    if (name && g_strcmp0(option, "BeginsWith") != 0)
        *ret_equal = g_strdup(value);
    else
        *ret_below = g_strconcat(value, name || g_str_has_suffix(value, "/") ? "" : "/", NULL);
    return TRUE;
}

json_t *describe_parameters(Request *rq, GError **error)
{
    g_autofree char *equal = NULL, *below = NULL;
    g_autoptr(GError) cause = NULL;

    if (!read_filter(rq, &equal, &below, error))
        return NULL;
    if (!equal)
        return page_of(rq, (ParameterRange){ .below = below, .recursive = TRUE }, PAGE_MAX,
                       metadata_json, error);
    g_autoptr(Parameter) p = parameters_find(rq->tx, rq->account_id, equal, 0, &cause);
    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    json_t *list = json_array();
    if (p)
        json_array_append_new(list, metadata_json(rq, p, error));
    return json_pack("{s:o}", "Parameters", list);
}

json_t *get_parameter_history(Request *rq, GError **error)
{
    const char *name = request_text(rq, "Name");
    json_auto_t *list = json_array();
    g_autoptr(GPtrArray) versions = parameters_history(rq->tx, rq->account_id, name, error);

    if (!versions)
        return NULL;
    if (versions->len == 0)
        return fail_null(error, PARAMETER_NOT_FOUND, "Parameter %s not found.", name);
    for (guint i = 0; i < versions->len; i++) {
        const Parameter *p = versions->pdata[i];
        json_auto_t *value = parameter_json(rq, p, error);
        json_t *tree = value ? metadata_json(rq, p, error) : NULL;
        if (!tree)
            return NULL;
        json_object_set(tree, "Value", json_object_get(value, "Value"));
        json_object_set_new(tree, "Labels", json_array());
        json_array_append_new(list, tree);
    }
    return json_pack("{s:O}", "Parameters", list);
}

/* -- going */

json_t *delete_parameter(Request *rq, GError **error)
{
    const char *const names[] = { request_text(rq, "Name"), NULL };
    g_autoptr(GPtrArray) gone = parameters_delete(rq->tx, rq->account_id, names, error);

    if (gone && gone->len == 0)
        return fail_null(error, PARAMETER_NOT_FOUND, "Parameter %s not found.", names[0]);
    return gone ? json_object() : NULL;
}

json_t *delete_parameters(Request *rq, GError **error)
{
    const json_t *list = request_member(rq, "Names"), *name;
    g_autofree const char **names = g_new0(const char *, json_array_size(list) + 1);
    json_t *deleted = json_array(), *unknown = json_array();
    size_t n;

    json_array_foreach(list, n, name) names[n] = json_string_value(name);
    g_autoptr(GPtrArray) gone = parameters_delete(rq->tx, rq->account_id, names, error);
    for (n = 0; gone && names[n]; n++)
        json_array_append_new(
            g_ptr_array_find_with_equal_func(gone, names[n], g_str_equal, NULL) ? deleted : unknown,
            json_string(names[n]));
    json_t *answer =
        json_pack("{s:o, s:o}", "DeletedParameters", deleted, "InvalidParameters", unknown);
    if (gone)
        return answer;
    json_decref(answer);
    return NULL;
}
