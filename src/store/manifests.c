#include "store/manifests.h"
#include "store/channels.h"

#define TAKES_MANIFESTS "'[{\"name\": \"ecs.capability.full-sync\"}]'"
#define TO_RUN_HERE     "ci_id = $1 AND desired_status = 'RUNNING' AND last_status <> 'STOPPED'"

static char **first_column(const PGresult *res)
{
    char **list = g_new0(char *, PQntuples(res) + 1);

    for (int row = 0; row < PQntuples(res); row++)
        list[row] = g_strdup(db_text(res, row, 0));
    return list;
}

/* The number first: its row's lock keeps a payload from being numbered before the tasks are read.
 */
char **manifests_make(DbTx *tx, gint64 ci_id, gint64 *ret_timeline, GError **error)
{
    const char *id = db_int(tx, ci_id);
    g_autoptr(PGresult) numbered = db_query(
        tx, error,
        "UPDATE container_instances SET sequence = " CHANNELS_SEQUENCE " + 1 WHERE ci_id = $1"
        " AND status <> 'INACTIVE' AND attributes @> " TAKES_MANIFESTS " RETURNING sequence",
        DB_ARGS(id));

    if (!numbered)
        return NULL;
    *ret_timeline = PQntuples(numbered) > 0 ? db_int64(numbered, 0, 0) : 0;
    if (!*ret_timeline)
        return g_new0(char *, 1);
    g_autoptr(PGresult) tasks =
        db_query(tx, error, "SELECT task_id FROM tasks WHERE " TO_RUN_HERE, DB_ARGS(id));
    return tasks ? first_column(tasks) : NULL;
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
