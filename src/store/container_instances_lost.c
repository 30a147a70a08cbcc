#include "store/container_instances_lost.h"

gboolean container_instances_wake(DbTx *tx, const char *ec2_instance_id, GError **error)
{
    return db_exec(tx, error,
                   "SELECT pg_notify('berth_wake', 'container_instance:' || ci_id)"
                   " FROM container_instances WHERE ec2_instance_id = $1"
                   " AND status <> 'INACTIVE'",
                   DB_ARGS(ec2_instance_id), NULL);
}

gboolean container_instances_registered(DbTx *tx, const char *ec2_instance_id,
                                        gboolean *ret_registered, GError **error)
{
    return db_ask(tx, error,
                  "SELECT EXISTS (SELECT FROM container_instances WHERE ec2_instance_id = $1"
                  " AND status <> 'INACTIVE')",
                  DB_ARGS(ec2_instance_id), ret_registered);
}
