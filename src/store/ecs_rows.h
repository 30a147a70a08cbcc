/*
 * store/ecs_rows.h - what the tables of ECS read alike: documents, arrays
 *
 * Callers own results.
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

/* A jsonb column; an empty object when it is NULL. */
json_t *row_json(const PGresult *res, int row, int column);
/* An integer[] column ("{1,2}") as a GArray of gint64; empty when it is NULL. */
GArray *row_ints(const PGresult *res, int row, int column);
/* An integer[] or bigint[] parameter from a GArray of gint64. */
const char *ints_param(DbTx *tx, const GArray *values);
