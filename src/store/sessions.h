/*
 * store/sessions.h - rows of table "sessions": temporary credentials of roles (sql/identity)
 *
 * A session is made for a subject, an instance id, and its agent may act for that one only. The
 * token's digest is kept, never the token. Times are UTC microseconds. Callers free records.
 * Errors: those of db.h.
 */
#pragma once

#include "base/crypto.h"
#include "store/db.h"

/* The role that an instance's container agent acts as. */
#define SESSION_AGENT_ROLE "ecsInstanceRole"

typedef struct {
    char *access_key_id;
    char *account_id;
    char *role_name;
    char *role_id;
    char *session_name;
    char *subject; /* NULL: made for nothing in particular */
    char *sealed_secret;
    char token_sha256[CRYPTO_SHA256_HEX_SIZE];
    gint64 expires_us;
    gboolean is_admin; /* the account is */
} RoleSession;

void role_session_free(RoleSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RoleSession, role_session_free)

/* NULL without an error when there is none. */
RoleSession *sessions_find(DbTx *tx, const char *access_key_id, GError **error);

/* Credentials as they are handed out; once, here. */
typedef struct {
    char *access_key_id;
    char *secret;
    char *token;
    gint64 expires_us;
} SessionCredentials;

void session_credentials_free(SessionCredentials *credentials);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SessionCredentials, session_credentials_free)

/* Makes and keeps credentials of a role for subject (may be NULL) that end at expires_us. The
 * role's id is derived from account and name, so that it stays the same. */
SessionCredentials *sessions_make(DbTx *tx, const guint8 master_key[CRYPTO_KEY_SIZE],
                                  const char *account_id, const char *role_name,
                                  const char *session_name, const char *subject, gint64 expires_us,
                                  GError **error);
/* Deletes what ended more than an hour ago. */
gboolean sessions_prune(DbTx *tx, GError **error);
