#include "wire/sigv4.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "wire/canonical.h"

#include <string.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

/* The parts of a signature, in either form. */
typedef struct {
    char *algorithm;
    char *credential;
    char *signed_headers;
    char *signature;
    char *date;
    char *expires;
    char *token;
    gboolean repeated;  /* a part that came twice */
    gboolean version_2; /* AWSAccessKeyId of Signature Version 2 */
} Parts;

static void parts_clear(Parts *parts)
{
    g_free(parts->algorithm);
    g_free(parts->credential);
    g_free(parts->signed_headers);
    g_free(parts->signature);
    g_free(parts->date);
    g_free(parts->expires);
    g_free(parts->token);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parts, parts_clear)

static void take_part(Parts *parts, char **into, const char *value, gsize length)
{
    if (*into)
        parts->repeated = TRUE;
    else
        *into = g_strndup(value, length);
}

static void take_parameter(GString *name, GString *value, gpointer user)
{
    Parts *parts = user;
    const struct {
        const char *name;
        char **into;
    } known[] = {
        { "X-Amz-Algorithm", &parts->algorithm },
        { "X-Amz-Credential", &parts->credential },
        { "X-Amz-Date", &parts->date },
        { "X-Amz-Expires", &parts->expires },
        { "X-Amz-SignedHeaders", &parts->signed_headers },
        { "X-Amz-Signature", &parts->signature },
        { "X-Amz-Security-Token", &parts->token },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
        if (g_str_equal(name->str, known[i].name))
            take_part(parts, known[i].into, value->str, value->len);
    if (g_str_equal(name->str, "AWSAccessKeyId"))
        parts->version_2 = TRUE;
}

/* "Credential=..., SignedHeaders=..., Signature=..." in any order, with or without spaces. */
static gboolean take_authorization(Parts *parts, const char *text)
{
    const struct {
        const char *name;
        char **into;
    } known[] = {
        { "Credential=", &parts->credential },
        { "SignedHeaders=", &parts->signed_headers },
        { "Signature=", &parts->signature },
    };

    for (text += strspn(text, ", "); *text; text += strspn(text, ", ")) {
        gsize length = strcspn(text, ", ");
        gsize i = 0;

        while (i < G_N_ELEMENTS(known) && !g_str_has_prefix(text, known[i].name))
            i++;
        if (i == G_N_ELEMENTS(known))
            return FALSE;
        gsize skip = strlen(known[i].name);
        take_part(parts, known[i].into, text + skip, length - skip);
        text += length;
    }
    return TRUE;
}

static gboolean is_digits(const char *text, gsize length)
{
    return strlen(text) == length && strspn(text, "0123456789") == length;
}

static gboolean read_credential(const char *text, SigV4Claim *claim, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 6);

    if (g_strv_length(parts) != 5 || !*parts[0] || !is_digits(parts[1], 8) || !*parts[2] ||
        !*parts[3] || !g_str_equal(parts[4], "aws4_request"))
        return fail(error, AUTH_INCOMPLETE,
                    "Credential must be KEY/YYYYMMDD/REGION/SERVICE/aws4_request");
    claim->access_key_id = g_strdup(parts[0]);
    g_strlcpy(claim->date, parts[1], sizeof claim->date);
    claim->region = g_strdup(parts[2]);
    claim->service = g_strdup(parts[3]);
    return TRUE;
}

/* Names in lower case, ascending, none twice, none empty. */
static gboolean check_signed_headers(const char *text, GError **error)
{
    g_auto(GStrv) names = g_strsplit(text, ";", -1);

    for (guint i = 0; names[i]; i++) {
        const char *name = names[i];
        gboolean fine = *name && (i == 0 || strcmp(names[i - 1], name) < 0);
        for (; *name; name++)
            fine = fine && *name > ' ' && *name < 0x7f && *name != ':' && !g_ascii_isupper(*name);
        if (!fine)
            return fail(error, AUTH_INCOMPLETE,
                        "SignedHeaders must be names in lower case, sorted, by semicolon");
    }
    return names[0] ? TRUE : fail(error, AUTH_INCOMPLETE, "SignedHeaders must not be empty");
}

static gboolean is_hex_digest(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* An HTTP date ("Sat, 31 Jan 2026 12:00:00 GMT"): RFC 9110 section 5.6.7. */
static gboolean parse_http_date(const char *text, gint64 *ret_us)
{
    struct tm tm = { 0 };
    const char *rest = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

    if (!rest || *rest)
        return FALSE;
    *ret_us = (gint64)timegm(&tm) * CLOCK_SECOND_US;
    return TRUE;
}

static gboolean read_time(const Parts *parts, SigV4Claim *claim, GError **error)
{
    char buffer[CLOCK_ISO_SIZE];

    if (!parts->date)
        return fail(error, AUTH_INCOMPLETE, "the request has no X-Amz-Date and no Date");
    if (!clock_parse_basic(parts->date, &claim->time_us) &&
        (claim->presigned || !parse_http_date(parts->date, &claim->time_us)))
        return fail(error, AUTH_INCOMPLETE, "the date must be in the form 20260131T120000Z");
    g_strlcpy(claim->time_text, clock_basic(claim->time_us, buffer), sizeof claim->time_text);
    if (strncmp(claim->time_text, claim->date, 8) != 0)
        return fail(error, AUTH_INCOMPLETE,
                    "the Credential's day is not that of the request's date");
    return TRUE;
}

static gboolean read_expires(const Parts *parts, SigV4Claim *claim, GError **error)
{
    const char *text = parts->expires ? parts->expires : "";

    if (strlen(text) <= 6 && is_digits(text, strlen(text)))
        claim->expires_s = g_ascii_strtoll(text, NULL, 10);
    if (claim->expires_s < 1 || claim->expires_s > SIGV4_EXPIRES_MAX)
        return fail(error, AUTH_INCOMPLETE, "X-Amz-Expires must be between 1 and %d",
                    SIGV4_EXPIRES_MAX);
    return TRUE;
}

static gboolean read_parts(Parts *parts, SigV4Claim *claim, GError **error)
{
    if (parts->repeated)
        return fail(error, AUTH_INCOMPLETE, "a part of the signature is there twice");
    if (!parts->algorithm || !g_str_equal(parts->algorithm, ALGORITHM))
        return fail(error, AUTH_INCOMPLETE, "the algorithm must be " ALGORITHM);
    if (!parts->credential || !parts->signed_headers || !parts->signature)
        return fail(error, AUTH_INCOMPLETE,
                    "a signature needs Credential, SignedHeaders and Signature");
    if (!is_hex_digest(parts->signature))
        return fail(error, AUTH_INCOMPLETE, "Signature must be 64 hexadecimal digits");
    if (!read_credential(parts->credential, claim, error) ||
        !check_signed_headers(parts->signed_headers, error) || !read_time(parts, claim, error))
        return FALSE;
    g_strlcpy(claim->signature, parts->signature, sizeof claim->signature);
    claim->signed_headers = g_steal_pointer(&parts->signed_headers);
    claim->session_token = g_steal_pointer(&parts->token);
    return !claim->presigned || read_expires(parts, claim, error);
}

static gboolean read_headers(const SigV4Request *request, const char *authorization, Parts *parts,
                             GError **error)
{
    const char *date = NULL, *token = NULL;
    gsize scheme = strcspn(authorization, " ");

    parts->algorithm = g_strndup(authorization, scheme);
    if (!take_authorization(parts, authorization + scheme))
        return fail(error, AUTH_INCOMPLETE, "the Authorization header is malformed");
    if (canonical_header(request, "X-Amz-Date", &date) > 1 ||
        canonical_header(request, "X-Amz-Security-Token", &token) > 1)
        parts->repeated = TRUE;
    if (!date && canonical_header(request, "Date", &date) > 1)
        parts->repeated = TRUE;
    parts->date = g_strdup(date);
    parts->token = g_strdup(token);
    return TRUE;
}

gboolean sigv4_parse(const SigV4Request *request, SigV4Claim *ret_claim, GError **error)
{
    g_auto(Parts) in_query = { 0 };
    g_auto(Parts) in_headers = { 0 };
    g_auto(SigV4Claim) claim = { 0 };
    const char *authorization = NULL;
    guint headers = canonical_header(request, "Authorization", &authorization);

    canonical_query_each(request->query, take_parameter, &in_query);
    claim.presigned = in_query.algorithm || in_query.signature || in_query.credential;
    if (in_query.version_2)
        return fail(error, AUTH_INCOMPLETE, "signature version 2 is not supported");
    if (headers == 0 && !claim.presigned)
        return fail(error, AUTH_MISSING, "Request is missing Authentication Token");
    if (headers > 1 || (headers == 1 && claim.presigned))
        return fail(error, AUTH_INCOMPLETE, "the request has more than one signature");
    if (headers == 1 && !read_headers(request, authorization, &in_headers, error))
        return FALSE;
    if (!read_parts(claim.presigned ? &in_query : &in_headers, &claim, error))
        return FALSE;
    *ret_claim = claim;
    claim = (SigV4Claim){ 0 };
    return TRUE;
}

void sigv4_claim_clear(SigV4Claim *claim)
{
    g_free(claim->access_key_id);
    g_free(claim->region);
    g_free(claim->service);
    g_free(claim->signed_headers);
    g_free(claim->session_token);
    *claim = (SigV4Claim){ 0 };
}

void sigv4_signing_key(const char *secret, const char *date, const char *region,
                       const char *service, guint8 ret_key[SIGV4_KEY_SIZE])
{
    g_autofree char *first = g_strconcat("AWS4", secret, NULL);

    crypto_hmac_sha256(first, strlen(first), date, strlen(date), ret_key);
    crypto_hmac_sha256(ret_key, SIGV4_KEY_SIZE, region, strlen(region), ret_key);
    crypto_hmac_sha256(ret_key, SIGV4_KEY_SIZE, service, strlen(service), ret_key);
    crypto_hmac_sha256(ret_key, SIGV4_KEY_SIZE, "aws4_request", strlen("aws4_request"), ret_key);
    explicit_bzero(first, strlen(first));
}

/* EC2 words these two faults in its own way (API reference, "Common client errors"). */
static gboolean fail_signature(const SigV4Claim *claim, GError **error)
{
    if (g_str_equal(claim->service, "ec2"))
        return fail(error, AUTH_SIGNATURE,
                    "AWS was not able to validate the provided access credentials");
    return fail(error, AUTH_SIGNATURE,
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method. Consult the service "
                "documentation for details.");
}

static gboolean check_clock(const SigV4Claim *claim, gint64 now_us, GError **error)
{
    const gint64 skew_us = SIGV4_SKEW_SECONDS * CLOCK_SECOND_US;
    gint64 life_us = claim->presigned ? claim->expires_s * CLOCK_SECOND_US : skew_us;
    char now[CLOCK_ISO_SIZE], bound[CLOCK_ISO_SIZE];
    gboolean expired = now_us > claim->time_us + life_us;

    if (!expired && now_us >= claim->time_us - skew_us)
        return TRUE;
    if (g_str_equal(claim->service, "ec2"))
        return fail(error, AUTH_CLOCK, "Request has expired.");
    clock_basic(now_us, now);
    if (expired)
        return fail(error, AUTH_CLOCK,
                    "Signature expired: %s is now earlier than %s (%s - %d min.)", claim->time_text,
                    clock_basic(now_us - life_us, bound), now,
                    (int)(life_us / CLOCK_SECOND_US / 60));
    return fail(error, AUTH_CLOCK,
                "Signature not yet current: %s is still later than %s (%s + 15 min.)",
                claim->time_text, clock_basic(now_us + skew_us, bound), now);
}

static gboolean is_signed(const char *signed_headers, const char *name)
{
    gsize length = strlen(name);

    for (const char *at = signed_headers; *at;) {
        gsize segment = strcspn(at, ";");
        if (segment == length && strncmp(at, name, length) == 0)
            return TRUE;
        at += segment + (at[segment] == ';');
    }
    return FALSE;
}

/* A header that decides what is done or for whom must not be open to change on the way. */
static gboolean check_coverage(const SigV4Request *request, const SigV4Claim *claim, GError **error)
{
    static const char *const names[] = { "x-amz-date", "x-amz-target", "x-amz-security-token" };
    const char *value;

    if (canonical_header(request, "Host", &value) != 1 || !is_signed(claim->signed_headers, "host"))
        return fail(error, AUTH_INCOMPLETE, "'Host' must be a 'SignedHeader'");
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        guint count = canonical_header(request, names[i], &value);
        if (count > 1)
            return fail(error, AUTH_INCOMPLETE, "'%s' is there twice", names[i]);
        if (count == 1 && !is_signed(claim->signed_headers, names[i]))
            return fail(error, AUTH_INCOMPLETE, "'%s' must be a 'SignedHeader'", names[i]);
    }
    return TRUE;
}

/* The hash that was signed; NULL when the one the request names is not that of its body. */
static const char *payload_hash(const SigV4Request *request, char buffer[CRYPTO_SHA256_HEX_SIZE])
{
    const char *named = NULL;
    guint count = canonical_header(request, "X-Amz-Content-Sha256", &named);

    if (count > 1)
        return NULL;
    if (count == 1 && request->secure && g_str_equal(named, CANONICAL_PAYLOAD_UNSIGNED))
        return CANONICAL_PAYLOAD_UNSIGNED;
    crypto_sha256_hex(request->body ? request->body : "", request->body_length, buffer);
    return count == 1 && !g_str_equal(named, buffer) ? NULL : buffer;
}

gboolean sigv4_verify(const SigV4Request *request, const SigV4Claim *claim,
                      const guint8 key[SIGV4_KEY_SIZE], gint64 now_us, GError **error)
{
    char hash[CRYPTO_SHA256_HEX_SIZE], signature[CRYPTO_SHA256_HEX_SIZE];

    if (!check_coverage(request, claim, error))
        return FALSE;
    const char *payload = payload_hash(request, hash);
    if (!payload)
        return fail(error, AUTH_SIGNATURE,
                    "The provided 'x-amz-content-sha256' header does not match what was computed.");
    if (!canonical_signature(request, claim->signed_headers, payload, claim->time_text, claim->date,
                             claim->region, claim->service, key, signature) ||
        !crypto_equal(signature, claim->signature, sizeof signature - 1))
        return fail_signature(claim, error);
    return check_clock(claim, now_us, error);
}

static int by_name(const void *a, const void *b)
{
    return g_ascii_strcasecmp(((const SigV4Header *)a)->name, ((const SigV4Header *)b)->name);
}

static char *names_of(const SigV4Header *headers, gsize count)
{
    GString *names = g_string_new(NULL);

    for (gsize i = 0; i < count; i++) {
        if (i > 0 && g_ascii_strcasecmp(headers[i].name, headers[i - 1].name) == 0)
            continue;
        g_autofree char *lower = g_ascii_strdown(headers[i].name, -1);
        g_string_append_printf(names, "%s%s", i ? ";" : "", lower);
    }
    return g_string_free(names, FALSE);
}

void sigv4_sign(const SigV4Request *request, const SigV4Signer *signer, gint64 now_us,
                SigV4Signature *ret_signature)
{
    g_autofree SigV4Header *headers = g_new(SigV4Header, request->header_count + 2);
    SigV4Request whole = *request;
    char now[CLOCK_ISO_SIZE], hash[CRYPTO_SHA256_HEX_SIZE], hex[CRYPTO_SHA256_HEX_SIZE];
    guint8 key[SIGV4_KEY_SIZE];
    gsize count = request->header_count;

    g_strlcpy(ret_signature->date, clock_basic(now_us, now), sizeof ret_signature->date);
    now[8] = '\0';
    if (count)
        memcpy(headers, request->headers, count * sizeof *headers);
    headers[count++] = (SigV4Header){ "X-Amz-Date", ret_signature->date };
    if (signer->session_token)
        headers[count++] = (SigV4Header){ "X-Amz-Security-Token", signer->session_token };
    qsort(headers, count, sizeof *headers, by_name);
    whole.headers = headers;
    whole.header_count = count;

    g_autofree char *names = names_of(headers, count);
    crypto_sha256_hex(request->body ? request->body : "", request->body_length, hash);
    sigv4_signing_key(signer->secret, now, signer->region, signer->service, key);
    canonical_signature(&whole, names, hash, ret_signature->date, now, signer->region,
                        signer->service, key, hex);
    ret_signature->authorization =
        g_strdup_printf(ALGORITHM " Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, "
                                  "Signature=%s",
                        signer->access_key_id, now, signer->region, signer->service, names, hex);
}

void sigv4_signature_clear(SigV4Signature *signature)
{
    g_free(signature->authorization);
    *signature = (SigV4Signature){ 0 };
}
