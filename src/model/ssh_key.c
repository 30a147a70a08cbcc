#include "model/ssh_key.h"
#include "base/errors.h"
#include "base/id.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/encoder.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#define ED25519_SIZE    32
#define RSA_BITS_MIN    1024
#define RSA_BITS_MAX    8192
#define PUBLIC_LINE_MAX 16384
#define PEM_WIDTH       70
#define PRIVATE_PADDING 8

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIGNUM, BN_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_PARAM, OSSL_PARAM_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_ENCODER_CTX, OSSL_ENCODER_CTX_free)

static const char *const type_names[] = { "rsa", "ed25519" };
static const char *const line_names[] = { "ssh-rsa", "ssh-ed25519" };

void ssh_key_free(SshKey *key)
{
    if (!key)
        return;
    g_free(key->public_line);
    if (key->private_pem)
        explicit_bzero(key->private_pem, strlen(key->private_pem));
    g_free(key->private_pem);
    g_free(key->fingerprint);
    g_free(key);
}

const char *ssh_key_type_name(SshKeyType type)
{
    return type_names[type];
}

/* -- SSH's wire format: lengths are 32 bits, big-endian (RFC 4251 section 5) */

static void put_u32(GByteArray *out, guint32 value)
{
    guint32 big = GUINT32_TO_BE(value);

    g_byte_array_append(out, (const guint8 *)&big, sizeof big);
}

static void put_string(GByteArray *out, const void *data, gsize length)
{
    put_u32(out, (guint32)length);
    g_byte_array_append(out, data, (guint)length);
}

static void put_number(GByteArray *out, const BIGNUM *number)
{
    int length = BN_num_bytes(number);
    g_autofree guint8 *bytes = g_malloc0((gsize)length + 1);
    gboolean high = BN_num_bits(number) % 8 == 0;

    BN_bn2bin(number, bytes + 1);
    put_string(out, high ? bytes : bytes + 1, (gsize)length + (high ? 1 : 0));
}

static gboolean get_string(const guint8 **at, gsize *left, const guint8 **ret_data,
                           gsize *ret_length)
{
    guint32 length;

    if (*left < sizeof length)
        return FALSE;
    memcpy(&length, *at, sizeof length);
    length = GUINT32_FROM_BE(length);
    if (length > *left - sizeof length)
        return FALSE;
    *ret_data = *at + sizeof length;
    *ret_length = length;
    *at += sizeof length + length;
    *left -= sizeof length + length;
    return TRUE;
}

static char *public_line(SshKeyType type, const GByteArray *blob, const char *comment)
{
    g_autofree char *text = g_base64_encode(blob->data, blob->len);

    return g_strjoin(" ", line_names[type], text, comment && *comment ? comment : NULL, NULL);
}

/* -- fingerprints */

static char *digest_with_colons(const void *data, gsize length, const EVP_MD *digest)
{
    guint8 bytes[EVP_MAX_MD_SIZE];
    guint size = 0;
    g_autoptr(GString) text = g_string_new(NULL);

    if (EVP_Digest(data, length, bytes, &size, digest, NULL) != 1)
        g_error("digest failed");
    for (guint n = 0; n < size; n++)
        g_string_append_printf(text, "%s%02x", n ? ":" : "", bytes[n]);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *ed25519_fingerprint(const GByteArray *blob)
{
    guint8 digest[EVP_MAX_MD_SIZE];
    guint size = 0;

    if (EVP_Digest(blob->data, blob->len, digest, &size, EVP_sha256(), NULL) != 1)
        g_error("digest failed");
    return g_base64_encode(digest, size);
}

/* -- making */

/* The key in an encoding of OpenSSL's ("PEM" or "DER") and structure ("type-specific", ...). */
static guint8 *encode(EVP_PKEY *key, int selection, const char *format, const char *structure,
                      gsize *ret_length)
{
    g_autoptr(OSSL_ENCODER_CTX) encoder =
        OSSL_ENCODER_CTX_new_for_pkey(key, selection, format, structure, NULL);
    guint8 *data = NULL, *copy = NULL;

    if (!encoder || OSSL_ENCODER_to_data(encoder, &data, ret_length) != 1)
        return NULL;
    copy = g_malloc(*ret_length + 1);
    memcpy(copy, data, *ret_length);
    copy[*ret_length] = '\0';
    OPENSSL_clear_free(data, *ret_length);
    return copy;
}

static gboolean rsa_fill(SshKey *key, EVP_PKEY *pkey, const char *comment)
{
    BIGNUM *n_raw = NULL, *e_raw = NULL;
    gsize length = 0;

    gboolean have = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n_raw) == 1 &&
                    EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e_raw) == 1;
    g_autoptr(BIGNUM) n = n_raw;
    g_autoptr(BIGNUM) e = e_raw;
    if (!have)
        return FALSE;
    g_autoptr(GByteArray) blob = g_byte_array_new();
    put_string(blob, "ssh-rsa", strlen("ssh-rsa"));
    put_number(blob, e);
    put_number(blob, n);
    key->public_line = public_line(SSH_KEY_RSA, blob, comment);
    key->private_pem = (char *)encode(pkey, EVP_PKEY_KEYPAIR, "PEM", "type-specific", &length);
    g_autofree guint8 *der = encode(pkey, EVP_PKEY_KEYPAIR, "DER", "PrivateKeyInfo", &length);
    if (!der || !key->private_pem)
        return FALSE;
    key->fingerprint = digest_with_colons(der, length, EVP_sha1());
    explicit_bzero(der, length);
    return TRUE;
}

static char *openssh_pem(const GByteArray *binary)
{
    g_autofree char *text = g_base64_encode(binary->data, binary->len);
    g_autoptr(GString) pem = g_string_new("-----BEGIN OPENSSH PRIVATE KEY-----\n");

    for (gsize at = 0; at < strlen(text); at += PEM_WIDTH) {
        g_string_append_len(pem, text + at, (gssize)MIN(PEM_WIDTH, strlen(text) - at));
        g_string_append_c(pem, '\n');
    }
    explicit_bzero(text, strlen(text));
    g_string_append(pem, "-----END OPENSSH PRIVATE KEY-----\n");
    return g_string_free(g_steal_pointer(&pem), FALSE);
}

/* One unencrypted key in the format of OpenSSH's PROTOCOL.key. */
static char *openssh_private(const guint8 *seed, const guint8 *public, const GByteArray *blob,
                             const char *comment)
{
    static const char magic[] = "openssh-key-v1";
    g_autoptr(GByteArray) inner = g_byte_array_new();
    g_autoptr(GByteArray) outer = g_byte_array_new();
    guint8 secret[2 * ED25519_SIZE];
    guint32 check;

    memcpy(secret, seed, ED25519_SIZE);
    memcpy(secret + ED25519_SIZE, public, ED25519_SIZE);
    id_random(&check, sizeof check);
    put_u32(inner, check);
    put_u32(inner, check);
    put_string(inner, "ssh-ed25519", strlen("ssh-ed25519"));
    put_string(inner, public, ED25519_SIZE);
    put_string(inner, secret, sizeof secret);
    put_string(inner, comment, strlen(comment));
    for (guint8 pad = 1; inner->len % PRIVATE_PADDING; pad++)
        g_byte_array_append(inner, &pad, 1);
    g_byte_array_append(outer, (const guint8 *)magic, sizeof magic);
    put_string(outer, "none", strlen("none"));
    put_string(outer, "none", strlen("none"));
    put_string(outer, "", 0);
    put_u32(outer, 1);
    put_string(outer, blob->data, blob->len);
    put_string(outer, inner->data, inner->len);
    char *pem = openssh_pem(outer);
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(inner->data, inner->len);
    explicit_bzero(outer->data, outer->len);
    return pem;
}

static gboolean ed25519_fill(SshKey *key, EVP_PKEY *pkey, const char *comment)
{
    guint8 seed[ED25519_SIZE], public[ED25519_SIZE];
    gsize seed_size = sizeof seed, public_size = sizeof public;
    g_autoptr(GByteArray) blob = g_byte_array_new();

    if (EVP_PKEY_get_raw_private_key(pkey, seed, &seed_size) != 1 ||
        EVP_PKEY_get_raw_public_key(pkey, public, &public_size) != 1)
        return FALSE;
    put_string(blob, "ssh-ed25519", strlen("ssh-ed25519"));
    put_string(blob, public, public_size);
    key->public_line = public_line(SSH_KEY_ED25519, blob, comment);
    key->private_pem = openssh_private(seed, public, blob, comment);
    key->fingerprint = ed25519_fingerprint(blob);
    explicit_bzero(seed, sizeof seed);
    return TRUE;
}

SshKey *ssh_key_generate(SshKeyType type, const char *comment, GError **error)
{
    g_autoptr(SshKey) key = g_new0(SshKey, 1);
    g_autoptr(EVP_PKEY) pkey = type == SSH_KEY_RSA ? EVP_RSA_gen((guint)SSH_KEY_RSA_BITS)
                                                   : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    key->type = type;
    if (!pkey ||
        !(type == SSH_KEY_RSA ? rsa_fill(key, pkey, comment) : ed25519_fill(key, pkey, comment)))
        return fail_null(error, INTERNAL, "cannot make a key pair: libcrypto failed");
    return g_steal_pointer(&key);
}

/* -- importing */

static EVP_PKEY *rsa_public(const BIGNUM *n, const BIGNUM *e)
{
    g_autoptr(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    g_autoptr(OSSL_PARAM_BLD) builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;

    if (!context || !builder || !OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) ||
        !OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e))
        return NULL;
    g_autoptr(OSSL_PARAM) params = OSSL_PARAM_BLD_to_param(builder);
    if (!params || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return NULL;
    return pkey;
}

static char *rsa_import(const guint8 *at, gsize left)
{
    const guint8 *e_data, *n_data;
    gsize e_length, n_length;

    if (!get_string(&at, &left, &e_data, &e_length) ||
        !get_string(&at, &left, &n_data, &n_length) || left != 0 || e_length == 0 ||
        n_length == 0 || e_length > 8 || n_length > RSA_BITS_MAX / 8 + 1)
        return NULL;
    g_autoptr(BIGNUM) e = BN_bin2bn(e_data, (int)e_length, NULL);
    g_autoptr(BIGNUM) n = BN_bin2bn(n_data, (int)n_length, NULL);
    if (!BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e) || BN_num_bits(n) < RSA_BITS_MIN ||
        BN_num_bits(n) > RSA_BITS_MAX)
        return NULL;
    g_autoptr(EVP_PKEY) pkey = rsa_public(n, e);
    gsize length = 0;
    g_autofree guint8 *der =
        pkey ? encode(pkey, EVP_PKEY_PUBLIC_KEY, "DER", "SubjectPublicKeyInfo", &length) : NULL;
    return der ? digest_with_colons(der, length, EVP_md5()) : NULL;
}

static char *ed25519_import(const GByteArray *blob, const guint8 *at, gsize left)
{
    const guint8 *public;
    gsize length;

    if (!get_string(&at, &left, &public, &length) || left != 0 || length != ED25519_SIZE)
        return NULL;
    return ed25519_fingerprint(blob);
}

/* "type base64 comment" without control characters; NULL when it is not of that form. */
static char **line_parts(const char *line, gsize length)
{
    if (length == 0 || length > PUBLIC_LINE_MAX || memchr(line, '\0', length))
        return NULL;
    g_autofree char *text = g_strstrip(g_strndup(line, length));
    for (const char *p = text; *p; p++)
        if ((guchar)*p < ' ' || *p == 0x7f)
            return NULL;
    g_auto(GStrv) parts = g_utf8_validate(text, -1, NULL) ? g_strsplit(text, " ", 3) : NULL;
    return parts && parts[0] && parts[1] ? g_steal_pointer(&parts) : NULL;
}

/* The blob of the line when it says the type that stands in front; NULL when not. */
static GByteArray *line_blob(char **parts, SshKeyType *ret_type)
{
    gsize length = 0, name_length = 0;
    const guint8 *name;

    *ret_type = strcmp(parts[0], line_names[SSH_KEY_RSA]) == 0 ? SSH_KEY_RSA : SSH_KEY_ED25519;
    g_autofree guint8 *data = g_base64_decode(parts[1], &length);
    g_autofree char *again = data ? g_base64_encode(data, length) : NULL;
    if (strcmp(parts[0], line_names[*ret_type]) != 0 || g_strcmp0(again, parts[1]) != 0)
        return NULL;
    const guint8 *at = data;
    gsize left = length;
    if (!get_string(&at, &left, &name, &name_length) || name_length != strlen(parts[0]) ||
        memcmp(name, parts[0], name_length) != 0)
        return NULL;
    return g_byte_array_new_take(g_steal_pointer(&data), length);
}

SshKey *ssh_key_import(const char *line, gsize length, GError **error)
{
    g_auto(GStrv) parts = line_parts(line, length);
    g_autoptr(SshKey) key = g_new0(SshKey, 1);
    g_autoptr(GByteArray) blob = parts ? line_blob(parts, &key->type) : NULL;

    if (blob) {
        gsize skip = sizeof(guint32) + strlen(parts[0]);
        const guint8 *at = blob->data + skip;
        key->fingerprint = key->type == SSH_KEY_RSA ? rsa_import(at, blob->len - skip)
                                                    : ed25519_import(blob, at, blob->len - skip);
    }
    if (!key->fingerprint)
        return fail_null(error, KEY_PAIR_FORMAT, "Key is not in valid OpenSSH public key format");
    key->public_line = public_line(key->type, blob, parts[2]);
    return g_steal_pointer(&key);
}
