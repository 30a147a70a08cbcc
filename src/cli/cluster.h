/*
 * cli/cluster.h - what the verbs of clusters, tasks and services share
 */
#pragma once

#include "cli/command.h"

#include <jansson.h>

/* --cluster, or "default". Borrowed. */
const char *cluster_name(const Cli *cli);
/* {cluster, member: value}; a NULL value leaves the member out. */
json_t *cluster_params(const Cli *cli, const char *member, const char *value);
/* Describes arns (taken) in batches: rows of answer_member. cluster and include may be NULL.
 * Error: NOT_FOUND when one is in the answer's failures. */
json_t *cluster_describe(Cli *cli, const char *action, const char *cluster, const char *member,
                         json_t *arns, const char *answer_member, const char *include,
                         GError **error);
