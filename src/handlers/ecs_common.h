/*
 * handlers/ecs_common.h - what the actions of ECS share: clusters by reference, pages, failures,
 * tags
 *
 * Callers own results. Errors are those of the store, and INVALID_PARAMETER as noted.
 */
#pragma once

#include "handlers/request.h"
#include "model/ecs_arn.h"
#include "model/task_definition.h"
#include "store/clusters.h"
#include "store/task_definitions.h"

#define ECS_PAGE_MAX 100

/* The ACTIVE cluster that the request's member "cluster" names ("default" when absent). */
Cluster *ecs_cluster(Request *rq, ClusterLock lock, GError **error);
/* The definition that reference names, in status ACTIVE. Errors: ECS_CLIENT with Amazon's texts. */
TaskDefinition *ecs_active_definition(Request *rq, const char *reference, GError **error);

/* ARNs of the request's region and account. */
char *ecs_arn(const Request *rq, const char *type, const char *cluster_name, const char *name);
char *ecs_definition_arn(const Request *rq, const char *family, gint64 revision);

/* One page of a list: nextToken is opaque to clients and holds the key of the last row. */
typedef struct {
    gint64 limit;
    char *after; /* key after which the page begins; NULL for the first */
} Page;
/* From maxResults and nextToken. Error: INVALID_PARAMETER. page_clear frees. */
gboolean page_read(const Request *rq, gint64 fallback, Page *ret_page, GError **error);
void page_clear(Page *page);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Page, page_clear)
/* Puts nextToken into answer when more than limit rows were found; key is that of the last row
 * shown. */
void page_next(json_t *answer, const Page *page, gsize found, const char *key);

/* {arn, reason} into failures; detail may be NULL. */
void failure_add(json_t *failures, const char *arn, const char *reason, const char *detail);
/* Whether the list "include" has this value. */
gboolean request_includes(const Request *rq, const char *value);
/* A list of strings of the request as an array for the store; NULL-terminated, texts borrowed. */
const char **request_texts(const Request *rq, const char *name, gsize *ret_count);

/* Checks tags (count, lengths, reserved prefix). Error: INVALID_PARAMETER. */
gboolean ecs_tags_check(const json_t *tags, GError **error);
/* tags of one resource out of what ecs_tags_of found: [] when it has none. New reference. */
json_t *ecs_tags_shown(const json_t *found, const char *arn);

/* Refuses members of the request that are known but not built, by name. */
gboolean ecs_refuse(const Request *rq, const char *const *members, GError **error);
/* Refuses launch types other than EC2, and capacity providers. */
gboolean ecs_check_launch(const Request *rq, GError **error);
