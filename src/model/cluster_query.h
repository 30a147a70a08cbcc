/*
 * model/cluster_query.h - the cluster query language: memberOf constraints and instance filters
 *
 * An expression is parsed once and evaluated over many container instances. Keywords are taken
 * in any case; "matches" takes a regular expression anchored at both ends.
 * Source: ECS Developer Guide, "Cluster query language".
 */
#pragma once

#include <glib.h>

#define CLUSTER_QUERY_MAX 2000 /* characters */

typedef struct ClusterQuery ClusterQuery;

/* What an expression may ask of one container instance. */
typedef struct {
    /* The value of an attribute ("" for one without a value), NULL when it is missing. */
    const char *(*attribute)(gpointer instance, const char *name);
    /* Whether a live task of this group runs on it, by equality (exact) or regular expression. */
    gboolean (*runs_group)(gpointer instance, const char *group, const GRegex *pattern);
    gboolean agent_connected;
    const char *agent_version;   /* may be NULL */
    const char *ec2_instance_id; /* may be NULL */
    gint64 registered_us;
    gint64 running_tasks;
    gpointer instance; /* handed to the callbacks */
} ClusterQuerySubject;

/* NULL with INVALID_PARAMETER, saying where the expression is wrong. */
ClusterQuery *cluster_query_parse(const char *text, GError **error);
void cluster_query_free(ClusterQuery *query);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ClusterQuery, cluster_query_free)

gboolean cluster_query_matches(const ClusterQuery *query, const ClusterQuerySubject *subject);
/* Whether it asks for task:group, so that the caller must know the groups on each instance. */
gboolean cluster_query_needs_groups(const ClusterQuery *query);
