/*
 * base/crypto.h - digests, comparison and sealing, by OpenSSL's libcrypto
 *
 * Sealed text is AES-256-GCM under the installation's master key (one file, mode 0600), so that
 * a copy of the database alone gives no secret away. Callers free results.
 */
#pragma once

#include <glib.h>

#define CRYPTO_SHA256_SIZE     32
#define CRYPTO_SHA256_HEX_SIZE 65
#define CRYPTO_KEY_SIZE        32

void crypto_sha256(const void *data, gsize length, guint8 ret_digest[CRYPTO_SHA256_SIZE]);
/* Lower-case hex, NUL-terminated. */
void crypto_sha256_hex(const void *data, gsize length, char ret_hex[CRYPTO_SHA256_HEX_SIZE]);
void crypto_hmac_sha256(const void *key, gsize key_length, const void *data, gsize length,
                        guint8 ret_mac[CRYPTO_SHA256_SIZE]);
void crypto_hex(const guint8 *bytes, gsize length, char *ret_hex);
/* A SHA-256 over pieces: new, add any number of times, end (which frees it). */
typedef struct CryptoDigest CryptoDigest;
CryptoDigest *crypto_digest_new(void);
void crypto_digest_add(CryptoDigest *digest, const void *data, gsize length);
void crypto_digest_end(CryptoDigest *digest, char ret_hex[CRYPTO_SHA256_HEX_SIZE]);
void crypto_digest_free(CryptoDigest *digest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CryptoDigest, crypto_digest_free)

/* Compares in a time that depends on length only. */
gboolean crypto_equal(const void *a, const void *b, gsize length);

/* Reads the master key, or makes it (0600) when the file does not exist and create is set. */
gboolean crypto_load_key(const char *path, gboolean create, guint8 ret_key[CRYPTO_KEY_SIZE],
                         GError **error);
/* base64 of nonce, cipher text and tag. */
char *crypto_seal(const guint8 key[CRYPTO_KEY_SIZE], const char *clear);
/* The clear text; fails with INTERNAL when key or text are not the ones that were sealed. */
char *crypto_unseal(const guint8 key[CRYPTO_KEY_SIZE], const char *sealed, GError **error);
