/*
 * wire/query.h - requests of EC2 Query and AWS Query between form fields and tree
 *
 * EC2: Filter.1.Value.2=x. AWS Query: Tags.member.1.Key=x, maps Name.entry.1.key=x; "Name=" is an
 * empty list. List numbers may have gaps and are sorted. Source: AWS Query and EC2 Query protocols.
 */
#pragma once

#include "shape/shape.h"
#include "wire/form.h"

/* The typed, not yet checked tree of a request; input NULL takes no parameter.
 * Errors: UNKNOWN_PARAMETER, INVALID_PARAMETER, each naming the field. */
json_t *query_decode(const Form *form, const Shape *input, Protocol protocol, GError **error);
/* Action=...&Version=...&... from a tree. Error: INVALID_PARAMETER. Caller frees. */
char *query_encode(const char *action, const char *version, const json_t *tree, const Shape *input,
                   Protocol protocol, GError **error);
