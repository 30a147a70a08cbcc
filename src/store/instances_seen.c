#include "store/instances_seen.h"

gboolean instances_record_seen(DbTx *tx, const char *id, InstanceSeen seen,
                               gint64 settled_generation, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE instances SET seen = $2, seen_at = now(),"
                   " seen_generation = greatest(seen_generation, $3::bigint),"
                   " reachable_at = CASE WHEN $2 = 'running' THEN reachable_at END"
                   " WHERE instance_id = $1",
                   DB_ARGS(id, instance_seen_name(seen), db_int(tx, settled_generation)), NULL);
}

gboolean instances_record_halt_reason(DbTx *tx, const char *id, const char *reason, GError **error)
{
    return db_exec(tx, error, "UPDATE instances SET transition_reason = $2 WHERE instance_id = $1",
                   DB_ARGS(id, reason), NULL);
}

gboolean instances_record_defined(DbTx *tx, const char *id, GError **error)
{
    return db_exec(tx, error, "UPDATE instances SET ever_defined = true WHERE instance_id = $1",
                   DB_ARGS(id), NULL);
}

gboolean instances_record_rebooted(DbTx *tx, const char *id, gint64 generation, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE instances SET reachable_at = NULL,"
                   " rebooted_generation = greatest(rebooted_generation, $2::bigint)"
                   " WHERE instance_id = $1",
                   DB_ARGS(id, db_int(tx, generation)), NULL);
}

gboolean instances_record_fault(DbTx *tx, const char *id, const char *code, const char *message,
                                GError **error)
{
    return db_exec(tx, error,
                   "UPDATE instances SET fault = $2, fault_message = $3"
                   " WHERE instance_id = $1 AND fault IS NULL",
                   DB_ARGS(id, code, message), NULL);
}

gboolean instances_record_host_keys(DbTx *tx, const char *id, const char *keys, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE instances SET host_keys = $2, host_keys_at = now()"
                   " WHERE instance_id = $1 AND host_keys IS DISTINCT FROM $2",
                   DB_ARGS(id, keys), NULL);
}

gboolean instances_record_reachable(DbTx *tx, const char *id, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE instances SET reachable_at = now()"
                   " WHERE instance_id = $1 AND reachable_at IS NULL",
                   DB_ARGS(id), NULL);
}

gboolean instances_record_terminated(DbTx *tx, const char *id, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE instances SET terminated_at = now(), seen = 'absent', seen_at = now(),"
                   " seen_generation = generation"
                   " WHERE instance_id = $1 AND terminated_at IS NULL",
                   DB_ARGS(id), NULL);
}
