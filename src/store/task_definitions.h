/*
 * store/task_definitions.h - rows of table "task_definitions" and its families
 *
 * Revisions count up for each family and are never used again. Memory is MiB, CPU is units, times
 * are UTC microseconds. handlers/ writes. Errors: TX_CONFLICT, UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "model/task_definition.h"
#include "store/db.h"

typedef struct {
    gint64 id;
    char *family;
    gint64 revision;
    char *status;       /* ACTIVE, INACTIVE, DELETE_IN_PROGRESS */
    json_t *definition; /* as task_definition_normalise gave it */
    char *registered_by;
    gint64 registered_us;
    gint64 deregistered_us; /* 0: never */
} TaskDefinition;

void task_definition_free(TaskDefinition *definition);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TaskDefinition, task_definition_free)

/* Adds the family's next revision. */
TaskDefinition *task_definitions_add(DbTx *tx, const char *account_id, const char *family,
                                     const json_t *definition, const char *registered_by,
                                     GError **error);
/* The revision, or with 0 the latest ACTIVE one; *ret_definition is NULL when there is none. */
gboolean task_definitions_find(DbTx *tx, const char *account_id, const char *family,
                               gint64 revision, TaskDefinition **ret_definition, GError **error);
/* Those of ids that exist, by id: a GHashTable of gint64 * to TaskDefinition. */
GHashTable *task_definitions_by_id(DbTx *tx, const gint64 *ids, gsize count, GError **error);
gboolean task_definitions_deregister(DbTx *tx, TaskDefinition *definition, GError **error);

typedef struct {
    char *family;
    gint64 revision;
} TaskDefinitionName;
/* Names after (after_family, after_revision) in the order asked for, at most limit. family NULL:
 * all. A GArray of TaskDefinitionName, freed with its texts by g_array_unref. */
GArray *task_definitions_list(DbTx *tx, const char *account_id, const char *family,
                              const char *status, gboolean descending, const char *after_family,
                              gint64 after_revision, gint64 limit, GError **error);
/* Families that begin with prefix and hold a revision of this status ("ALL": any). A GPtrArray. */
GPtrArray *task_definitions_families(DbTx *tx, const char *account_id, const char *prefix,
                                     const char *status, const char *after, gint64 limit,
                                     GError **error);
