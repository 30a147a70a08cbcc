#include "store/task_sessions.h"

static void container_free(gpointer data)
{
    TaskPlaceContainer *c = data;

    g_free(c->name);
    g_free(c->runtime_id);
    g_free(c->last_status);
    g_free(c);
}

void task_place_free(TaskPlace *place)
{
    if (!place)
        return;
    g_free(place->id);
    g_free(place->cluster_name);
    g_free(place->last_status);
    g_free(place->stopped_reason);
    g_free(place->ec2_instance_id);
    g_clear_pointer(&place->containers, g_ptr_array_unref);
    g_free(place);
}

static gboolean read_containers(DbTx *tx, TaskPlace *place, GError **error)
{
    g_autoptr(PGresult) res = db_query(tx, error,
                                       "SELECT name, runtime_id, last_status FROM containers"
                                       " WHERE task_key = $1 ORDER BY position",
                                       DB_ARGS(db_int(tx, place->key)));

    if (!res)
        return FALSE;
    place->containers = g_ptr_array_new_with_free_func(container_free);
    for (int row = 0; row < PQntuples(res); row++) {
        TaskPlaceContainer *c = g_new0(TaskPlaceContainer, 1);
        c->name = g_strdup(db_text(res, row, 0));
        c->runtime_id = g_strdup(db_text(res, row, 1));
        c->last_status = g_strdup(db_text(res, row, 2));
        g_ptr_array_add(place->containers, c);
    }
    return TRUE;
}

TaskPlace *task_places_find(DbTx *tx, const char *account_id, const char *cluster_name,
                            const char *digits, guint *ret_count, GError **error)
{
    /* "g" is the first letter behind the hex digits: the range is an index scan */
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT t.task_key, t.task_id, c.cluster_name, t.last_status, t.stopped_reason,"
                 " ci.ec2_instance_id FROM tasks t JOIN clusters c USING (cluster_id)"
                 " LEFT JOIN container_instances ci ON ci.ci_id = t.ci_id"
                 " WHERE t.account_id = $1 AND ($2::text IS NULL OR c.cluster_name = $2)"
                 " AND t.task_id >= $3 AND t.task_id < $3 || 'g' ORDER BY t.task_id LIMIT 2",
                 DB_ARGS(account_id, cluster_name, digits));

    *ret_count = res ? (guint)PQntuples(res) : 0;
    if (*ret_count == 0)
        return NULL;
    g_autoptr(TaskPlace) place = g_new0(TaskPlace, 1);
    place->key = db_int64(res, 0, 0);
    place->id = g_strdup(db_text(res, 0, 1));
    place->cluster_name = g_strdup(db_text(res, 0, 2));
    place->last_status = g_strdup(db_text(res, 0, 3));
    place->stopped_reason = g_strdup(db_text(res, 0, 4));
    place->ec2_instance_id = g_strdup(db_text(res, 0, 5));
    return read_containers(tx, place, error) ? g_steal_pointer(&place) : NULL;
}
