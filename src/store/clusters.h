/*
 * store/clusters.h - rows of table "clusters" (sql/region/0003-containers.sql)
 *
 * The cluster row is the root that placement locks: whoever places tasks in a cluster holds it
 * FOR UPDATE, so that two placements never give the same room away.
 * Errors: CLUSTER_NOT_FOUND (missing or INACTIVE), TX_CONFLICT, UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

typedef struct {
    gint64 id;
    char *name;
    char *status;    /* ACTIVE, INACTIVE */
    json_t *details; /* settings, configuration: by the names of the SDKs */
    /* derived; filled by clusters_describe only */
    gint64 container_instances; /* ACTIVE and DRAINING */
    gint64 running_tasks;
    gint64 pending_tasks;
    gint64 services; /* ACTIVE */
    gint64 draining_services;
} Cluster;

void cluster_free(Cluster *cluster);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cluster, cluster_free)

typedef enum { CLUSTER_READ, CLUSTER_LOCK } ClusterLock;

/* The ACTIVE cluster of this name; CLUSTER_LOCK holds its row until the transaction ends. */
Cluster *clusters_get(DbTx *tx, const char *account_id, const char *name, ClusterLock lock,
                      GError **error);
/* The same by id, whatever its status; NULL without error when there is none. */
gboolean clusters_get_by_id(DbTx *tx, gint64 cluster_id, ClusterLock lock, char **ret_account_id,
                            Cluster **ret_cluster, GError **error);
/* Makes the cluster, or revives an INACTIVE one. *ret_made is FALSE when an ACTIVE one of that name
 * was there: then nothing changed and the result is that one. */
Cluster *clusters_create(DbTx *tx, const char *account_id, const char *name, const json_t *details,
                         gboolean *ret_made, GError **error);
gboolean clusters_set_details(DbTx *tx, gint64 cluster_id, const json_t *details, GError **error);
gboolean clusters_deactivate(DbTx *tx, gint64 cluster_id, GError **error);
/* Those of names that exist, with what they hold; a GPtrArray of Cluster. */
GPtrArray *clusters_describe(DbTx *tx, const char *account_id, const char *const *names,
                             gsize count, GError **error);
/* Names of ACTIVE clusters after this one, in order; at most limit. A GPtrArray of char *. */
GPtrArray *clusters_list(DbTx *tx, const char *account_id, const char *after, gint64 limit,
                         GError **error);
