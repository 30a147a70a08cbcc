/*
 * model/user_data.h - what Berth itself reads in an instance's user data
 *
 * Source: ECS Developer Guide "Bootstrapping container instances": a script that writes
 * ECS_CLUSTER=name to /etc/ecs/ecs.config.
 */
#pragma once

#include <glib.h>

#define USER_DATA_MAX 16384

/* The cluster that the last ECS_CLUSTER=name of a line names, comments left out; NULL when there is
 * none. Caller frees. */
char *user_data_cluster(const void *data, gsize length);
