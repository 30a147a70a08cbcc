#include "model/metadata_token.h"

#include <string.h>

#define MAC_SIZE   26 /* a multiple of 3 with the rest: base64 leaves no bit that may vary */
#define PLAIN_SIZE (8 + METADATA_TOKEN_NONCE)
#define RAW_SIZE   (PLAIN_SIZE + MAC_SIZE)

G_STATIC_ASSERT(RAW_SIZE % 3 == 0);
G_STATIC_ASSERT((RAW_SIZE + 2) / 3 * 4 + 1 == METADATA_TOKEN_SIZE);

static void token_mac(const guint8 key[CRYPTO_KEY_SIZE], const char *instance_id,
                      const guint8 plain[PLAIN_SIZE], guint8 ret_mac[CRYPTO_SHA256_SIZE])
{
    g_autoptr(GByteArray) words = g_byte_array_new();

    g_byte_array_append(words, plain, PLAIN_SIZE);
    g_byte_array_append(words, (const guint8 *)instance_id, (guint)strlen(instance_id));
    crypto_hmac_sha256(key, CRYPTO_KEY_SIZE, words->data, words->len, ret_mac);
}

void metadata_token_make(const guint8 key[CRYPTO_KEY_SIZE], const char *instance_id,
                         const guint8 nonce[METADATA_TOKEN_NONCE], gint64 expires_us,
                         char ret_token[METADATA_TOKEN_SIZE])
{
    guint8 raw[RAW_SIZE], mac[CRYPTO_SHA256_SIZE];
    guint64 ends = GUINT64_TO_BE((guint64)expires_us);

    memcpy(raw, &ends, sizeof ends);
    memcpy(raw + sizeof ends, nonce, METADATA_TOKEN_NONCE);
    token_mac(key, instance_id, raw, mac);
    memcpy(raw + PLAIN_SIZE, mac, MAC_SIZE);
    g_autofree char *text = g_base64_encode(raw, sizeof raw);
    /* the alphabet that may stand in a header and a shell word alike */
    g_strdelimit(text, "+", '-');
    g_strdelimit(text, "/", '_');
    g_strlcpy(ret_token, text, METADATA_TOKEN_SIZE);
}

static gboolean token_decode(const char *token, guint8 ret_raw[RAW_SIZE])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789-_";
    gsize length = strlen(token);

    if (length != METADATA_TOKEN_SIZE - 1 || strspn(token, alphabet) != length)
        return FALSE;
    g_autofree char *text = g_strdup(token);
    g_strdelimit(text, "-", '+');
    g_strdelimit(text, "_", '/');
    gsize size = 0;
    g_autofree guchar *raw = g_base64_decode(text, &size);
    g_autofree char *again = g_base64_encode(raw, size); /* bits that mean nothing are zero */
    if (size != RAW_SIZE || strcmp(again, text) != 0)
        return FALSE;
    memcpy(ret_raw, raw, RAW_SIZE);
    return TRUE;
}

gboolean metadata_token_good(const guint8 key[CRYPTO_KEY_SIZE], const char *instance_id,
                             const char *token, gint64 now_us)
{
    guint8 raw[RAW_SIZE], mac[CRYPTO_SHA256_SIZE];
    guint64 ends;

    if (!token_decode(token, raw))
        return FALSE;
    token_mac(key, instance_id, raw, mac);
    memcpy(&ends, raw, sizeof ends);
    return crypto_equal(mac, raw + PLAIN_SIZE, MAC_SIZE) && (gint64)GUINT64_FROM_BE(ends) > now_us;
}

void metadata_token_key(const guint8 master_key[CRYPTO_KEY_SIZE], guint8 ret_key[CRYPTO_KEY_SIZE])
{
    static const char label[] = "metadata token 1";

    crypto_hmac_sha256(master_key, CRYPTO_KEY_SIZE, label, sizeof label - 1, ret_key);
}

gint metadata_ttl_parse(const char *text)
{
    guint64 seconds = 0;

    if (!text ||
        !g_ascii_string_to_unsigned(text, 10, METADATA_TTL_MIN, METADATA_TTL_MAX, &seconds, NULL))
        return 0;
    return (gint)seconds;
}
