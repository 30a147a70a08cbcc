#include "store/manifests.h"
#include "store/channels.h"

#define TAKES_MANIFESTS "'[{\"name\": \"ecs.capability.full-sync\"}]'"
#define AGENT_HASH      "berth" /* what our agent says for the commit it is of */
#define TO_RUN_HERE     "ci_id = $1 AND desired_status = 'RUNNING' AND last_status <> 'STOPPED'"

static char **first_column(const PGresult *res)
{
    char **list = g_new0(char *, PQntuples(res) + 1);

    for (int row = 0; row < PQntuples(res); row++)
        list[row] = g_strdup(db_text(res, row, 0));
    return list;
}

static void manifest_task_free(gpointer data)
{
    ManifestTask *task = data;

    g_free(task->task_id);
    g_free(task);
}

static GPtrArray *tasks_to_run(DbTx *tx, const char *ci_id, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error, "SELECT task_id, NOT (" CHANNELS_UNACKED ") FROM tasks WHERE " TO_RUN_HERE,
        DB_ARGS(ci_id));
    if (!res)
        return NULL;
    GPtrArray *tasks = g_ptr_array_new_with_free_func(manifest_task_free);
    for (int row = 0; row < PQntuples(res); row++) {
        ManifestTask *task = g_new0(ManifestTask, 1);
        task->task_id = g_strdup(db_text(res, row, 0));
        task->acknowledged = db_truth(res, row, 1);
        g_ptr_array_add(tasks, task);
    }
    return tasks;
}

/* The number first: its row's lock keeps a payload from being numbered before the tasks are read.
 */
GPtrArray *manifests_make(DbTx *tx, gint64 ci_id, gint64 *ret_timeline, gboolean *ret_own,
                          GError **error)
{
    const char *id = db_int(tx, ci_id);
    g_autoptr(PGresult) numbered = db_query(
        tx, error,
        "UPDATE container_instances SET sequence = " CHANNELS_SEQUENCE " + 1 WHERE ci_id = $1"
        " AND status <> 'INACTIVE' AND attributes @> " TAKES_MANIFESTS
        " RETURNING sequence, coalesce(agent_hash = '" AGENT_HASH "', false)",
        DB_ARGS(id));

    if (!numbered)
        return NULL;
    *ret_timeline = PQntuples(numbered) > 0 ? db_int64(numbered, 0, 0) : 0;
    if (!*ret_timeline)
        return g_ptr_array_new();
    *ret_own = db_truth(numbered, 0, 1);
    return tasks_to_run(tx, id, error);
}

char **manifests_strays(DbTx *tx, gint64 ci_id, const char *const *task_ids, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT DISTINCT named FROM unnest($2::text[]) AS named WHERE NOT EXISTS"
                 " (SELECT 1 FROM tasks WHERE task_id = named AND " TO_RUN_HERE ")",
                 DB_ARGS(db_int(tx, ci_id), db_text_array(tx, task_ids, -1)));

    return res ? first_column(res) : NULL;
}
