/*
 * wire/sigv4.h - AWS Signature Version 4: reading, verifying and making signatures
 *
 * A request is used exactly as it was received: host with its port, raw path and query, body bytes.
 * To verify: sigv4_parse() says who claims to have signed; the caller finds that key and gets its
 * signing key (sigv4_signing_key(), which may be cached by key id, date, region and service); then
 * sigv4_verify() alone decides. Session tokens are compared by the caller, who keeps them.
 * Source: AWS General Reference, "Signature Version 4 signing process".
 */
#pragma once

#include <glib.h>

#define SIGV4_KEY_SIZE     32
#define SIGV4_SKEW_SECONDS 900
#define SIGV4_EXPIRES_MAX  604800

typedef struct {
    const char *name; /* any case */
    const char *value;
} SigV4Header;

typedef struct {
    const char *method;
    const char *path;           /* raw, without the query string; "" is "/" */
    const char *query;          /* raw, without "?"; "" or NULL for none */
    const SigV4Header *headers; /* as received, in order, repeated ones too */
    gsize header_count;
    const void *body;
    gsize body_length;
    gboolean secure; /* came over TLS: UNSIGNED-PAYLOAD is taken */
} SigV4Request;

/* What a request says about its signature. Nothing of it is proven before sigv4_verify(). */
typedef struct {
    char *access_key_id;
    char date[9]; /* of the scope: "20260131" */
    char *region;
    char *service;
    char *signed_headers; /* "host;x-amz-date" */
    char *session_token;  /* NULL when there is none */
    char signature[65];
    gint64 time_us;
    char time_text[17]; /* "20260131T120000Z" */
    gint64 expires_s;   /* of a presigned request, else 0 */
    gboolean presigned;
} SigV4Claim;

/* Reads header or presigned form. Errors: AUTH_MISSING (no signature at all), AUTH_INCOMPLETE
 * (malformed, both forms at once, another algorithm). Caller frees with sigv4_claim_clear. */
gboolean sigv4_parse(const SigV4Request *request, SigV4Claim *ret_claim, GError **error);
void sigv4_claim_clear(SigV4Claim *claim);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SigV4Claim, sigv4_claim_clear)

/* secret -> date -> region -> service -> "aws4_request". date has eight digits. */
void sigv4_signing_key(const char *secret, const char *date, const char *region,
                       const char *service, guint8 ret_key[SIGV4_KEY_SIZE]);

/* Whether the request was signed with key, now, and not changed since; compares in constant time.
 * Errors: AUTH_SIGNATURE, AUTH_CLOCK (15 minutes, or the presigned lifetime), AUTH_INCOMPLETE
 * (host, x-amz-date, x-amz-target or x-amz-security-token not among the signed headers). */
gboolean sigv4_verify(const SigV4Request *request, const SigV4Claim *claim,
                      const guint8 key[SIGV4_KEY_SIZE], gint64 now_us, GError **error);

/* -- for clients */
typedef struct {
    const char *access_key_id;
    const char *secret;
    const char *session_token; /* NULL for none */
    const char *region;
    const char *service;
} SigV4Signer;

typedef struct {
    char date[17];       /* value of X-Amz-Date */
    char *authorization; /* value of Authorization */
} SigV4Signature;

/*
 * Signs a request. All its headers are signed, which must hold Host, and X-Amz-Date and (with a
 * session token) X-Amz-Security-Token beside them: the caller sends those two with the values of
 * ret_signature->date and signer->session_token, and does not put them into request->headers.
 */
void sigv4_sign(const SigV4Request *request, const SigV4Signer *signer, gint64 now_us,
                SigV4Signature *ret_signature);
void sigv4_signature_clear(SigV4Signature *signature);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SigV4Signature, sigv4_signature_clear)
