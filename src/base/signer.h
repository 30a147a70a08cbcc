/*
 * base/signer.h - an RSA key with a certificate of its own: signs documents, and checks signatures
 *
 * By OpenSSL's libcrypto. Keys and certificates are PEM texts; who keeps a key seals it. Callers
 * free results. Errors: INTERNAL (libcrypto refused, or a text is no key or certificate).
 * Source: RFC 8017 (RSASSA-PKCS1-v1_5 with SHA-256), RFC 5652 (CMS SignedData).
 */
#pragma once

#include <glib.h>

typedef struct Signer Signer;

/* A new RSA 2048 key, and a certificate of it under name, good for twenty years. */
gboolean signer_make(const char *name, char **ret_key, char **ret_certificate, GError **error);
Signer *signer_new(const char *key, const char *certificate, GError **error);
void signer_free(Signer *signer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Signer, signer_free)

/* base64 of the signature, in lines of 76 characters without one at the end. */
char *signer_sign(const Signer *signer, const char *text, GError **error);
/* base64 of a CMS message with the text inside and without the certificate. */
char *signer_cms(const Signer *signer, const char *text, GError **error);
/* Whether base64 (white space in it counts for nothing) signs text by the certificate's key. */
gboolean signer_verify(const char *certificate, const char *text, const char *base64);
