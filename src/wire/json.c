#include "wire/json.h"

#include "base/errors.h"
#include "shape/text.h"

#include <math.h>
#include <string.h>

#define US_PER_SECOND 1000000.0

typedef json_t *(*Convert)(const json_t *value);

/* Wrong types are passed on as they are: the check by shape names them. */
static json_t *time_from_wire(const json_t *value)
{
    double us = json_number_value(value) * US_PER_SECOND;

    if (!json_is_number(value))
        return json_incref((json_t *)value);
    if (us < (double)SHAPE_TIME_MIN_US || us > (double)SHAPE_TIME_MAX_US)
        return json_string("a time outside the years 1000 to 9999");
    return json_integer((json_int_t)llround(us));
}

/* Milliseconds, as Amazon sends them; whole seconds without a fraction. */
static json_t *time_to_wire(const json_t *value)
{
    if (!json_is_integer(value))
        return json_incref((json_t *)value);
    gint64 us = json_integer_value(value);
    gint64 ms = us >= 0 ? us / 1000 : (us - 999) / 1000;
    return ms % 1000 == 0 ? json_integer(ms / 1000) : json_real((double)ms / 1000.0);
}

/* value with its timestamps converted; parts without any are shared, not copied. */
static json_t *convert(const json_t *value, const Shape *shape, Convert time)
{
    const char *key;
    json_t *child;
    size_t n;

    if (shape->kind == SHAPE_TIMESTAMP)
        return time(value);
    if (!(shape->flags & SHAPE_HAS_TIME))
        return json_incref((json_t *)value);
    const ShapeMember *rows = shape_member_rows(shape);
    if (shape->kind == SHAPE_LIST && json_is_array(value)) {
        json_t *list = json_array();
        json_array_foreach(value, n, child)
            json_array_append_new(list, convert(child, shape_at(rows[0].shape), time));
        return list;
    }
    if (shape->kind == SHAPE_LIST || !json_is_object(value))
        return json_incref((json_t *)value);
    json_t *object = json_object();
    json_object_foreach((json_t *)value, key, child)
    {
        const ShapeMember *member = shape->kind == SHAPE_MAP ? &rows[1] : shape_member(shape, key);
        json_object_set_new_nocheck(object, key,
                                    member ? convert(child, shape_at(member->shape), time)
                                           : json_incref(child));
    }
    return object;
}

json_t *json_decode(const char *text, gsize length, const Shape *shape, GError **error)
{
    json_error_t fault;

    if (length == 0)
        return json_object();
    json_auto_t *tree = json_loadb(text, length, 0, &fault);
    if (!tree)
        return fail_null(error, MALFORMED_REQUEST, "the body is not JSON: %s, at byte %d",
                         fault.text, fault.position);
    if (!json_is_object(tree))
        return fail_null(error, MALFORMED_REQUEST, "the body is not a JSON object");
    return shape ? convert(tree, shape, time_from_wire) : g_steal_pointer(&tree);
}

static int append(const char *text, size_t length, void *out)
{
    g_string_append_len(out, text, (gssize)length);
    return 0;
}

static char *dump(const json_t *tree, gsize *ret_length)
{
    GString *out = g_string_sized_new(1024);

    /* 16 digits write a time's milliseconds and a short fraction such as 0.1 exactly. */
    json_dump_callback(tree, append, out, JSON_COMPACT | JSON_REAL_PRECISION(16));
    *ret_length = out->len;
    return g_string_free(out, FALSE);
}

char *json_encode(const json_t *tree, const Shape *shape, gsize *ret_length)
{
    json_auto_t *wire = shape ? convert(tree, shape, time_to_wire) : json_object();

    return dump(wire, ret_length);
}

char *json_encode_error(const char *code, const char *message, gsize *ret_length)
{
    json_auto_t *body = json_pack("{s:s, s:s}", "__type", code, "message", message);

    return dump(body, ret_length);
}

gboolean json_decode_error(const char *text, gsize length, char **ret_code, char **ret_message)
{
    json_auto_t *body = json_loadb(text, length, 0, NULL);
    const char *type = json_string_value(json_object_get(body, "__type"));
    const char *message = json_string_value(json_object_get(body, "message"));

    if (!type)
        return FALSE;
    if (!message)
        message = json_string_value(json_object_get(body, "Message"));
    const char *hash = strrchr(type, '#');
    const char *name = hash ? hash + 1 : type;
    *ret_code = g_strndup(name, strcspn(name, ":"));
    *ret_message = g_strdup(message ? message : "");
    return TRUE;
}
