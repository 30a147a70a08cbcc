/*
 * agent/image_auth.h - what a registry is shown so that it hands out an image
 *
 * First what the task's definition names (repositoryCredentials: a secret {"username", "password"},
 * read in the name of the task's execution role), else what the agent's configuration has for the
 * registry (the forms "dockercfg" and "docker"), else nothing. Passwords stay in memory.
 * Source: agent protocol, registryAuthentication; ECS Developer Guide, "Private registry
 * authentication"; Docker Engine API v1.41, "Authentication".
 */
#pragma once

#include "agent/api.h"
#include "agent/config.h"
#include "agent/credentials.h"
#include "agent/task.h"

/* What the configuration has for the registry of this image, as X-Registry-Auth has it; NULL:
 * nothing. Caller owns. */
json_t *agent_image_auth_configured(const AgentConfig *config, const char *image);
/* Whether the two settings fit each other. Error: CONFIG. */
gboolean agent_image_auth_check(const AgentConfig *config, GError **error);

typedef enum {
    IMAGE_AUTH_NONE,   /* the definition names nothing */
    IMAGE_AUTH_READY,  /* the role may be asked to read the secret */
    IMAGE_AUTH_LATER,  /* the role's credentials are not here yet */
    IMAGE_AUTH_NEVER,  /* nor will they come: the task has no execution role */
    IMAGE_AUTH_UNKNOWN /* the definition asks for a kind of authentication that is not known here */
} ImageAuth;

/* ret_secret and ret_role are set when ready. Borrowed. */
ImageAuth agent_image_auth_of(const AgentTask *task, const AgentContainer *container,
                              const AgentCredentialsTable *credentials, const char **ret_secret,
                              const AgentCredentials **ret_role);

/* Reads the secret: a tree as above. Blocks, for a worker. Errors: HTTP_CLIENT, UNAVAILABLE (try
 * again); API (refused, or no such secret). */
json_t *agent_image_auth_fetch(const AgentConfig *config, const AgentSigner *signer,
                               const char *secret, const char *image, GError **error);
