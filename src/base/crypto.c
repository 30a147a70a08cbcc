#include "base/crypto.h"
#include "base/errors.h"
#include "base/id.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <unistd.h>

#define NONCE_SIZE 12
#define TAG_SIZE   16

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)

void crypto_sha256(const void *data, gsize length, guint8 ret_digest[CRYPTO_SHA256_SIZE])
{
    if (EVP_Digest(data, length, ret_digest, NULL, EVP_sha256(), NULL) != 1)
        g_error("SHA-256 failed");
}

void crypto_hex(const guint8 *bytes, gsize length, char *ret_hex)
{
    for (gsize i = 0; i < length; i++) {
        ret_hex[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        ret_hex[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    ret_hex[2 * length] = '\0';
}

void crypto_sha256_hex(const void *data, gsize length, char ret_hex[CRYPTO_SHA256_HEX_SIZE])
{
    guint8 digest[CRYPTO_SHA256_SIZE];

    crypto_sha256(data, length, digest);
    crypto_hex(digest, sizeof digest, ret_hex);
}

void crypto_hmac_sha256(const void *key, gsize key_length, const void *data, gsize length,
                        guint8 ret_mac[CRYPTO_SHA256_SIZE])
{
    guint size = CRYPTO_SHA256_SIZE;

    if (!HMAC(EVP_sha256(), key, (int)key_length, data, length, ret_mac, &size))
        g_error("HMAC-SHA-256 failed");
}

struct CryptoDigest {
    EVP_MD_CTX *context;
};

CryptoDigest *crypto_digest_new(void)
{
    CryptoDigest *digest = g_new0(CryptoDigest, 1);

    digest->context = EVP_MD_CTX_new();
    if (EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1)
        g_error("SHA-256 failed");
    return digest;
}

void crypto_digest_add(CryptoDigest *digest, const void *data, gsize length)
{
    if (EVP_DigestUpdate(digest->context, data, length) != 1)
        g_error("SHA-256 failed");
}

void crypto_digest_end(CryptoDigest *digest, char ret_hex[CRYPTO_SHA256_HEX_SIZE])
{
    guint8 bytes[CRYPTO_SHA256_SIZE];

    if (EVP_DigestFinal_ex(digest->context, bytes, NULL) != 1)
        g_error("SHA-256 failed");
    crypto_hex(bytes, sizeof bytes, ret_hex);
    crypto_digest_free(digest);
}

void crypto_digest_free(CryptoDigest *digest)
{
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->context);
    g_free(digest);
}

gboolean crypto_equal(const void *a, const void *b, gsize length)
{
    return CRYPTO_memcmp(a, b, length) == 0;
}

static gboolean key_create(const char *path, guint8 key[CRYPTO_KEY_SIZE], GError **error)
{
    g_autofree char *temporary = g_strdup_printf("%s.%d.new", path, (int)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return fail(error, CONFIG, "cannot create \"%s\": %s", temporary, g_strerror(errno));
    id_random(key, CRYPTO_KEY_SIZE);
    gboolean written = write(fd, key, CRYPTO_KEY_SIZE) == CRYPTO_KEY_SIZE && fsync(fd) == 0;
    close(fd);
    if (!written || link(temporary, path) < 0) {
        int cause = errno;
        unlink(temporary);
        return fail(error, CONFIG, "cannot write \"%s\": %s", path, g_strerror(cause));
    }
    unlink(temporary);
    return TRUE;
}

gboolean crypto_load_key(const char *path, gboolean create, guint8 ret_key[CRYPTO_KEY_SIZE],
                         GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && create)
        return key_create(path, ret_key, error);
    if (fd < 0)
        return fail(error, CONFIG, "cannot read master key \"%s\": %s", path, g_strerror(errno));
    ssize_t got = read(fd, ret_key, CRYPTO_KEY_SIZE);
    close(fd);
    if (got != CRYPTO_KEY_SIZE)
        return fail(error, CONFIG, "master key \"%s\" is not %d bytes long", path, CRYPTO_KEY_SIZE);
    return TRUE;
}

char *crypto_seal(const guint8 key[CRYPTO_KEY_SIZE], const char *clear)
{
    gsize length = strlen(clear);
    g_autofree guint8 *out = g_malloc(NONCE_SIZE + length + TAG_SIZE);
    g_autoptr(EVP_CIPHER_CTX) cipher = EVP_CIPHER_CTX_new();
    int written = 0, last = 0;

    id_random(out, NONCE_SIZE);
    if (EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, out) != 1 ||
        EVP_EncryptUpdate(cipher, out + NONCE_SIZE, &written, (const guint8 *)clear, (int)length) !=
            1 ||
        EVP_EncryptFinal_ex(cipher, out + NONCE_SIZE + written, &last) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, out + NONCE_SIZE + length) != 1)
        g_error("AES-256-GCM failed");
    return g_base64_encode(out, NONCE_SIZE + length + TAG_SIZE);
}

char *crypto_unseal(const guint8 key[CRYPTO_KEY_SIZE], const char *sealed, GError **error)
{
    gsize size = 0;
    g_autofree guint8 *in = g_base64_decode(sealed, &size);
    g_autoptr(EVP_CIPHER_CTX) cipher = EVP_CIPHER_CTX_new();
    int written = 0, last = 0;

    if (size < NONCE_SIZE + TAG_SIZE)
        return fail_null(error, INTERNAL, "sealed text is too short");
    gsize length = size - NONCE_SIZE - TAG_SIZE;
    g_autofree char *clear = g_malloc0(length + 1);
    if (EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, in) != 1 ||
        EVP_DecryptUpdate(cipher, (guint8 *)clear, &written, in + NONCE_SIZE, (int)length) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, in + size - TAG_SIZE) != 1 ||
        EVP_DecryptFinal_ex(cipher, (guint8 *)clear + written, &last) != 1)
        return fail_null(error, INTERNAL,
                         "sealed text does not open with this master key: it was sealed by "
                         "another installation, or changed");
    return g_steal_pointer(&clear);
}
