#include "store/sessions.h"
#include "base/errors.h"
#include "base/id.h"

#include <string.h>

#define KEY_ID_LENGTH 20
#define SECRET_LENGTH 40
/* Tools written against Amazon's tokens expect this beginning and length. */
#define TOKEN_PREFIX "FQoGZXIvYXdzE"
#define TOKEN_LENGTH 356

void role_session_free(RoleSession *session)
{
    if (!session)
        return;
    g_free(session->access_key_id);
    g_free(session->account_id);
    g_free(session->role_name);
    g_free(session->role_id);
    g_free(session->session_name);
    g_free(session->subject);
    g_free(session->sealed_secret);
    g_free(session);
}

RoleSession *sessions_find(DbTx *tx, const char *access_key_id, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT s.access_key_id, s.account_id, s.role_name, s.role_id, s.session_name,"
                 " s.subject, s.sealed_secret, s.token_sha256, " DB_US(
                     "s.expires_at") ", a.is_admin,"
                                     " s.kind"
                                     " FROM sessions s JOIN accounts a USING (account_id) WHERE "
                                     "s.access_key_id = $1",
                 DB_ARGS(access_key_id));
    if (!res || PQntuples(res) == 0)
        return NULL;
    RoleSession *session = g_new0(RoleSession, 1);
    session->access_key_id = g_strdup(db_text(res, 0, 0));
    session->account_id = g_strdup(db_text(res, 0, 1));
    session->role_name = g_strdup(db_text(res, 0, 2));
    session->role_id = g_strdup(db_text(res, 0, 3));
    session->session_name = g_strdup(db_text(res, 0, 4));
    session->subject = g_strdup(db_text(res, 0, 5));
    session->sealed_secret = g_strdup(db_text(res, 0, 6));
    g_strlcpy(session->token_sha256, db_text(res, 0, 7), sizeof session->token_sha256);
    session->expires_us = db_int64(res, 0, 8);
    session->is_admin = db_truth(res, 0, 9);
    session->kind = session_kind_from(db_text(res, 0, 10));
    return session;
}

void session_credentials_free(SessionCredentials *credentials)
{
    if (!credentials)
        return;
    g_free(credentials->access_key_id);
    g_free(credentials->secret);
    g_free(credentials->token);
    g_free(credentials);
}

static SessionCredentials *credentials_new(gint64 expires_us)
{
    SessionCredentials *made = g_new0(SessionCredentials, 1);
    g_autofree char *random = id_secret(TOKEN_LENGTH - strlen(TOKEN_PREFIX));

    made->access_key_id = id_iam("ASIA", KEY_ID_LENGTH);
    made->secret = id_secret(SECRET_LENGTH);
    made->token = g_strconcat(TOKEN_PREFIX, random, NULL);
    made->expires_us = expires_us;
    return made;
}

SessionCredentials *sessions_grant(DbTx *tx, const guint8 master_key[CRYPTO_KEY_SIZE],
                                   const SessionWish *wish, GError **error)
{
    g_autoptr(SessionCredentials) made = credentials_new(wish->expires_us);
    char digest[CRYPTO_SHA256_HEX_SIZE];
    guint rows = 0;

    crypto_sha256_hex(made->token, strlen(made->token), digest);
    g_autofree char *sealed = crypto_seal(master_key, made->secret);
    if (!db_exec(tx, error,
                 "INSERT INTO sessions (access_key_id, account_id, role_name, role_id,"
                 " session_name, kind, subject, sealed_secret, token_sha256, expires_at)"
                 " SELECT $1, account_id, role_name, role_id, $4, $5, $6, $7, $8, $9"
                 " FROM roles WHERE account_id = $2 AND role_name = $3",
                 DB_ARGS(made->access_key_id, wish->account_id, wish->role_name, wish->session_name,
                         session_kind_name(wish->kind), wish->subject, sealed, digest,
                         db_time(tx, wish->expires_us)),
                 &rows))
        return NULL;
    if (rows == 0)
        return fail_null(error, NO_SUCH_ENTITY, "The role with name %s cannot be found.",
                         wish->role_name);
    return g_steal_pointer(&made);
}

SessionCredentials *sessions_make(DbTx *tx, const guint8 master_key[CRYPTO_KEY_SIZE],
                                  const char *account_id, const char *role_name,
                                  const char *session_name, const char *subject, gint64 expires_us,
                                  GError **error)
{
    SessionWish wish = { .account_id = account_id,
                         .role_name = role_name,
                         .session_name = session_name,
                         .kind = SESSION_INSTANCE,
                         .subject = subject,
                         .expires_us = expires_us };

    return sessions_grant(tx, master_key, &wish, error);
}

gint64 session_fresh_us(gint64 lasts_us)
{
    return lasts_us / 6 * 5;
}

gboolean sessions_revoke(DbTx *tx, const char *const *subjects, GError **error)
{
    return db_exec(tx, error, "DELETE FROM sessions WHERE subject = ANY ($1::text[])",
                   DB_ARGS(db_text_array(tx, subjects, -1)), NULL);
}

gboolean sessions_supersede(DbTx *tx, const char *subject, const char *access_key_id,
                            gint64 lasts_us, GError **error)
{
    return db_exec(tx, error,
                   "DELETE FROM sessions WHERE subject = $1 AND kind = 'instance'"
                   " AND access_key_id IS DISTINCT FROM $2"
                   " AND expires_at - created_at >= $3::bigint * interval '1 microsecond'",
                   DB_ARGS(subject, access_key_id, db_int(tx, lasts_us)), NULL);
}

gboolean sessions_retire(DbTx *tx, const char *subject, const char *access_key_id, GError **error)
{
    return db_exec(tx, error,
                   "DELETE FROM sessions s USING sessions used WHERE used.access_key_id = $2"
                   " AND used.subject = $1 AND s.subject = $1 AND s.kind = 'instance'"
                   " AND s.access_key_id <> $2 AND s.expires_at < used.expires_at",
                   DB_ARGS(subject, access_key_id), NULL);
}

gboolean sessions_prune(DbTx *tx, GError **error)
{
    return db_exec(tx, error, "DELETE FROM sessions WHERE expires_at < now() - interval '1 hour'",
                   DB_NO_ARGS, NULL);
}
