/*
 * agent/env_files.h - environment files of a container: where they come from, what they say
 *
 * A line is NAME=VALUE and is taken as it stands: no quotes, no spaces, no variables are
 * understood. Lines that begin with # and lines without "=" are passed over, as are those with no
 * name or no value. Of files that say the same name the first counts; what the container's own
 * environment says counts before all.
 * Source: ECS Developer Guide, "Pass environment variables to a container"; agent protocol,
 * environmentFiles.
 */
#pragma once

#include "agent/config.h"
#include "agent/credentials.h"
#include "agent/s3.h"
#include "agent/task.h"

#define ENV_FILES_MAX      10
#define ENV_FILE_BYTES_MAX (1024 * 1024)
#define ENV_LINE_BYTES_MAX (64 * 1024)
#define ENV_NAMES_MAX      1000

typedef enum { ENV_READY, ENV_WAIT, ENV_NEVER } AgentEnvState;

/* Checks a container's list. Error: INVALID_PARAMETER. */
gboolean agent_env_files_check(const json_t *list, GError **error);

/* Whether the files of a container can be fetched now, and how: ret_s3 is NULL for a container
 * without any. ENV_WAIT: the task's execution credentials are to come. ENV_NEVER sets error
 * (TASK_RESOURCE). Caller frees ret_s3. */
AgentEnvState agent_env_files_ready(const AgentConfig *config,
                                    const AgentCredentialsTable *credentials, const AgentTask *task,
                                    const AgentContainer *container, AgentS3 **ret_s3,
                                    GError **error);

/* Adds what a file says to a map of names that are not there yet. Error: TASK_RESOURCE. */
gboolean agent_env_files_parse(const char *text, gsize length, json_t *map, GError **error);

/* Fetches a container's files and appends to env, a list of "NAME=VALUE", what it does not say.
 * Blocks: for workers. Errors: those of agent_s3_get. */
gboolean agent_env_files_fetch(const AgentS3 *s3, const json_t *files, json_t *env, GError **error);
