/*
 * model/ssh_key.h - key pairs in the forms of EC2: made, or taken from an OpenSSH public line
 *
 * RSA private keys are PKCS#1 PEM, Ed25519 ones OpenSSH's own format; the private half exists only
 * in the answer that hands it out. Fingerprints are EC2's: a made RSA key has the SHA-1 of its DER
 * PKCS#8 private key, an imported one the MD5 of its DER public key, Ed25519 the base64 SHA-256 of
 * the OpenSSH blob.
 * Source: EC2 API Reference CreateKeyPair, ImportKeyPair; RFC 4253 section 6.6; RFC 8709;
 * OpenSSH PROTOCOL.key.
 */
#pragma once

#include <glib.h>

typedef enum { SSH_KEY_RSA, SSH_KEY_ED25519 } SshKeyType;

#define SSH_KEY_RSA_BITS 2048

typedef struct {
    SshKeyType type;
    char *public_line; /* "ssh-ed25519 AAAA... comment" */
    char *private_pem; /* NULL for an imported key */
    char *fingerprint;
} SshKey;

void ssh_key_free(SshKey *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SshKey, ssh_key_free)

/* "rsa", "ed25519"; static. */
const char *ssh_key_type_name(SshKeyType type);
/* A new key; comment becomes part of the public line. Error: INTERNAL (libcrypto). */
SshKey *ssh_key_generate(SshKeyType type, const char *comment, GError **error);
/* The key of one OpenSSH public line, length bytes: RSA of 1024 to 8192 bits, or Ed25519. Options
 * in front of the type are not taken. Error: KEY_PAIR_FORMAT in EC2's words. */
SshKey *ssh_key_import(const char *line, gsize length, GError **error);
