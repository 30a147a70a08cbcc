/*
 * agent/s3.h - objects of an S3-compatible store
 *
 * Which store is a setting of the agent (BERTH_S3_ENDPOINT); the bucket is the first part of the
 * path. Requests are signed for service "s3". Blocks: for workers.
 * Errors: TASK_RESOURCE (for good: what is named is no object, is not there, may not be read or is
 * too large); HTTP_CLIENT and UNAVAILABLE (the store cannot be reached or is busy: try again).
 * Source: Amazon S3 API, GetObject and path-style requests; Signature Version 4 for S3.
 */
#pragma once

#include <glib.h>

/* Where the store is, and in whose name it is asked. */
typedef struct {
    char *endpoint;
    char *region;
    char *ca_file; /* "" for the system's store */
    char *access_key_id;
    char *secret;
    char *token; /* "" for none */
} AgentS3;

void agent_s3_free(AgentS3 *s3);

/* The object of "arn:aws:s3:::bucket/key". Caller frees. */
GString *agent_s3_get(const AgentS3 *s3, const char *arn, gsize max_bytes, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentS3, agent_s3_free)
