/*
 * wire/canonical.h - the canonical request and string to sign of Signature Version 4
 *
 * Source: AWS General Reference, "Create a canonical request"; RFC 3986 section 5.2.4.
 */
#pragma once

#include "wire/sigv4.h"

#define CANONICAL_PAYLOAD_UNSIGNED "UNSIGNED-PAYLOAD"

/* The number of headers of this name (any case); *ret_value is the first one's value, untouched
 * when there is none. */
guint canonical_header(const SigV4Request *request, const char *name, const char **ret_value);

/*
 * Calls each for every parameter of a raw query string in order, with name and value
 * percent-decoded ("+" is a space). Both are NUL-terminated but may hold NULs before their lengths.
 */
typedef void (*CanonicalParameter)(GString *name, GString *value, gpointer user);
void canonical_query_each(const char *query, CanonicalParameter each, gpointer user);

/* Hex HMAC of the string to sign: what the signature of request must be. FALSE when a header of
 * signed_headers (names by semicolon) is not in the request. */
gboolean canonical_signature(const SigV4Request *request, const char *signed_headers,
                             const char *payload_hash, const char *time_text, const char *date,
                             const char *region, const char *service,
                             const guint8 key[SIGV4_KEY_SIZE], char ret_hex[65]);
