/*
 * handlers/container_instances.h - container instances as trees
 *
 * Results are new references.
 */
#pragma once

#include "handlers/ecs_common.h"
#include "store/container_instances.h"

/* One container instance; takes tags. */
json_t *container_instance_json(const Request *rq, const char *cluster_name,
                                const ContainerInstance *instance, json_t *tags);
