/*
 * server/upgrade.h - the HTTP/1.1 request that opens a WebSocket, from bytes
 *
 * Just enough HTTP for that: a GET without a body, headers of bounded number and size, no folded
 * lines. Pure; the bytes are anybody's. Errors: MALFORMED_REQUEST, TOO_LARGE.
 * Source: RFC 9112; RFC 6455 section 4.2.1.
 */
#pragma once

#include "wire/sigv4.h"

#define UPGRADE_BYTES_MAX   (16 * 1024)
#define UPGRADE_HEADERS_MAX 64

typedef struct {
    const char *path;  /* raw */
    const char *query; /* raw; "" for none */
    SigV4Header headers[UPGRADE_HEADERS_MAX];
    gsize header_count;
    const char *key; /* Sec-WebSocket-Key, checked */
    char *text;      /* what all of these point into */
} Upgrade;

/* Takes length bytes that have come so far. *ret_upgrade stays NULL while the request is not whole.
 * *ret_used: bytes of it; what follows is the peer's first frames. Caller frees. */
gboolean upgrade_parse(const char *data, gsize length, Upgrade **ret_upgrade, gsize *ret_used,
                       GError **error);
void upgrade_free(Upgrade *upgrade);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Upgrade, upgrade_free)

/* The header of this name (any case); NULL for none. */
const char *upgrade_header(const Upgrade *upgrade, const char *name);
