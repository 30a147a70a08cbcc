#include "drivers/certificate.h"
#include "base/errors.h"
#include "base/id.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BITS       2048
#define AUTHORITY_DAYS 3650
#define SERVER_DAYS    730
#define RENEW_DAYS     30

G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509, X509_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_free_all)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GENERAL_NAMES, GENERAL_NAMES_free)

static gboolean fail_openssl(GError **error, const char *attempt)
{
    char cause[256] = "no cause given";
    unsigned long code = ERR_get_error();

    if (code)
        ERR_error_string_n(code, cause, sizeof cause);
    ERR_clear_error();
    return fail(error, CONFIG, "%s: %s", attempt, cause);
}

/* Writes what bio holds to file by way of a temporary one. */
static gboolean bio_save(BIO *bio, const char *file, mode_t mode, GError **error)
{
    char *data = NULL;
    long length = BIO_get_mem_data(bio, &data);
    g_autoptr(GError) cause = NULL;

    if (!g_file_set_contents_full(file, data, length,
                                  G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                  (int)mode, &cause))
        return fail(error, CONFIG, "cannot write \"%s\": %s", file, cause->message);
    return TRUE;
}

static gboolean key_save(EVP_PKEY *key, const char *file, mode_t mode, GError **error)
{
    g_autoptr(BIO) bio = BIO_new(BIO_s_mem());

    if (!PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
        return fail_openssl(error, "cannot write a private key");
    return bio_save(bio, file, mode, error);
}

static gboolean cert_save(X509 *cert, const char *file, GError **error)
{
    g_autoptr(BIO) bio = BIO_new(BIO_s_mem());

    if (!PEM_write_bio_X509(bio, cert))
        return fail_openssl(error, "cannot write a certificate");
    return bio_save(bio, file, 0644, error);
}

static X509 *cert_load(const char *file)
{
    g_autoptr(BIO) bio = BIO_new_file(file, "r");
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    ERR_clear_error();
    return cert;
}

static EVP_PKEY *key_load(const char *file)
{
    g_autoptr(BIO) bio = BIO_new_file(file, "r");
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

    ERR_clear_error();
    return key;
}

static gboolean set_serial(X509 *cert)
{
    guint64 serial = 0;

    id_random(&serial, sizeof serial);
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1;
}

/* A certificate without issuer, extensions and signature. */
static X509 *cert_begin(EVP_PKEY *key, const char *name, int days, GError **error)
{
    g_autoptr(X509) cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);

    if (X509_set_version(cert, X509_VERSION_3) != 1 || !set_serial(cert) ||
        !X509_gmtime_adj(X509_getm_notBefore(cert), -3600) ||
        !X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL) ||
        X509_set_pubkey(cert, key) != 1 ||
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const guint8 *)name, -1, -1, 0) !=
            1) {
        fail_openssl(error, "cannot make a certificate");
        return NULL;
    }
    return g_steal_pointer(&cert);
}

static gboolean add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    if (!extension)
        return FALSE;
    gboolean added = X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

/* "IP:..." or "DNS:...". A DNS name is taken as it stands: stock agents ask for "HOST:PORT". */
static GENERAL_NAME *general_name(const char *text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();

    if (g_str_has_prefix(text, "IP:")) {
        ASN1_OCTET_STRING *ip = a2i_IPADDRESS(text + 3);
        if (!ip)
            return GENERAL_NAME_free(name), NULL;
        GENERAL_NAME_set0_value(name, GEN_IPADD, ip);
    } else {
        ASN1_IA5STRING *dns = ASN1_IA5STRING_new();
        ASN1_STRING_set(dns, text + strlen("DNS:"), -1);
        GENERAL_NAME_set0_value(name, GEN_DNS, dns);
    }
    return name;
}

static gboolean add_names(X509 *cert, const char *const *names, GError **error)
{
    g_autoptr(GENERAL_NAMES) list = sk_GENERAL_NAME_new_null();

    for (; *names; names++) {
        GENERAL_NAME *name = general_name(*names);
        if (!name)
            return fail(error, CONFIG, "\"%s\" is not an address", *names);
        sk_GENERAL_NAME_push(list, name);
    }
    if (X509_add1_ext_i2d(cert, NID_subject_alt_name, list, 0, X509V3_ADD_APPEND) != 1)
        return fail_openssl(error, "cannot put names into a certificate");
    return TRUE;
}

gboolean certificate_make_authority(const char *name, const char *cert_file, const char *key_file,
                                    GError **error)
{
    g_autoptr(EVP_PKEY) key = EVP_RSA_gen(KEY_BITS);
    g_autoptr(X509) cert = key ? cert_begin(key, name, AUTHORITY_DAYS, error) : NULL;

    if (!key)
        return fail_openssl(error, "cannot make an RSA key");
    if (!cert)
        return FALSE;
    if (X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1 ||
        !add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(cert, cert, NID_subject_key_identifier, "hash") ||
        !X509_sign(cert, key, EVP_sha256()))
        return fail_openssl(error, "cannot sign the authority's certificate");
    return key_save(key, key_file, 0600, error) && cert_save(cert, cert_file, error);
}

gboolean certificate_make_server(const char *ca_cert, const char *ca_key, CertificateKey kind,
                                 const char *const *names, const char *cert_file,
                                 const char *key_file, GError **error)
{
    /* RFC 8446 section 4.4.2.2, RFC 5246 section 7.4.2: RSA keys may exchange keys too. */
    const char *usage = kind == CERTIFICATE_RSA ? "critical,digitalSignature,keyEncipherment"
                                                : "critical,digitalSignature";
    g_autoptr(X509) issuer = cert_load(ca_cert);
    g_autoptr(EVP_PKEY) issuer_key = key_load(ca_key);
    g_autoptr(EVP_PKEY) key = kind == CERTIFICATE_RSA ? EVP_RSA_gen(KEY_BITS) : EVP_EC_gen("P-256");

    if (!issuer || !issuer_key || !key)
        return fail(error, CONFIG, "cannot read the authority \"%s\" and its key", ca_cert);
    g_autoptr(X509) cert = cert_begin(key, "berth", SERVER_DAYS, error);
    if (!cert || !add_names(cert, names, error))
        return FALSE;
    if (X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1 ||
        !add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(cert, issuer, NID_key_usage, usage) ||
        !add_extension(cert, issuer, NID_ext_key_usage, "serverAuth") ||
        !add_extension(cert, issuer, NID_subject_key_identifier, "hash") ||
        !add_extension(cert, issuer, NID_authority_key_identifier, "keyid") ||
        !X509_sign(cert, issuer_key, EVP_sha256()))
        return fail_openssl(error, "cannot sign the server's certificate");
    return key_save(key, key_file, 0640, error) && cert_save(cert, cert_file, error);
}

/* -- is it still good */
gboolean certificate_authority_exists(const char *cert_file, const char *key_file)
{
    g_autoptr(X509) cert = cert_load(cert_file);
    g_autoptr(EVP_PKEY) key = key_load(key_file);

    return cert && key && X509_check_private_key(cert, key) == 1;
}

static gboolean has_name(GENERAL_NAMES *list, const char *text)
{
    GENERAL_NAME *wanted = general_name(text);
    gboolean found = FALSE;

    for (int i = 0; i < sk_GENERAL_NAME_num(list) && wanted && !found; i++)
        found = GENERAL_NAME_cmp(sk_GENERAL_NAME_value(list, i), wanted) == 0;
    GENERAL_NAME_free(wanted);
    return found;
}

static gboolean lasts(const X509 *cert)
{
    int days = 0, seconds = 0;

    return ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) == 1 &&
           days >= RENEW_DAYS;
}

gboolean certificate_covers(const char *ca_cert, const char *const *names, const char *cert_file,
                            const char *key_file)
{
    g_autoptr(X509) issuer = cert_load(ca_cert);
    g_autoptr(X509) cert = cert_load(cert_file);
    g_autoptr(EVP_PKEY) key = key_load(key_file);

    if (!issuer || !cert || !key || X509_check_private_key(cert, key) != 1 ||
        X509_verify(cert, X509_get0_pubkey(issuer)) != 1 || !lasts(cert)) {
        ERR_clear_error();
        return FALSE;
    }
    g_autoptr(GENERAL_NAMES) list = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (; *names; names++)
        if (!list || !has_name(list, *names))
            return FALSE;
    return TRUE;
}
