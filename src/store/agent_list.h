/*
 * store/agent_list.h - the agents of a cluster, on instances of ours and elsewhere: read only
 *
 * Times are UTC microseconds, 0: never. Errors: those of db.h.
 */
#pragma once

#include "store/external_instances.h"

typedef struct {
    char *instance_id; /* "i-..." or "mi-..."; NULL: unknown */
    char *container_instance_id;
    char *status;
    gboolean connected;
    gint64 connected_us; /* when the channel that is there was opened */
    char *version, *docker_version;
    /* of a bootstrapped instance of ours, else NULL */
    char *wanted_sha256, *seen_sha256;
    char *bootstrap;            /* "registered", "started: last error ..." */
    ExternalInstance *external; /* NULL: not external */
} Agent;

void agent_free(Agent *agent);
/* Those not INACTIVE of a cluster, oldest first; a GPtrArray of Agent. */
GPtrArray *agents_of_cluster(DbTx *tx, gint64 cluster_id, GError **error);
