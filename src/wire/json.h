/*
 * wire/json.h - requests, answers and errors of AWS JSON 1.1
 *
 * On the wire a timestamp is a number of seconds since 1970 with a fraction, in trees an integer of
 * microseconds. An empty body is {}. Source: AWS JSON 1.1 protocol.
 */
#pragma once

#include "shape/shape.h"

/* The tree of length bytes of text, timestamps converted by shape (NULL: none), not yet checked.
 * Error: MALFORMED_REQUEST. */
json_t *json_decode(const char *text, gsize length, const Shape *shape, GError **error);
/* The text of a tree; shape NULL or an empty tree gives {}. Caller frees. */
char *json_encode(const json_t *tree, const Shape *shape, gsize *ret_length);
/* {"__type": code, "message": message} */
char *json_encode_error(const char *code, const char *message, gsize *ret_length);
/* Code (without namespace and URL) and message of an error body; FALSE when it is none. */
gboolean json_decode_error(const char *text, gsize length, char **ret_code, char **ret_message);
