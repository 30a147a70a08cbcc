#include "shape/check.h"

#include "base/errors.h"
#include "shape/text.h"

#include <string.h>

typedef struct {
    GString *path; /* "Filter.1.Value" */
    Protocol protocol;
    gboolean strict; /* an answer of ours */
    guint nodes;
    GError **error;
} Check;

static gboolean check_value(Check *check, json_t *value, const Shape *shape, guint depth);

static gsize path_push(Check *check, const char *name)
{
    gsize before = check->path->len;

    if (before)
        g_string_append_c(check->path, '.');
    g_string_append(check->path, name);
    return before;
}

static gsize path_push_number(Check *check, gsize number)
{
    char text[24];

    g_snprintf(text, sizeof text, "%" G_GSIZE_FORMAT, number);
    return path_push(check, text);
}

/* An answer of the wrong form is our fault, a request of the wrong form the caller's. */
static gboolean refuse(Check *check, const char *reason)
{
    if (check->strict)
        return fail(check->error, INTERNAL, "answer's member \"%s\" is wrong: %s", check->path->str,
                    reason);
    return fail(check->error, INVALID_PARAMETER, "The parameter %s is invalid: %s",
                check->path->str, reason);
}

static gboolean refuse_type(Check *check, const char *expected)
{
    if (check->strict)
        return fail(check->error, INTERNAL, "answer's member \"%s\" is not %s", check->path->str,
                    expected);
    if (check->protocol == PROTOCOL_JSON)
        return fail(check->error, MALFORMED_REQUEST, "The value of %s is not %s", check->path->str,
                    expected);
    return fail(check->error, INVALID_PARAMETER, "The parameter %s is invalid: it is not %s",
                check->path->str, expected);
}

static gboolean refuse_unknown(Check *check, const char *name)
{
    gsize before = path_push(check, name);

    if (check->strict)
        fail(check->error, INTERNAL, "answer has member \"%s\", which the model lacks",
             check->path->str);
    else
        fail(check->error, UNKNOWN_PARAMETER, "The parameter %s is not recognized",
             check->path->str);
    g_string_truncate(check->path, before);
    return FALSE;
}

static gboolean check_required(Check *check, const json_t *value, const Shape *shape)
{
    const ShapeMember *rows = shape_member_rows(shape);

    if (check->strict)
        return TRUE;
    for (guint i = 0; i < shape->count; i++) {
        if (!(rows[i].flags & MEMBER_REQUIRED) || json_object_get(value, shape_text(rows[i].name)))
            continue;
        path_push(check, shape_text(rows[i].wire_in));
        return fail(check->error, MISSING_PARAMETER, "The request must contain the parameter %s",
                    check->path->str);
    }
    return TRUE;
}

static gboolean check_structure(Check *check, json_t *value, const Shape *shape, guint depth)
{
    const char *key;
    json_t *child;
    void *next;

    if (!json_is_object(value))
        return refuse_type(check, "a structure");
    json_object_foreach_safe(value, next, key, child)
    {
        const ShapeMember *member = shape_member(shape, key);

        if (!check->strict &&
            (json_is_null(child) || (!member && check->protocol == PROTOCOL_JSON))) {
            json_object_del(value, key);
            continue;
        }
        if (!member)
            return refuse_unknown(check, key);
        gsize before = path_push(check, shape_text(member->wire_in));
        if (!check_value(check, child, shape_at(member->shape), depth + 1))
            return FALSE;
        g_string_truncate(check->path, before);
    }
    return check_required(check, value, shape);
}

static gboolean check_range(Check *check, const Shape *shape, double value, const char *of)
{
    const ShapeLimit *limit = &shape_limits[shape->limit];
    g_autofree char *reason = NULL;

    if ((shape->flags & SHAPE_HAS_MIN) && value < (double)limit->min)
        reason = g_strdup_printf("%s is less than %" G_GINT64_FORMAT, of, limit->min);
    else if ((shape->flags & SHAPE_HAS_MAX) && value > (double)limit->max)
        reason = g_strdup_printf("%s is more than %" G_GINT64_FORMAT, of, limit->max);
    return reason ? refuse(check, reason) : TRUE;
}

static gboolean check_list(Check *check, json_t *value, const Shape *shape, guint depth)
{
    const Shape *element = shape_at(shape_member_rows(shape)->shape);
    json_t *child;
    size_t n;

    if (!json_is_array(value))
        return refuse_type(check, "a list");
    if (!check->strict && json_array_size(value) > SHAPE_LIST_MAX)
        return refuse(check, "it has too many elements");
    if (!check->strict && !check_range(check, shape, (double)json_array_size(value), "its length"))
        return FALSE;
    json_array_foreach(value, n, child)
    {
        gsize before = path_push_number(check, n + 1);
        if (!check_value(check, child, element, depth + 1))
            return FALSE;
        g_string_truncate(check->path, before);
    }
    return TRUE;
}

static gboolean check_map(Check *check, json_t *value, const Shape *shape, guint depth)
{
    const Shape *element = shape_at(shape_member_rows(shape)[1].shape);
    const char *key;
    json_t *child;

    if (!json_is_object(value))
        return refuse_type(check, "a map");
    if (!check->strict && json_object_size(value) > SHAPE_LIST_MAX)
        return refuse(check, "it has too many elements");
    json_object_foreach(value, key, child)
    {
        gsize before = path_push(check, key);
        if (!check_value(check, child, element, depth + 1))
            return FALSE;
        g_string_truncate(check->path, before);
    }
    return TRUE;
}

/* XML 1.0 cannot carry other control characters, so that they could never be answered. */
static gboolean has_control(const char *text)
{
    for (const guchar *p = (const guchar *)text; *p; p++) {
        if (*p < 0x20 && *p != '\t' && *p != '\n' && *p != '\r')
            return TRUE;
        if (p[0] == 0xef && p[1] == 0xbf && (p[2] == 0xbe || p[2] == 0xbf))
            return TRUE;
    }
    return FALSE;
}

static gboolean check_string(Check *check, const json_t *value, const Shape *shape)
{
    const char *text = json_string_value(value);

    if (!text)
        return refuse_type(check, "a string");
    if (!shape_enum_has(shape, text)) {
        g_autofree char *shown = shape_excerpt(text);
        g_autofree char *reason = g_strdup_printf("it cannot be \"%s\"", shown);
        return refuse(check, reason);
    }
    if (check->strict)
        return TRUE;
    if (json_string_length(value) > SHAPE_STRING_MAX)
        return refuse(check, "it is too long");
    if (check->protocol != PROTOCOL_JSON && has_control(text))
        return refuse(check, "it has a control character");
    if (!(shape->flags & (SHAPE_HAS_MIN | SHAPE_HAS_MAX)))
        return TRUE;
    return check_range(check, shape, (double)g_utf8_strlen(text, -1), "its length");
}

static gboolean check_integer(Check *check, const json_t *value, const Shape *shape)
{
    if (!json_is_integer(value))
        return refuse_type(check, "an integer");
    json_int_t number = json_integer_value(value);
    if (shape->kind == SHAPE_INTEGER && (number < G_MININT32 || number > G_MAXINT32))
        return refuse_type(check, "an integer of 32 bits");
    return check->strict || check_range(check, shape, (double)number, "its value");
}

static gboolean check_value(Check *check, json_t *value, const Shape *shape, guint depth)
{
    if (!check->strict && depth > SHAPE_DEPTH_MAX)
        return refuse(check, "it is nested too deeply");
    if (!check->strict && ++check->nodes > SHAPE_NODES_MAX)
        return refuse(check, "it makes the request too large");
    switch (shape->kind) {
    case SHAPE_STRUCTURE:
        return check_structure(check, value, shape, depth);
    case SHAPE_LIST:
        return check_list(check, value, shape, depth);
    case SHAPE_MAP:
        return check_map(check, value, shape, depth);
    case SHAPE_STRING:
        return check_string(check, value, shape);
    case SHAPE_INTEGER:
    case SHAPE_LONG:
        return check_integer(check, value, shape);
    case SHAPE_TIMESTAMP:
        return json_is_integer(value) || refuse_type(check, "a time");
    case SHAPE_DOUBLE:
        if (!json_is_number(value))
            return refuse_type(check, "a number");
        return check->strict || check_range(check, shape, json_number_value(value), "its value");
    case SHAPE_BOOLEAN:
        return json_is_boolean(value) || refuse_type(check, "a boolean");
    case SHAPE_BLOB:
        return (json_is_string(value) && shape_is_base64(json_string_value(value))) ||
               refuse_type(check, "base64");
    default:
        g_assert_not_reached();
    }
}

gboolean shape_check(json_t *tree, const Shape *shape, Protocol protocol, GError **error)
{
    g_autoptr(GString) path = g_string_sized_new(128);
    Check check = { .path = path, .protocol = protocol, .error = error };

    if (!json_is_object(tree))
        return fail(error, MALFORMED_REQUEST, "The request is not a structure");
    return check_value(&check, tree, shape ? shape : shape_at(0), 0);
}

gboolean shape_check_output(const json_t *tree, const Shape *shape, GError **error)
{
    g_autoptr(GString) path = g_string_sized_new(128);
    Check check = { .path = path, .strict = TRUE, .error = error };

    if (!json_is_object(tree))
        return fail(error, INTERNAL, "answer is not a structure");
    /* A strict check changes nothing. */
    return check_value(&check, (json_t *)tree, shape ? shape : shape_at(0), 0);
}
