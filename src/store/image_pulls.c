#include "store/image_pulls.h"

#include <stdlib.h>

gboolean image_pulls_tell(DbTx *tx, const json_t *pulls, GError **error)
{
    char *text = json_dumps(pulls, JSON_COMPACT);
    gboolean done = db_exec(
        tx, error,
        "INSERT INTO image_pulls (task_key, container, status, percent, current_bytes,"
        " total_bytes, layers, layers_done, reason)"
        " SELECT t.task_key, p.container, p.status, p.percent, p.current, p.total, p.layers,"
        "  p.layers_done, p.reason"
        " FROM jsonb_to_recordset($1::jsonb) AS p (ci bigint, task text, container text,"
        "  status text, percent integer, current bigint, total bigint, layers integer,"
        "  layers_done integer, reason text)"
        " JOIN tasks t ON t.task_id = p.task AND t.ci_id = p.ci"
        " JOIN containers c ON c.task_key = t.task_key AND c.name = p.container"
        " ORDER BY 1, 2"
        " ON CONFLICT (task_key, container) DO UPDATE SET status = EXCLUDED.status,"
        " percent = EXCLUDED.percent, current_bytes = EXCLUDED.current_bytes,"
        " total_bytes = EXCLUDED.total_bytes, layers = EXCLUDED.layers,"
        " layers_done = EXCLUDED.layers_done, reason = EXCLUDED.reason, told_at = now()",
        DB_ARGS(text), NULL);

    free(text);
    return done;
}

void image_pull_free(ImagePull *pull)
{
    if (!pull)
        return;
    g_free(pull->task_id);
    g_free(pull->container);
    g_free(pull->image);
    g_free(pull->status);
    g_free(pull->reason);
    g_free(pull);
}

#define TOLD_US DB_US("p.told_at")

GPtrArray *image_pulls_of(DbTx *tx, gint64 cluster_id, const char *const *task_ids, gsize count,
                          GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT t.task_id, c.name, c.image, p.status, p.percent, p.current_bytes,"
                 " p.total_bytes, p.layers, p.layers_done, p.reason, " TOLD_US
                 " FROM tasks t JOIN containers c USING (task_key)"
                 " JOIN image_pulls p ON p.task_key = c.task_key AND p.container = c.name"
                 " WHERE t.cluster_id = $1 AND t.task_id = ANY($2::text[])"
                 "  AND c.last_status IN ('PROVISIONING', 'PENDING')"
                 " ORDER BY t.task_key, c.name",
                 DB_ARGS(db_int(tx, cluster_id), db_text_array(tx, task_ids, (gssize)count)));
    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)image_pull_free);
    for (int row = 0; row < PQntuples(res); row++) {
        ImagePull *pull = g_new0(ImagePull, 1);
        *pull = (ImagePull){ .task_id = g_strdup(db_text(res, row, 0)),
                             .container = g_strdup(db_text(res, row, 1)),
                             .image = g_strdup(db_text(res, row, 2)),
                             .status = g_strdup(db_text(res, row, 3)),
                             .percent = db_int64(res, row, 4),
                             .current_bytes = db_int64(res, row, 5),
                             .total_bytes = db_int64(res, row, 6),
                             .layers = db_int64(res, row, 7),
                             .layers_done = db_int64(res, row, 8),
                             .reason = g_strdup(db_text(res, row, 9)),
                             .told_us = db_int64(res, row, 10) };
        g_ptr_array_add(list, pull);
    }
    return list;
}
