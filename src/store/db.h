/*
 * store/db.h - sessions, transactions and statements
 *
 * A DbPool holds a bounded number of libpq sessions behind one mutex; db_begin borrows one,
 * db_commit or db_rollback gives it back. Each SQL literal is prepared once a session, so a
 * statement costs one round trip. Parameters are always text and never part of the SQL.
 * READ COMMITTED throughout; lock root rows FOR UPDATE in the order account, cluster, service,
 * then ids ascending.
 * Errors: TX_CONFLICT (40001, 40P01: roll back and run the transaction again), UNAVAILABLE
 * (database gone; the session is thrown away), INTERNAL (anything else). A unique violation is
 * INTERNAL too, unless the statement says ON CONFLICT: say it.
 */
#pragma once

#include <glib.h>
#include <libpq-fe.h>

typedef struct DbPool DbPool;
typedef struct DbTx DbTx;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PGresult, PQclear)

/* dsn is a libpq connection string without user; user is the role ("berth_api"). Connects
 * lazily, keeps at most size sessions. */
DbPool *db_pool_new(const char *dsn, const char *user, guint size);
/* Every transaction must have ended. */
void db_pool_free(DbPool *pool);

typedef enum {
    DB_MODE_READ,  /* each statement for itself: no BEGIN, no COMMIT */
    DB_MODE_WRITE, /* BEGIN before the first statement */
} DbMode;

/* Waits for a free session (at most 10 s: UNAVAILABLE). The caller ends it with db_commit,
 * db_rollback, or by letting a g_autoptr(DbTx) go, which rolls back. */
DbTx *db_begin(DbPool *pool, DbMode mode, GError **error);
/* Both end and free tx, also when they fail. A failed commit did not happen, or is unknown when
 * the session broke (UNAVAILABLE): only a call that may be repeated may be tried again. */
gboolean db_commit(DbTx *tx, GError **error);
void db_rollback(DbTx *tx);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DbTx, db_rollback)

/* Runs one SQL literal with parameters: an array of strings ended by the marker, NULL being SQL
 * NULL. Caller frees the result with PQclear (g_autoptr(PGresult)).
 *     db_query(tx, error, "SELECT ... WHERE account_id = $1", DB_ARGS(account_id)) */
PGresult *db_query(DbTx *tx, GError **error, const char *sql, const char *const *args);
/* The same for a statement whose rows nobody reads; *ret_rows (may be NULL): rows it touched. */
gboolean db_exec(DbTx *tx, GError **error, const char *sql, const char *const *args,
                 guint *ret_rows);
/* The same for a statement of one row and one boolean; NULL is FALSE. */
gboolean db_ask(DbTx *tx, GError **error, const char *sql, const char *const *args,
                gboolean *ret_answer);
extern const char db_args_end[];
#define DB_ARGS(...) ((const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) db_args_end })
#define DB_NO_ARGS   DB_ARGS()

/* Text forms of parameters; they live until the transaction ends. */
const char *db_int(DbTx *tx, gint64 value);
const char *db_bool(gboolean value);
/* A timestamptz parameter from UTC microseconds. */
const char *db_time(DbTx *tx, gint64 us);
/* "{a,b}" for a text[] parameter; values are quoted as needed. Ends at count, where a NULL is one
 * of SQL, or, if -1, at NULL. */
const char *db_text_array(DbTx *tx, const char *const *values, gssize count);
/* "{1,2}" for an integer[] or bigint[] parameter. */
const char *db_int_array(DbTx *tx, const gint64 *values, gsize count);
/* "\x..." for a bytea parameter. */
const char *db_bytes(DbTx *tx, const void *data, gsize length);

/* Reading results: NULL columns give NULL, 0, FALSE. Text lives as long as the result.
 * Timestamps must be selected with db's form DB_US(column). */
const char *db_text(const PGresult *res, int row, int column);
gint64 db_int64(const PGresult *res, int row, int column);
gboolean db_truth(const PGresult *res, int row, int column);
/* One column of all rows, as a GPtrArray of char *; caller owns it. */
GPtrArray *db_texts(const PGresult *res, int column);
/* SQL for a timestamptz column as bigint microseconds. */
#define DB_US(column) "(extract(epoch FROM " column ") * 1000000)::bigint"

/* Asks for a step: pg_notify('berth_wake', 'kind:id'), delivered at commit. */
gboolean db_wake(DbTx *tx, const char *kind, const char *id, GError **error);

/* One session of its own that LISTENs; used by one thread. */
typedef struct DbListener DbListener;
DbListener *db_listen(const char *dsn, const char *user, const char *channel, GError **error);
/* Waits up to timeout_ms; returns the payloads that came (NULL-terminated, perhaps empty), or
 * NULL with UNAVAILABLE when the session broke (free it and listen anew: wakes were lost). */
char **db_listener_wait(DbListener *listener, int timeout_ms, GError **error);
void db_listener_free(DbListener *listener);

/* A session-level advisory lock on (kind, id), for reconcile's claims; on a session of its own. */
typedef struct DbClaims DbClaims;
DbClaims *db_claims_new(const char *dsn, const char *user, GError **error);
/* TRUE in *ret_taken when this process now holds it; others are not waited for. */
gboolean db_claim(DbClaims *claims, const char *kind, const char *id, gboolean *ret_taken,
                  GError **error);
gboolean db_release(DbClaims *claims, const char *kind, const char *id, GError **error);
void db_claims_free(DbClaims *claims);
