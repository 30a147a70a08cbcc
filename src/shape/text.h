/*
 * shape/text.h - leaves of a tree from and to text, as query strings and XML write them
 */
#pragma once

#include "shape/shape.h"

/*
 * A leaf's value from its text in a query string or XML element: numbers in decimal, booleans
 * true/false/1/0 in any case, timestamps ISO 8601. Caller owns the result.
 * Error: INVALID_PARAMETER naming field.
 */
json_t *shape_value_from_text(const Shape *shape, const char *text, const char *field,
                              GError **error);
/* The text of a leaf, as in XML and query strings: timestamps ISO 8601 with milliseconds
 * (PROTOCOL_EC2) or seconds (PROTOCOL_QUERY). Caller frees. Error: INTERNAL when value is not of
 * shape's kind. */
char *shape_value_to_text(const Shape *shape, const json_t *value, Protocol protocol,
                          GError **error);

/* Times that all forms can write: the years 1000 to 9999. */
#define SHAPE_TIME_MIN_US G_GINT64_CONSTANT(-30610224000000000)
#define SHAPE_TIME_MAX_US G_GINT64_CONSTANT(253402300799000000)

/* The beginning of a text, short enough for a message. Caller frees. */
char *shape_excerpt(const char *text);

/* Whether text is base64 with correct padding (RFC 4648, section 4). */
gboolean shape_is_base64(const char *text);
