/*
 * store/sessions.h - rows of table "sessions": temporary credentials of roles (sql/identity)
 *
 * A session is made for a subject, an instance id, and its agent may act for that one only. The
 * token's digest is kept, never the token. Times are UTC microseconds. Callers free records.
 * Errors: those of db.h.
 */
#pragma once

#include "base/crypto.h"
#include "model/policy.h"
#include "store/db.h"

/* The role that an instance's container agent acts as. */
#define SESSION_AGENT_ROLE "ecsInstanceRole"

typedef struct {
    char *access_key_id;
    char *account_id;
    char *role_name;
    char *role_id;
    char *session_name;
    SessionKind kind;
    char *subject; /* instance or task id; NULL: made for nothing in particular */
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

/* What credentials are wanted. */
typedef struct {
    const char *account_id;
    const char *role_name;
    const char *session_name;
    SessionKind kind;
    const char *subject; /* NULL for SESSION_ASSUMED alone */
    gint64 expires_us;
} SessionWish;

/* Makes and keeps credentials of a role. NO_SUCH_ENTITY when there is no such role. */
SessionCredentials *sessions_grant(DbTx *tx, const guint8 master_key[CRYPTO_KEY_SIZE],
                                   const SessionWish *wish, GError **error);
/* The same for an instance. */
SessionCredentials *sessions_make(DbTx *tx, const guint8 master_key[CRYPTO_KEY_SIZE],
                                  const char *account_id, const char *role_name,
                                  const char *session_name, const char *subject, gint64 expires_us,
                                  GError **error);
/* How long credentials that last so long are handed out before new ones are made: five sixths. */
gint64 session_fresh_us(gint64 lasts_us);
/* Deletes those that were made for any of these instances and tasks; ends with NULL. */
gboolean sessions_revoke(DbTx *tx, const char *const *subjects, GError **error);
/* Deletes the sessions of an instance's agent that its newest, access_key_id, takes the place of:
 * those that were made to last at least so long; NULL: all of them. The metadata service's last
 * hours and stay. */
gboolean sessions_supersede(DbTx *tx, const char *subject, const char *access_key_id,
                            gint64 lasts_us, GError **error);
/* Deletes the sessions of an instance's agent that end before its session access_key_id does: that
 * was used, so they are not needed any more. */
gboolean sessions_retire(DbTx *tx, const char *subject, const char *access_key_id, GError **error);
/* Deletes what ended more than an hour ago. */
gboolean sessions_prune(DbTx *tx, GError **error);
