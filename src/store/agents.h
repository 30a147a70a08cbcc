/*
 * store/agents.h - rows of table "container_instances" as their agents write them
 *
 * Registration, and what the agent of a row is called. What clients read of these
 * rows is in store/container_instances.h; their channels in store/channels.h.
 * CPU is units (1024 is one vCPU), memory MiB. Callers free records.
 * Errors: those of db.h, and as noted.
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

typedef struct {
    gint64 ci_id;
    char *container_instance_id; /* 32 hex digits */
    gint64 cluster_id;
    char *cluster_name;
    char *ec2_instance_id; /* NULL: a machine that is not ours */
    char *status;          /* ACTIVE, DRAINING, INACTIVE */
    json_t *attributes;    /* [{name, value?}] */
    gint64 live_tasks;     /* not STOPPED */
} AgentRow;

void agent_row_free(AgentRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentRow, agent_row_free)

/* The row with this id, or (by_ec2) the one not INACTIVE of this EC2 instance, locked until the
 * transaction ends; NULL without an error when there is none. */
AgentRow *agents_find(DbTx *tx, const char *account_id, const char *container_instance_id,
                      GError **error);
AgentRow *agents_find_by_ec2(DbTx *tx, const char *account_id, const char *ec2_instance_id,
                             GError **error);

/* What a registration says. */
typedef struct {
    gint64 cpu;
    gint64 memory_mib;
    const GArray *ports_tcp; /* gint64: reserved */
    const GArray *ports_udp;
    const json_t *attributes;
    const char *agent_version; /* NULL: keep what is known */
    const char *agent_hash;
    const char *docker_version;
} AgentClaims;

/* A new row in an ACTIVE cluster. Errors: CLUSTER_NOT_FOUND (deleted meanwhile), TX_CONFLICT (the
 * EC2 instance registered at the same time: run again). */
gboolean agents_insert(DbTx *tx, const char *account_id, gint64 cluster_id,
                       const char *container_instance_id, const char *ec2_instance_id,
                       const char *zone_name, const AgentClaims *facts, GError **error);
/* The same agent again; an INACTIVE row becomes ACTIVE. */
gboolean agents_update(DbTx *tx, gint64 ci_id, const AgentClaims *facts, GError **error);

/* What the machine of an agent is: for the attributes that the service adds. Type, image and
 * subnet are NULL where the machine is external. */
typedef struct {
    char *instance_id;
    char *zone_name;
    char *instance_type;
    char *image_id;
    char *vpc_subnet_id;
} AgentMachine;

void agent_machine_free(AgentMachine *machine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentMachine, agent_machine_free)

/* NULL without an error when the account has no such instance, or none that lives. */
AgentMachine *agents_machine(DbTx *tx, const char *account_id, const char *ec2_instance_id,
                             GError **error);
/* The first zone there is, for machines that are not ours; NULL without an error when there is
 * none. */
char *agents_any_zone(DbTx *tx, GError **error);
