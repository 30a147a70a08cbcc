/*
 * drivers/certificate.h - an authority of our own and the certificate of this machine's servers
 *
 * RSA 2048 with SHA-256: what every client in the field takes. A server may have a second
 * certificate with a P-256 key, which signs a handshake in a tenth of the time. Keys are PEM,
 * unencrypted, files of mode 0600 (the server's key: 0640, so that its group may read it); each
 * file appears by rename. Errors: CONFIG. Source: RFC 5280.
 */
#pragma once

#include <glib.h>

/* Makes the authority's certificate (ten years) and key. */
gboolean certificate_make_authority(const char *name, const char *cert_file, const char *key_file,
                                    GError **error);
typedef enum { CERTIFICATE_RSA, CERTIFICATE_P256 } CertificateKey;

/* Makes a server certificate (two years) for names: "IP:172.31.0.1", "DNS:localhost". The key file
 * appears first. */
gboolean certificate_make_server(const char *ca_cert, const char *ca_key, CertificateKey kind,
                                 const char *const *names, const char *cert_file,
                                 const char *key_file, GError **error);
/* Whether both files are there, belong together, are signed by the authority, hold all names and
 * last for more than 30 days. */
gboolean certificate_covers(const char *ca_cert, const char *const *names, const char *cert_file,
                            const char *key_file);
/* Whether the authority's two files are there and belong together. */
gboolean certificate_authority_exists(const char *cert_file, const char *key_file);
