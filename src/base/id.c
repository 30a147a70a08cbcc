#include "base/id.h"
#include "base/crypto.h"

#include <string.h>
#include <sys/random.h>

void id_random(void *buffer, gsize length)
{
    gsize done = 0;

    while (done < length) {
        ssize_t got = getrandom((char *)buffer + done, length - done, 0);
        if (got < 0)
            g_error("getrandom failed");
        done += (gsize)got;
    }
}

static char *hex_digits(const guint8 *bytes, gsize digits)
{
    char *text = g_malloc(digits + 1);

    for (gsize i = 0; i < digits; i++)
        text[i] = "0123456789abcdef"[(bytes[i / 2] >> (i % 2 ? 0 : 4)) & 15];
    text[digits] = '\0';
    return text;
}

char *id_ec2(const char *prefix)
{
    guint8 bytes[9];
    g_autofree char *digits = NULL;

    id_random(bytes, sizeof bytes);
    digits = hex_digits(bytes, 17);
    return g_strconcat(prefix, "-", digits, NULL);
}

char *id_ec2_derived(const char *prefix, const char *const *words)
{
    g_autofree char *joined = g_strjoinv("\n", (char **)words);
    guint8 digest[CRYPTO_SHA256_SIZE];
    g_autofree char *digits = NULL;

    crypto_sha256(joined, strlen(joined), digest);
    digits = hex_digits(digest, 17);
    return g_strconcat(prefix, "-", digits, NULL);
}

char *id_hex32(void)
{
    guint8 bytes[16];

    id_random(bytes, sizeof bytes);
    return hex_digits(bytes, 32);
}

char *id_uuid(void)
{
    guint8 b[16];
    g_autofree char *h = NULL;

    id_random(b, sizeof b);
    b[6] = (guint8)((b[6] & 0x0f) | 0x40);
    b[8] = (guint8)((b[8] & 0x3f) | 0x80);
    h = hex_digits(b, 32);
    return g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
}

static char *from_alphabet(const char *prefix, const char *alphabet, guint count, gsize length)
{
    gsize start = strlen(prefix);
    char *text = g_malloc(length + 1);

    memcpy(text, prefix, start);
    for (gsize i = start; i < length;) {
        guint8 byte;
        id_random(&byte, 1);
        if (byte < 256 / count * count)
            text[i++] = alphabet[byte % count];
    }
    text[length] = '\0';
    return text;
}

char *id_deployment(void)
{
    g_autofree char *first = from_alphabet("ecs-svc/", "123456789", 9, 9);

    return from_alphabet(first, "0123456789", 10, strlen("ecs-svc/") + 19);
}

char *id_iam(const char *prefix, gsize length)
{
    return from_alphabet(prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 32, length);
}

char *id_secret(gsize length)
{
    return from_alphabet("", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 64,
                         length);
}

gboolean id_is_hex(const char *text, gsize count)
{
    if (!text || strlen(text) != count)
        return FALSE;
    return strspn(text, "0123456789abcdef") == count;
}

gboolean id_is_ec2(const char *text, const char *prefix)
{
    gsize length = strlen(prefix);

    if (!text || strncmp(text, prefix, length) != 0 || text[length] != '-')
        return FALSE;
    return id_is_hex(text + length + 1, 17) || id_is_hex(text + length + 1, 8);
}
