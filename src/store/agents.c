#include "store/agents.h"
#include "base/errors.h"
#include "store/ecs_rows.h"

#define COLUMNS                                                                                    \
    "SELECT i.ci_id, i.container_instance_id, i.cluster_id, c.cluster_name, i.ec2_instance_id,"    \
    " i.status, i.attributes,"                                                                     \
    " (SELECT count(*) FROM tasks t WHERE t.ci_id = i.ci_id AND t.last_status <> 'STOPPED')"       \
    " FROM container_instances i JOIN clusters c USING (cluster_id)"

void agent_row_free(AgentRow *row)
{
    if (!row)
        return;
    g_free(row->container_instance_id);
    g_free(row->cluster_name);
    g_free(row->ec2_instance_id);
    g_free(row->status);
    json_decref(row->attributes);
    g_free(row);
}

static AgentRow *agent_from_rows(const PGresult *res)
{
    if (!res || PQntuples(res) == 0)
        return NULL;
    AgentRow *row = g_new0(AgentRow, 1);
    row->ci_id = db_int64(res, 0, 0);
    row->container_instance_id = g_strdup(db_text(res, 0, 1));
    row->cluster_id = db_int64(res, 0, 2);
    row->cluster_name = g_strdup(db_text(res, 0, 3));
    row->ec2_instance_id = g_strdup(db_text(res, 0, 4));
    row->status = g_strdup(db_text(res, 0, 5));
    row->attributes = row_json(res, 0, 6);
    row->live_tasks = db_int64(res, 0, 7);
    return row;
}

AgentRow *agents_find(DbTx *tx, const char *account_id, const char *container_instance_id,
                      GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 COLUMNS " WHERE i.account_id = $1 AND i.container_instance_id = $2"
                         " FOR NO KEY UPDATE OF i",
                 DB_ARGS(account_id, container_instance_id));

    return agent_from_rows(res);
}

AgentRow *agents_find_by_ec2(DbTx *tx, const char *account_id, const char *ec2_instance_id,
                             GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        COLUMNS " WHERE i.account_id = $1 AND i.ec2_instance_id = $2 AND i.status <> 'INACTIVE'"
                " FOR NO KEY UPDATE OF i",
        DB_ARGS(account_id, ec2_instance_id));

    return agent_from_rows(res);
}

/* The cluster must still be ACTIVE; FOR SHARE holds off whoever would delete it. */
gboolean agents_insert(DbTx *tx, const char *account_id, gint64 cluster_id,
                       const char *container_instance_id, const char *ec2_instance_id,
                       const char *zone_name, const AgentClaims *facts, GError **error)
{
    g_autofree char *attributes = json_dumps(facts->attributes, JSON_COMPACT);
    guint rows = 0;

    g_autoptr(PGresult) cluster = db_query(
        tx, error, "SELECT 1 FROM clusters WHERE cluster_id = $1 AND status = 'ACTIVE' FOR SHARE",
        DB_ARGS(db_int(tx, cluster_id)));
    if (!cluster)
        return FALSE;
    if (PQntuples(cluster) == 0)
        return fail(error, CLUSTER_NOT_FOUND, "Cluster not found.");
    if (!db_exec(tx, error,
                 "INSERT INTO container_instances (container_instance_id, account_id, cluster_id,"
                 " ec2_instance_id, zone_name, cpu, memory_mib, ports_tcp, ports_udp, attributes,"
                 " agent_version, agent_hash, docker_version)"
                 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
                 " ON CONFLICT DO NOTHING",
                 DB_ARGS(container_instance_id, account_id, db_int(tx, cluster_id), ec2_instance_id,
                         zone_name, db_int(tx, facts->cpu), db_int(tx, facts->memory_mib),
                         ints_param(tx, facts->ports_tcp), ints_param(tx, facts->ports_udp),
                         attributes, facts->agent_version, facts->agent_hash,
                         facts->docker_version),
                 &rows))
        return FALSE;
    if (rows == 0)
        return fail(error, TX_CONFLICT, "instance \"%s\" is registering already", ec2_instance_id);
    return TRUE;
}

gboolean agents_update(DbTx *tx, gint64 ci_id, const AgentClaims *facts, GError **error)
{
    g_autofree char *attributes = json_dumps(facts->attributes, JSON_COMPACT);

    return db_exec(tx, error,
                   "UPDATE container_instances SET cpu = $2, memory_mib = $3, ports_tcp = $4,"
                   " ports_udp = $5, attributes = $6, agent_version = coalesce($7, agent_version),"
                   " agent_hash = coalesce($8, agent_hash),"
                   " docker_version = coalesce($9, docker_version),"
                   " status_reason = CASE WHEN status <> 'INACTIVE' THEN status_reason END,"
                   " status = CASE status WHEN 'INACTIVE' THEN 'ACTIVE' ELSE status END,"
                   " registrations = registrations + 1, version = version + 1"
                   " WHERE ci_id = $1",
                   DB_ARGS(db_int(tx, ci_id), db_int(tx, facts->cpu), db_int(tx, facts->memory_mib),
                           ints_param(tx, facts->ports_tcp), ints_param(tx, facts->ports_udp),
                           attributes, facts->agent_version, facts->agent_hash,
                           facts->docker_version),
                   NULL);
}

void agent_machine_free(AgentMachine *machine)
{
    if (!machine)
        return;
    g_free(machine->instance_id);
    g_free(machine->zone_name);
    g_free(machine->instance_type);
    g_free(machine->image_id);
    g_free(machine->vpc_subnet_id);
    g_free(machine);
}

AgentMachine *agents_machine(DbTx *tx, const char *account_id, const char *ec2_instance_id,
                             GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT instance_id, zone_name, instance_type, image_id, subnet_id FROM instances"
                 " WHERE account_id = $1 AND instance_id = $2 AND terminated_at IS NULL"
                 " AND desired <> 'terminated' AND fault IS NULL UNION ALL"
                 " SELECT instance_id, zone_name, NULL, NULL, NULL FROM external_instances"
                 " WHERE account_id = $1 AND instance_id = $2 AND removed_at IS NULL",
                 DB_ARGS(account_id, ec2_instance_id));
    if (!res || PQntuples(res) == 0)
        return NULL;
    AgentMachine *machine = g_new0(AgentMachine, 1);
    machine->instance_id = g_strdup(db_text(res, 0, 0));
    machine->zone_name = g_strdup(db_text(res, 0, 1));
    machine->instance_type = g_strdup(db_text(res, 0, 2));
    machine->image_id = g_strdup(db_text(res, 0, 3));
    machine->vpc_subnet_id = g_strdup(db_text(res, 0, 4));
    return machine;
}

char *agents_any_zone(DbTx *tx, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error, "SELECT zone_name FROM zones ORDER BY zone_name LIMIT 1", DB_NO_ARGS);

    return res && PQntuples(res) > 0 ? g_strdup(db_text(res, 0, 0)) : NULL;
}
