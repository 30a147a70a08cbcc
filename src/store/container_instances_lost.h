/*
 * store/container_instances_lost.h - wakes of the container instance that an instance carries
 *
 * Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

/* Wakes step kind "container_instance" for the ones on this EC2 instance that are not INACTIVE. */
gboolean container_instances_wake(DbTx *tx, const char *ec2_instance_id, GError **error);
/* Whether one on this EC2 instance is not INACTIVE: its agent has registered. */
gboolean container_instances_registered(DbTx *tx, const char *ec2_instance_id,
                                        gboolean *ret_registered, GError **error);
