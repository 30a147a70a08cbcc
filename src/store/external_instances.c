#include "store/external_instances.h"

void external_instance_free(ExternalInstance *instance)
{
    if (!instance)
        return;
    g_free(instance->id);
    g_free(instance->cluster_name);
    g_free(instance->zone_name);
    g_free(instance->address);
    g_free(instance->ssh_user);
    g_free(instance->docker_socket);
    g_free(instance->folder);
    g_free(instance);
}

gboolean external_instances_add(DbTx *tx, const char *account_id, const ExternalInstance *instance,
                                GError **error)
{
    return db_exec(tx, error,
                   "INSERT INTO external_instances (instance_id, account_id, cluster_name,"
                   " zone_name, address, port, ssh_user, docker_socket, folder)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                   DB_ARGS(instance->id, account_id, instance->cluster_name, instance->zone_name,
                           instance->address, db_int(tx, instance->port), instance->ssh_user,
                           instance->docker_socket, instance->folder),
                   NULL);
}

ExternalInstance *external_instances_find(DbTx *tx, const char *account_id, const char *id,
                                          GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT instance_id, cluster_name, zone_name, address, port, ssh_user,"
                 " docker_socket, folder FROM external_instances"
                 " WHERE account_id = $1 AND instance_id = $2 AND removed_at IS NULL",
                 DB_ARGS(account_id, id));

    if (!res || PQntuples(res) == 0)
        return NULL;
    ExternalInstance *instance = g_new0(ExternalInstance, 1);
    instance->id = g_strdup(db_text(res, 0, 0));
    instance->cluster_name = g_strdup(db_text(res, 0, 1));
    instance->zone_name = g_strdup(db_text(res, 0, 2));
    instance->address = g_strdup(db_text(res, 0, 3));
    instance->port = db_int64(res, 0, 4);
    instance->ssh_user = g_strdup(db_text(res, 0, 5));
    instance->docker_socket = g_strdup(db_text(res, 0, 6));
    instance->folder = g_strdup(db_text(res, 0, 7));
    return instance;
}

gboolean external_instances_remove(DbTx *tx, const char *account_id, const char *id, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE external_instances SET removed_at = now()"
                   " WHERE account_id = $1 AND instance_id = $2 AND removed_at IS NULL",
                   DB_ARGS(account_id, id), NULL);
}
