/*
 * model/task_definition.h - what may be registered, and what a task of it holds
 *
 * Works on trees by SDK names: a task definition is a document that is given back, so it is kept
 * whole. Memory is MiB, CPU is units (1024 is one vCPU). Errors: ECS_CLIENT, INVALID_PARAMETER,
 * with Amazon's sentences where clients compare them. Callers own results.
 * Source: ECS API Reference, RegisterTaskDefinition, TaskDefinition, ContainerDefinition.
 */
#pragma once

#include "base/tree.h"

#include <glib.h>
#include <jansson.h>

#define TASK_CONTAINERS_MAX       10
#define TASK_DEFINITION_BYTES_MAX (64 * 1024)

/* The normalised definition of a RegisterTaskDefinition request: defaults filled in, sizes as
 * numbers, compatibilities and requiresAttributes computed. It lacks ARN, revision, status and
 * times. */
json_t *task_definition_normalise(const json_t *request, GError **error);

/* What a task holds on its container instance from placement until it has stopped. */
typedef struct {
    gint64 cpu;
    gint64 memory_mib;
    GArray *ports_tcp; /* of gint64: fixed host ports */
    GArray *ports_udp;
} TaskHold;

void task_hold_free(TaskHold *hold);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TaskHold, task_hold_free)

/* Task level sizes if given, else sums over containers (memoryReservation before memory).
 * overrides is a TaskOverride or NULL. */
TaskHold *task_definition_hold(const json_t *definition, const json_t *overrides);

/* One entry a container, for table "containers": {name, image, cpu, memory_mib,
 * memory_reservation_mib}, with overrides applied. */
json_t *task_definition_containers(const json_t *definition, const json_t *overrides);

/* Checks a TaskOverride against the definition and gives it in the form tasks show: one entry in
 * containerOverrides for each container, inferenceAcceleratorOverrides. overrides may be NULL. */
json_t *task_definition_overrides(const json_t *definition, const json_t *overrides,
                                  GError **error);

/* Whether an essential container has a health check, so that RUNNING alone is not healthy. */
gboolean task_definition_checks_health(const json_t *definition);

/* Checks placementConstraints: memberOf with an expression that parses; distinctInstance too when
 * in_call is set (calls and services take it, definitions do not). */
gboolean placement_constraints_check(const json_t *constraints, gboolean in_call, GError **error);
/* Checks placementStrategy and gives it with fields as they are shown ("memory"). NULL: []. */
json_t *placement_strategy_normalise(const json_t *strategy, GError **error);

/* -- the parts, one file each */

/* task_definition_container.c: checks one container and fills in its defaults. */
gboolean container_definition_normalise(json_t *container, const char *network_mode,
                                        gboolean task_has_memory, GError **error);
/* task_definition_hold.c: what tasks hold, containers, overrides.
 * task_definition_links.c: what containers and volumes say of each other. */
gboolean task_definition_check_links(const json_t *definition, GError **error);
/* task_definition_requires.c: compatibilities and requiresAttributes, as new arrays. */
json_t *task_definition_compatibilities(const json_t *definition);
json_t *task_definition_requires(const json_t *definition);
