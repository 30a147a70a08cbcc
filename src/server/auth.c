#include "server/auth.h"
#include "base/errors.h"

#include <string.h>

#define UNKNOWN_KEY "The security token included in the request is invalid."

/* A temporary key needs its token, a lasting one must come without. */
static gboolean token_matches(const KeyEntry *entry, const SigV4Claim *claim)
{
    char digest[CRYPTO_SHA256_HEX_SIZE];

    if (!entry->token_sha256[0])
        return claim->session_token == NULL;
    if (!claim->session_token)
        return FALSE;
    crypto_sha256_hex(claim->session_token, strlen(claim->session_token), digest);
    return crypto_equal(digest, entry->token_sha256, sizeof digest - 1);
}

KeyEntry *auth_prove(KeyCache *cache, const SigV4Request *request, const SigV4Claim *claim,
                     gint64 now_us, GError **error)
{
    guint8 key[SIGV4_KEY_SIZE];
    GError *cause = NULL;
    g_autoptr(KeyEntry) entry = keycache_get(cache, claim->access_key_id, now_us, &cause);

    if (cause) {
        g_propagate_error(error, cause);
        return NULL;
    }
    if (!entry || !entry->active || !token_matches(entry, claim))
        return fail_null(error, AUTH_UNKNOWN_KEY, UNKNOWN_KEY);
    gboolean kept = keycache_signing_key(cache, entry, claim, key);
    if (!sigv4_verify(request, claim, key, now_us, error))
        return NULL;
    if (!kept)
        keycache_remember(cache, claim, key);
    if (entry->expires_us && entry->expires_us <= now_us)
        return fail_null(error, AUTH_TOKEN_EXPIRED,
                         "The security token included in the request is expired");
    return g_steal_pointer(&entry);
}

const char *auth_sentence(ErrorCode code, ErrorDialect dialect)
{
    static const char ec2_sentence[] =
        "AWS was not able to validate the provided access credentials";

    switch (code) {
    case ERROR_AUTH_MISSING:
        return dialect == ERROR_DIALECT_EC2     ? ec2_sentence
               : dialect == ERROR_DIALECT_QUERY ? "Request is missing Authentication Token"
                                                : "Missing Authentication Token";
    case ERROR_AUTH_UNKNOWN_KEY:
        return dialect == ERROR_DIALECT_EC2 ? ec2_sentence : UNKNOWN_KEY;
    case ERROR_AUTH_SIGNATURE:
        return dialect == ERROR_DIALECT_EC2
                   ? ec2_sentence
                   : "The request signature we calculated does not match the signature you "
                     "provided. Check your AWS Secret Access Key and signing method. Consult the "
                     "service documentation for details.";
    case ERROR_AUTH_CLOCK:
    case ERROR_AUTH_TOKEN_EXPIRED:
        return dialect == ERROR_DIALECT_EC2 ? "Request has expired." : NULL;
    default:
        return NULL;
    }
}
