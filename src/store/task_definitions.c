#include "store/task_definitions.h"
#include "base/errors.h"
#include "store/ecs_rows.h"

#define COLUMNS                                                                                    \
    "task_definition_id, family, revision, status, definition, registered_by, " DB_US(             \
        "registered_at") ", " DB_US("deregistered_at")

void task_definition_free(TaskDefinition *definition)
{
    if (!definition)
        return;
    g_free(definition->family);
    g_free(definition->status);
    json_decref(definition->definition);
    g_free(definition->registered_by);
    g_free(definition);
}

static TaskDefinition *definition_from_row(const PGresult *res, int row)
{
    TaskDefinition *definition = g_new0(TaskDefinition, 1);

    definition->id = db_int64(res, row, 0);
    definition->family = g_strdup(db_text(res, row, 1));
    definition->revision = db_int64(res, row, 2);
    definition->status = g_strdup(db_text(res, row, 3));
    definition->definition = row_json(res, row, 4);
    definition->registered_by = g_strdup(db_text(res, row, 5));
    definition->registered_us = db_int64(res, row, 6);
    definition->deregistered_us = db_int64(res, row, 7);
    return definition;
}

TaskDefinition *task_definitions_add(DbTx *tx, const char *account_id, const char *family,
                                     const json_t *definition, const char *registered_by,
                                     GError **error)
{
    g_autoptr(TaskHold) hold = task_definition_hold(definition, NULL);
    g_autofree char *text = json_dumps(definition, JSON_COMPACT);
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "WITH next AS (INSERT INTO task_definition_families (account_id, family, last_revision)"
        "   VALUES ($1, $2, 1) ON CONFLICT (account_id, family)"
        "   DO UPDATE SET last_revision = task_definition_families.last_revision + 1"
        "   RETURNING last_revision)"
        " INSERT INTO task_definitions (account_id, family, revision, definition, cpu, memory_mib,"
        "   ports_tcp, ports_udp, registered_by)"
        " SELECT $1, $2, last_revision, $3::jsonb, $4, $5, $6::integer[], $7::integer[], $8"
        " FROM next RETURNING " COLUMNS,
        DB_ARGS(account_id, family, text, db_int(tx, hold->cpu), db_int(tx, hold->memory_mib),
                ints_param(tx, hold->ports_tcp), ints_param(tx, hold->ports_udp), registered_by));

    return res ? definition_from_row(res, 0) : NULL;
}

gboolean task_definitions_find(DbTx *tx, const char *account_id, const char *family,
                               gint64 revision, TaskDefinition **ret_definition, GError **error)
{
    g_autoptr(PGresult) res =
        revision ? db_query(tx, error,
                            "SELECT " COLUMNS " FROM task_definitions WHERE account_id = $1"
                            " AND family = $2 AND revision = $3",
                            DB_ARGS(account_id, family, db_int(tx, revision)))
                 : db_query(tx, error,
                            "SELECT " COLUMNS " FROM task_definitions WHERE account_id = $1"
                            " AND family = $2 AND status = 'ACTIVE' ORDER BY revision DESC LIMIT 1",
                            DB_ARGS(account_id, family));

    *ret_definition = NULL;
    if (!res)
        return FALSE;
    if (PQntuples(res) > 0)
        *ret_definition = definition_from_row(res, 0);
    return TRUE;
}

GHashTable *task_definitions_by_id(DbTx *tx, const gint64 *ids, gsize count, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT " COLUMNS " FROM task_definitions WHERE task_definition_id = ANY($1::bigint[])",
        DB_ARGS(db_int_array(tx, ids, count)));

    if (!res)
        return NULL;
    GHashTable *found = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                              (GDestroyNotify)task_definition_free);
    for (int row = 0; row < PQntuples(res); row++) {
        TaskDefinition *definition = definition_from_row(res, row);
        g_hash_table_insert(found, &definition->id, definition);
    }
    return found;
}

gboolean task_definitions_deregister(DbTx *tx, TaskDefinition *definition, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "UPDATE task_definitions SET status = 'INACTIVE', deregistered_at = now()"
        " WHERE task_definition_id = $1 AND status = 'ACTIVE' RETURNING " DB_US("deregistered_at"),
        DB_ARGS(db_int(tx, definition->id)));

    if (!res)
        return FALSE;
    if (PQntuples(res) == 0)
        return TRUE;
    g_free(definition->status);
    definition->status = g_strdup("INACTIVE");
    definition->deregistered_us = db_int64(res, 0, 0);
    return TRUE;
}

static void name_clear(gpointer name)
{
    g_free(((TaskDefinitionName *)name)->family);
}

GArray *task_definitions_list(DbTx *tx, const char *account_id, const char *family,
                              const char *status, gboolean descending, const char *after_family,
                              gint64 after_revision, gint64 limit, GError **error)
{
    const char *const *args = DB_ARGS(account_id, family, status, after_family,
                                      db_int(tx, after_revision), db_int(tx, limit));
    g_autoptr(PGresult) res =
        descending ? db_query(tx, error,
                              "SELECT family, revision FROM task_definitions WHERE account_id = $1"
                              " AND ($2::text IS NULL OR family = $2) AND status = $3"
                              " AND ($4::text IS NULL"
                              "  OR (family COLLATE \"C\", revision) < ($4, $5::integer))"
                              " ORDER BY family COLLATE \"C\" DESC, revision DESC LIMIT $6",
                              args)
                   : db_query(tx, error,
                              "SELECT family, revision FROM task_definitions WHERE account_id = $1"
                              " AND ($2::text IS NULL OR family = $2) AND status = $3"
                              " AND ($4::text IS NULL"
                              "  OR (family COLLATE \"C\", revision) > ($4, $5::integer))"
                              " ORDER BY family COLLATE \"C\", revision LIMIT $6",
                              args);

    if (!res)
        return NULL;
    GArray *list = g_array_new(FALSE, FALSE, sizeof(TaskDefinitionName));
    g_array_set_clear_func(list, name_clear);
    for (int row = 0; row < PQntuples(res); row++) {
        TaskDefinitionName name = { g_strdup(db_text(res, row, 0)), db_int64(res, row, 1) };
        g_array_append_val(list, name);
    }
    return list;
}

GPtrArray *task_definitions_families(DbTx *tx, const char *account_id, const char *prefix,
                                     const char *status, const char *after, gint64 limit,
                                     GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT f.family FROM task_definition_families f WHERE account_id = $1"
        " AND ($2::text IS NULL OR starts_with(family, $2)) AND family COLLATE \"C\" > $4"
        " AND EXISTS (SELECT 1 FROM task_definitions d WHERE d.account_id = f.account_id"
        "   AND d.family = f.family AND ($3 = 'ALL' OR d.status = $3)) AND ($3 <> 'INACTIVE'"
        "   OR NOT EXISTS (SELECT 1 FROM task_definitions d WHERE d.account_id = f.account_id"
        "     AND d.family = f.family AND d.status = 'ACTIVE'))"
        " ORDER BY family COLLATE \"C\" LIMIT $5",
        DB_ARGS(account_id, prefix, status, after ? after : "", db_int(tx, limit)));

    return res ? db_texts(res, 0) : NULL;
}
