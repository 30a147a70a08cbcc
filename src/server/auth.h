/*
 * server/auth.h - who sent this request: SigV4's claim, proven by the key it names
 *
 * The answer to every fault is that of api-surface 1.6; auth_sentence gives the words that
 * the dialect's clients compare. Thread-safe.
 * Errors: AUTH_* (see base/errors.def); UNAVAILABLE (identity database gone).
 */
#pragma once

#include "base/errors.h"
#include "server/keycache.h"
#include "wire/sigv4.h"

/* Proves claim for request, at now_us. Give the entry back with key_entry_unref. */
KeyEntry *auth_prove(KeyCache *cache, const SigV4Request *request, const SigV4Claim *claim,
                     gint64 now_us, GError **error);
/* The sentence that this dialect gives with an authentication fault; NULL: the error's own. */
const char *auth_sentence(ErrorCode code, ErrorDialect dialect);
