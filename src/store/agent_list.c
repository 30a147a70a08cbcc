#include "store/agent_list.h"

void agent_free(Agent *agent)
{
    g_free(agent->instance_id);
    g_free(agent->container_instance_id);
    g_free(agent->status);
    g_free(agent->version);
    g_free(agent->docker_version);
    g_free(agent->wanted_sha256);
    g_free(agent->seen_sha256);
    g_free(agent->bootstrap);
    external_instance_free(agent->external);
    g_free(agent);
}

static ExternalInstance *external_from_row(const PGresult *res, int row, int c)
{
    if (!db_text(res, row, c))
        return NULL;
    ExternalInstance *x = g_new0(ExternalInstance, 1);
    x->id = g_strdup(db_text(res, row, c++));
    x->cluster_name = g_strdup(db_text(res, row, c++));
    x->zone_name = g_strdup(db_text(res, row, c++));
    x->address = g_strdup(db_text(res, row, c++));
    x->port = db_int64(res, row, c++);
    x->ssh_user = g_strdup(db_text(res, row, c++));
    x->docker_socket = g_strdup(db_text(res, row, c++));
    x->folder = g_strdup(db_text(res, row, c++));
    return x;
}

GPtrArray *agents_of_cluster(DbTx *tx, gint64 cluster_id, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT ci.ec2_instance_id, ci.container_instance_id, ci.status,"
        " ci.channel_owner IS NOT NULL, " DB_US(
            "ci.connected_at") ", ci.agent_version,"
                               " ci.docker_version, b.agent_image_sha256, "
                               "b.seen_agent_image_sha256,"
                               " coalesce(b.fault, b.stage || coalesce(': ' || r.last_error, '')), "
                               "x.instance_id,"
                               " x.cluster_name, x.zone_name, x.address, x.port, x.ssh_user, "
                               "x.docker_socket, x.folder"
                               " FROM container_instances ci"
                               " LEFT JOIN bootstraps b ON b.instance_id = ci.ec2_instance_id"
                               " LEFT JOIN retries r ON r.kind = 'bootstrap' AND r.object_id = "
                               "b.instance_id"
                               " LEFT JOIN external_instances x ON x.instance_id = "
                               "ci.ec2_instance_id"
                               " WHERE ci.cluster_id = $1 AND ci.status <> 'INACTIVE' ORDER BY "
                               "ci.ci_id",
        DB_ARGS(db_int(tx, cluster_id)));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)agent_free);
    for (int row = 0; row < PQntuples(res); row++) {
        Agent *a = g_new0(Agent, 1);
        a->instance_id = g_strdup(db_text(res, row, 0));
        a->container_instance_id = g_strdup(db_text(res, row, 1));
        a->status = g_strdup(db_text(res, row, 2));
        a->connected = db_truth(res, row, 3);
        a->connected_us = db_int64(res, row, 4);
        a->version = g_strdup(db_text(res, row, 5));
        a->docker_version = g_strdup(db_text(res, row, 6));
        a->wanted_sha256 = g_strdup(db_text(res, row, 7));
        a->seen_sha256 = g_strdup(db_text(res, row, 8));
        a->bootstrap = g_strdup(db_text(res, row, 9));
        a->external = external_from_row(res, row, 10);
        g_ptr_array_add(list, a);
    }
    return list;
}
