/*
 * model/metadata_token.h - session tokens of the metadata service, without a place where they are
 * kept
 *
 * A token says when it ends and carries a MAC over that and the instance it was made for, so any
 * daemon with the key can check it and no instance can use another's. Pure: random bytes and time
 * are arguments. Times are UTC microseconds.
 * Source: EC2 User Guide "Use IMDSv2" (at most six hours; for this instance only).
 */
#pragma once

#include "base/crypto.h"

#define METADATA_TOKEN_NONCE 8
#define METADATA_TOKEN_SIZE  57 /* with the NUL */
#define METADATA_TTL_MIN     1
#define METADATA_TTL_MAX     21600

/* 56 printable characters. */
void metadata_token_make(const guint8 key[CRYPTO_KEY_SIZE], const char *instance_id,
                         const guint8 nonce[METADATA_TOKEN_NONCE], gint64 expires_us,
                         char ret_token[METADATA_TOKEN_SIZE]);
/* Whether it was made with this key for this instance and has not ended. */
gboolean metadata_token_good(const guint8 key[CRYPTO_KEY_SIZE], const char *instance_id,
                             const char *token, gint64 now_us);
/* The key for tokens, from the installation's master key. */
void metadata_token_key(const guint8 master_key[CRYPTO_KEY_SIZE], guint8 ret_key[CRYPTO_KEY_SIZE]);
/* Reads a TTL header: decimal digits, 1 to 21600; 0 when it is none. */
gint metadata_ttl_parse(const char *text);
