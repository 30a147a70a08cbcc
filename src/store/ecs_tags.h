/*
 * store/ecs_tags.h - rows of table "tags" that belong to resources of ECS, named by their ARN
 *
 * Lists of tags are trees as clients send and read them: [{key, value}]. Callers own results.
 * Errors: TX_CONFLICT, UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

/* Adds tags to each of arns or changes their values. type is the resource type ("ecs:task"). */
gboolean ecs_tags_put(DbTx *tx, const char *account_id, const char *type, const char *const *arns,
                      gsize count, const json_t *tags, GError **error);
gboolean ecs_tags_remove(DbTx *tx, const char *account_id, const char *arn, const json_t *keys,
                         GError **error);
/* Takes all tags of a resource away. */
gboolean ecs_tags_clear(DbTx *tx, const char *account_id, const char *arn, GError **error);
/* Tags by ARN: {ARN: [{key, value}]}; a resource without tags is not in it. */
json_t *ecs_tags_of(DbTx *tx, const char *account_id, const char *const *arns, gsize count,
                    GError **error);
/* Copies the tags of one resource to others of this type; tags these have already stay. */
gboolean ecs_tags_copy(DbTx *tx, const char *account_id, const char *from, const char *type,
                       const char *const *arns, gsize count, GError **error);
