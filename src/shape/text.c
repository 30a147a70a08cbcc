#include "shape/text.h"

#include "base/clock.h"
#include "base/errors.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXCERPT_CHARACTERS 64

gboolean shape_is_base64(const char *text)
{
    gsize length = strlen(text);
    gsize padding = 0;

    if (length % 4 != 0)
        return FALSE;
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
        padding++;
    for (gsize i = 0; i < length - padding; i++)
        if (!g_ascii_isalnum(text[i]) && text[i] != '+' && text[i] != '/')
            return FALSE;
    return TRUE;
}

static json_t *integer_from_text(const char *text, gint64 min, gint64 max)
{
    char *end = NULL;

    if (!g_ascii_isdigit(text[0]) && !(text[0] == '-' && g_ascii_isdigit(text[1])))
        return NULL;
    errno = 0;
    gint64 value = g_ascii_strtoll(text, &end, 10);
    if (errno != 0 || *end || value < min || value > max)
        return NULL;
    return json_integer(value);
}

static json_t *double_from_text(const char *text)
{
    char *end = NULL;
    double value = g_ascii_strtod(text, &end);

    if (end == text || *end || !isfinite(value))
        return NULL;
    return json_real(value);
}

static json_t *boolean_from_text(const char *text)
{
    if (g_ascii_strcasecmp(text, "true") == 0 || g_str_equal(text, "1"))
        return json_true();
    if (g_ascii_strcasecmp(text, "false") == 0 || g_str_equal(text, "0"))
        return json_false();
    return NULL;
}

static json_t *time_from_text(const char *text)
{
    gint64 us;

    if (!clock_parse_iso(text, &us) || us < SHAPE_TIME_MIN_US || us > SHAPE_TIME_MAX_US)
        return NULL;
    return json_integer(us);
}

static json_t *leaf_from_text(const Shape *shape, const char *text, const char **ret_expected)
{
    switch (shape->kind) {
    case SHAPE_STRING:
        *ret_expected = "UTF-8 text";
        return json_string(text);
    case SHAPE_BLOB:
        *ret_expected = "base64";
        return shape_is_base64(text) ? json_string(text) : NULL;
    case SHAPE_INTEGER:
        *ret_expected = "an integer of 32 bits";
        return integer_from_text(text, G_MININT32, G_MAXINT32);
    case SHAPE_LONG:
        *ret_expected = "an integer of 64 bits";
        return integer_from_text(text, G_MININT64, G_MAXINT64);
    case SHAPE_DOUBLE:
        *ret_expected = "a number";
        return double_from_text(text);
    case SHAPE_BOOLEAN:
        *ret_expected = "true or false";
        return boolean_from_text(text);
    case SHAPE_TIMESTAMP:
        *ret_expected = "a time in ISO 8601";
        return time_from_text(text);
    default:
        *ret_expected = "a set of parameters below this name";
        return NULL;
    }
}

char *shape_excerpt(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    return g_utf8_strlen(valid, -1) > EXCERPT_CHARACTERS
               ? g_utf8_substring(valid, 0, EXCERPT_CHARACTERS)
               : g_steal_pointer(&valid);
}

json_t *shape_value_from_text(const Shape *shape, const char *text, const char *field,
                              GError **error)
{
    const char *expected;
    json_t *value = leaf_from_text(shape, text, &expected);

    if (!value) {
        g_autofree char *shown = shape_excerpt(text);
        return fail_null(error, INVALID_PARAMETER,
                         "Value (%s) for parameter %s is invalid. Expected %s", shown, field,
                         expected);
    }
    return value;
}

static char *time_to_text(gint64 us, Protocol protocol)
{
    char buffer[CLOCK_ISO_SIZE];

    return g_strdup(protocol == PROTOCOL_EC2 ? clock_iso_ms(us, buffer) : clock_iso_s(us, buffer));
}

static char *double_to_text(double value)
{
    char buffer[G_ASCII_DTOSTR_BUF_SIZE];

    return g_strdup(g_ascii_formatd(buffer, sizeof buffer, "%.16g", value));
}

char *shape_value_to_text(const Shape *shape, const json_t *value, Protocol protocol,
                          GError **error)
{
    switch (shape->kind) {
    case SHAPE_STRING:
    case SHAPE_BLOB:
        if (json_is_string(value))
            return g_strdup(json_string_value(value));
        break;
    case SHAPE_INTEGER:
    case SHAPE_LONG:
        if (json_is_integer(value))
            return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case SHAPE_DOUBLE:
        if (json_is_number(value))
            return double_to_text(json_number_value(value));
        break;
    case SHAPE_BOOLEAN:
        if (json_is_boolean(value))
            return g_strdup(json_is_true(value) ? "true" : "false");
        break;
    case SHAPE_TIMESTAMP:
        if (json_is_integer(value))
            return time_to_text(json_integer_value(value), protocol);
        break;
    default:
        break;
    }
    return fail_null(error, INTERNAL, "value of shape \"%s\" has the wrong type",
                     shape_text(shape->name));
}
