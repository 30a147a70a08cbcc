/*
 * model/payload.h - what an agent is told: a task as the Amazon agent's PayloadMessage has it
 *
 * Pure. Types are exact, or the agent drops the whole message without a word: container sizes are
 * integers, a task's cpu is a number of vCPUs, family and version are strings, Docker's part is
 * JSON in strings. What the agent has no field for goes into Docker's config and hostConfig.
 * Source: ECS agent 1.70 and later, ACS PayloadMessage; Docker Engine API "ContainerCreate".
 */
#pragma once

#include <glib.h>
#include <jansson.h>

typedef struct {
    const char *region;
    const char *account_id;
    const char *cluster_name;
    const char *task_id;
    const char *desired_status; /* "RUNNING" or "STOPPED" */
    const char *family;         /* from here on: for RUNNING only */
    gint64 revision;
    const char *launch_type;
    const char *task_group;
    const char *service_name;      /* NULL: no service's */
    const json_t *definition;      /* as DescribeTaskDefinition shows it */
    const json_t *overrides;       /* as tasks show them */
    const json_t *container_uuids; /* {container name: UUID} */
    json_t *role_credentials;      /* as agents take them; NULL: the task has no role */
    json_t *execution_credentials;
} PayloadTask;

/* The task's tree inside a message. New reference. */
json_t *payload_task(const PayloadTask *task);

/* A whole message with one task (a bad task costs its whole message the acknowledgement).
 * Takes task. New reference. */
json_t *payload_message(const char *message_id, gint64 sequence, const char *cluster_arn,
                        const char *container_instance_arn, gint64 now_us, json_t *task);

/* payload_docker.c: {config, hostConfig, version} of a container; memory in MiB, 0: none. */
json_t *payload_docker_config(const json_t *container, const char *network_mode, gint64 memory_mib,
                              gint64 memory_reservation_mib);
/* Whether Docker is to check the container's health. */
gboolean payload_checks_health(const json_t *container);
