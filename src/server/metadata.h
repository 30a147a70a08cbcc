/*
 * server/metadata.h - the instance metadata service: plain HTTP on a link-local address
 *
 * Who asks is told by the source address of the connection; with address 169.254.169.254 only what
 * comes in over the default network's bridge is heard, where the hypervisor lets a guest use no
 * other address than its own. The bridge may come and go: a thread opens the listener again. Any
 * other address (tests) is listened on as it is. Facts of an instance are kept a second.
 * Errors: CONFIG.
 */
#pragma once

#include "handlers/request.h"

typedef struct MetadataServer MetadataServer;

/* context is borrowed. Returns at once: listening begins when the bridge is there. */
MetadataServer *metadata_start(const HandlerContext *context, GError **error);
void metadata_stop(MetadataServer *server);
