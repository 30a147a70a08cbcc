/*
 * agent/api.h - signed calls of the ECS API, one at a time, without blocking the loop
 *
 * The credentials are read anew from the configuration file when it changes, so that they can be
 * replaced under a running agent; a file without any leaves them to the instance's role, whose are
 * got from the metadata service and renewed in time. A call is given up after 10 s.
 * Source: AWS JSON 1.1; Signature Version 4.
 */
#pragma once

#include "agent/config.h"
#include "agent/loop.h"
#include "drivers/stream.h"
#include "wire/sigv4.h"

typedef struct AgentApi AgentApi;

/* How a call ended: tree on success; else message, and code when the server answered. Borrowed. */
typedef struct {
    const json_t *tree;
    const char *code;
    const char *message;
} AgentAnswer;

typedef void (*AgentApiDone)(gpointer user, const AgentAnswer *answer);

/* Errors: CONFIG (CA file), INVALID_PARAMETER (endpoint). config must outlive it. */
AgentApi *agent_api_new(Loop *loop, const AgentConfig *config, const char *config_file,
                        GError **error);
/* New credentials that the control plane made for the agent (BerthCredentialsMessage): used from
 * now on and after a restart, for as long as the configuration names the keys that these follow. */
void agent_api_replace(AgentApi *api, const json_t *message);
/* Takes request. done is called in the loop's thread. */
void agent_api_call(AgentApi *api, const char *operation, json_t *request, AgentApiDone done,
                    gpointer user);

/* Trust for other connections to the same control plane: NULL when the endpoint is plain http.
 * Borrowed. */
StreamTls *agent_api_tls(const AgentApi *api);

/* -- signing, also for the channels; any thread */
typedef struct {
    char *access_key_id;
    char *secret;
    char *token; /* "" for none */
    char *region;
} AgentSigner;

/* Gets the credentials of the instance's role, when they are due; may block for seconds: not for
 * the loop's thread. */
void agent_api_renew(AgentApi *api);
/* The credentials as they are now. Caller clears. */
void agent_api_signer(AgentApi *api, AgentSigner *ret_signer);
void agent_signer_clear(AgentSigner *signer);
/* Signs for service "ecs". */
void agent_signer_sign(const AgentSigner *signer, const SigV4Request *request,
                       SigV4Signature *ret_signature);

/* The same call in another's name, on a connection of its own; given up after timeout_ms. signer
 * (region too) is copied. */
void agent_api_call_as(AgentApi *api, const AgentSigner *signer, guint timeout_ms,
                       const char *operation, json_t *request, AgentApiDone done, gpointer user);
/* Any service's call in another's name, for a thread that may wait; target is the whole
 * X-Amz-Target. Caller owns the answer. Errors: HTTP_CLIENT, UNAVAILABLE (try again); API (refused,
 * "Code: message"). */
json_t *agent_api_call_now(const AgentConfig *config, const AgentSigner *signer,
                           const char *service, const char *target, const json_t *request,
                           GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AgentSigner, agent_signer_clear)
