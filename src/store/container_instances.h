/*
 * store/container_instances.h - rows of table "container_instances"
 *
 * What agents report and what callers want is written by handlers/; status and lost_at, when a host
 * is gone or an agent silent, by reconcile/. Memory is MiB, CPU units, times UTC microseconds, 0:
 * never. Errors: TX_CONFLICT, UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

typedef struct {
    gint64 id;
    char *name; /* 32 hex digits */
    gint64 cluster_id;
    char *ec2_instance_id; /* NULL: not ours */
    char *zone;
    char *status, *status_reason;
    gint64 cpu, memory_mib;
    GArray *ports_tcp, *ports_udp; /* reserved */
    json_t *attributes;            /* [{name, value?}] */
    char *agent_version, *agent_hash, *docker_version;
    gint64 registered_us;
    gboolean connected;
    char *runtime_status;
    gint64 version;
    /* derived from its tasks */
    gint64 running_tasks, pending_tasks;
    gint64 cpu_held, memory_held_mib;
    GArray *tcp_held, *udp_held;
} ContainerInstance;

void container_instance_free(ContainerInstance *instance);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ContainerInstance, container_instance_free)

/* Those of names (32 hex digits) that exist in the cluster; a GPtrArray of ContainerInstance. */
GPtrArray *container_instances_describe(DbTx *tx, gint64 cluster_id, const char *const *names,
                                        gsize count, GError **error);
/* Names of this status after this one; NULL: ACTIVE and DRAINING. A GPtrArray of char *. */
GPtrArray *container_instances_list(DbTx *tx, gint64 cluster_id, const char *status,
                                    const char *after, gint64 limit, GError **error);
/* ACTIVE or DRAINING, with the services that this concerns woken. */
gboolean container_instances_set_status(DbTx *tx, gint64 ci_id, const char *status, GError **error);
gboolean container_instances_set_attributes(DbTx *tx, gint64 ci_id, const json_t *attributes,
                                            GError **error);
/* Ends the container instance: INACTIVE, its tasks STOPPED at once with this code and reason, what
 * waits for them woken. */
gboolean container_instances_end(DbTx *tx, gint64 ci_id, const char *status_reason,
                                 const char *stop_code, const char *stopped_reason, GError **error);

/* Its tasks are STOPPED at once with this code and reason; services and cluster are woken. */
gboolean container_instances_stop_tasks(DbTx *tx, gint64 ci_id, const char *stop_code,
                                        const char *stopped_reason, GError **error);

/* -- for reconcile/ */
typedef struct {
    gint64 cluster_id;
    char name[40];
    char status[16];
    char ec2_instance_id[32];
    gboolean connected;
    gboolean host_gone; /* its EC2 instance is terminated, or on the way there */
    gboolean host_off;  /* its EC2 instance is there, but does not run */
    gint64 silent_us;   /* since when no agent was heard by a living daemon */
    gint64 lost_us;
    gint64 live_tasks;
} AgentFacts;

/* Locks the row; *ret_found is FALSE when there is none. */
gboolean agent_facts(DbTx *tx, gint64 ci_id, AgentFacts *ret_facts, gboolean *ret_found,
                     GError **error);
/* Gives the agent up: its service tasks are asked to stop and count for nothing until it is back.
 */
gboolean agent_lose(DbTx *tx, gint64 ci_id, const char *name, GError **error);
gboolean agent_found(DbTx *tx, gint64 ci_id, GError **error);
