/*
 * shape/check.h - the check of a tree against its shape
 *
 * Errors name the member by its path with the names of requests ("Filter.1.Value.2").
 * Source: the models' required, enum, min and max traits.
 */
#pragma once

#include "shape/shape.h"

/* Bounds of any request beside those of its shape. */
#define SHAPE_DEPTH_MAX  24
#define SHAPE_LIST_MAX   10000
#define SHAPE_STRING_MAX (256 * 1024)
#define SHAPE_NODES_MAX  100000

/*
 * Checks a request's tree: types, required members, enums, ranges, lengths, characters, bounds.
 * NULLs are taken out. What the shape does not know is refused for EC2 and Query and taken out for
 * JSON, as Amazon does. shape NULL takes an empty object only.
 * Errors: MISSING_PARAMETER,
 * INVALID_PARAMETER, UNKNOWN_PARAMETER, MALFORMED_REQUEST (JSON of the wrong type).
 */
gboolean shape_check(json_t *tree, const Shape *shape, Protocol protocol, GError **error);

/*
 * Checks an answer's tree strictly: a member that the model lacks, or of the wrong type, or a NULL,
 * fails with INTERNAL, naming its path. tree must be an object; shape NULL takes only an empty one.
 * Cheap enough to be called for every answer before its transaction commits.
 */
gboolean shape_check_output(const json_t *tree, const Shape *shape, GError **error);
