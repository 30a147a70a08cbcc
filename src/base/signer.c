#include "base/signer.h"
#include "base/errors.h"
#include "base/id.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#define KEY_BITS      2048
#define VALID_SECONDS (20L * 365 * 24 * 3600)
#define LINE_LENGTH   76
#define BASE64_MAX    4096

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_free_all)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD_CTX, EVP_MD_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509, X509_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CMS_ContentInfo, CMS_ContentInfo_free)

struct Signer {
    EVP_PKEY *key;
    X509 *certificate;
};

static gboolean fail_crypto(GError **error, const char *what)
{
    char reason[256];

    ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
    ERR_clear_error();
    return fail(error, INTERNAL, "%s: %s", what, reason);
}

static char *bio_text(BIO *bio)
{
    char *data = NULL;
    long length = BIO_get_mem_data(bio, &data);

    return g_strndup(data, (gsize)length);
}

static X509 *certificate_make(EVP_PKEY *key, const char *name)
{
    g_autoptr(X509) certificate = X509_new();
    X509_NAME *subject = certificate ? X509_get_subject_name(certificate) : NULL;
    guint32 serial = 0;

    id_random(&serial, sizeof serial);
    if (!subject || X509_set_version(certificate, X509_VERSION_3) != 1 ||
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), (long)(serial & G_MAXINT32)) != 1 ||
        !X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) ||
        !X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_SECONDS) ||
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const guchar *)name, -1, -1, 0) !=
            1 ||
        X509_set_issuer_name(certificate, subject) != 1 || X509_set_pubkey(certificate, key) != 1 ||
        X509_sign(certificate, key, EVP_sha256()) == 0)
        return NULL;
    return g_steal_pointer(&certificate);
}

gboolean signer_make(const char *name, char **ret_key, char **ret_certificate, GError **error)
{
    g_autoptr(EVP_PKEY) key = EVP_RSA_gen(KEY_BITS);
    g_autoptr(X509) certificate = key ? certificate_make(key, name) : NULL;
    g_autoptr(BIO) key_text = BIO_new(BIO_s_secmem());
    g_autoptr(BIO) certificate_text = BIO_new(BIO_s_mem());

    if (!certificate || PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_X509(certificate_text, certificate) != 1)
        return fail_crypto(error, "cannot make a signing key");
    *ret_key = bio_text(key_text);
    *ret_certificate = bio_text(certificate_text);
    return TRUE;
}

static X509 *certificate_read(const char *text)
{
    g_autoptr(BIO) bio = BIO_new_mem_buf(text, -1);

    return PEM_read_bio_X509(bio, NULL, NULL, NULL);
}

Signer *signer_new(const char *key, const char *certificate, GError **error)
{
    g_autoptr(Signer) signer = g_new0(Signer, 1);
    g_autoptr(BIO) bio = BIO_new_mem_buf(key, -1);

    signer->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    signer->certificate = certificate_read(certificate);
    if (!signer->key || !signer->certificate) {
        fail_crypto(error, "cannot read the signing key");
        return NULL;
    }
    return g_steal_pointer(&signer);
}

void signer_free(Signer *signer)
{
    if (!signer)
        return;
    EVP_PKEY_free(signer->key);
    X509_free(signer->certificate);
    g_free(signer);
}

static char *lines(const guint8 *data, gsize length)
{
    g_autofree char *text = g_base64_encode(data, length);
    g_autoptr(GString) out = g_string_new(NULL);

    for (gsize at = 0, size = strlen(text); at < size; at += LINE_LENGTH) {
        g_string_append(out, at ? "\n" : "");
        g_string_append_len(out, text + at, (gssize)MIN(LINE_LENGTH, size - at));
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char *signer_sign(const Signer *signer, const char *text, GError **error)
{
    g_autoptr(EVP_MD_CTX) context = EVP_MD_CTX_new();
    guint8 signature[KEY_BITS / 8];
    gsize length = sizeof signature;

    if (EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, signer->key) != 1 ||
        EVP_DigestSign(context, signature, &length, (const guchar *)text, strlen(text)) != 1) {
        fail_crypto(error, "cannot sign");
        return NULL;
    }
    return lines(signature, length);
}

char *signer_cms(const Signer *signer, const char *text, GError **error)
{
    g_autoptr(BIO) in = BIO_new_mem_buf(text, -1);
    g_autoptr(CMS_ContentInfo) message = CMS_sign(signer->certificate, signer->key, NULL, in,
                                                  CMS_BINARY | CMS_NOSMIMECAP | CMS_NOCERTS);
    guint8 *der = NULL;
    int length = message ? i2d_CMS_ContentInfo(message, &der) : -1;

    if (length < 0) {
        fail_crypto(error, "cannot sign");
        return NULL;
    }
    char *base64 = lines(der, (gsize)length);
    OPENSSL_free(der);
    return base64;
}

gboolean signer_verify(const char *certificate, const char *text, const char *base64)
{
    g_autoptr(X509) read = certificate_read(certificate);
    g_autoptr(EVP_MD_CTX) context = EVP_MD_CTX_new();
    EVP_PKEY *key = read ? X509_get0_pubkey(read) : NULL;
    gsize length = 0;

    if (!key || strlen(base64) > BASE64_MAX)
        return FALSE;
    g_autofree guchar *signature = g_base64_decode(base64, &length);
    gboolean good =
        EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestVerify(context, signature, length, (const guchar *)text, strlen(text)) == 1;
    ERR_clear_error();
    return good;
}
