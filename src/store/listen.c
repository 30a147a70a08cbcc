#include "base/errors.h"
#include "store/db.h"

#include <poll.h>
#include <string.h>

/* The two kinds of session that are not borrowed for a transaction: LISTEN, and claims. */
struct DbListener {
    PGconn *conn;
};

struct DbClaims {
    PGconn *conn;
};

static PGconn *session_open(const char *dsn, const char *user, const char *purpose, GError **error)
{
    g_autofree char *full =
        g_strdup_printf("%s user=%s application_name=berthd-%s", dsn, user, purpose);
    PGconn *conn = PQconnectdb(full);

    if (PQstatus(conn) == CONNECTION_OK)
        return conn;
    g_autofree char *cause = g_strchomp(g_strdup(PQerrorMessage(conn)));
    PQfinish(conn);
    return fail_null(error, UNAVAILABLE, "cannot reach the database: %s", cause);
}

DbListener *db_listen(const char *dsn, const char *user, const char *channel, GError **error)
{
    PGconn *conn = session_open(dsn, user, "listen", error);

    if (!conn)
        return NULL;
    char *name = PQescapeIdentifier(conn, channel, strlen(channel));
    g_autofree char *sql = g_strconcat("LISTEN ", name, NULL);
    PQfreemem(name);
    g_autoptr(PGresult) res = PQexec(conn, sql);
    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        PQfinish(conn);
        return fail_null(error, UNAVAILABLE, "cannot listen on \"%s\"", channel);
    }
    DbListener *listener = g_new0(DbListener, 1);
    listener->conn = conn;
    return listener;
}

char **db_listener_wait(DbListener *listener, int timeout_ms, GError **error)
{
    g_autoptr(GPtrArray) payloads = g_ptr_array_new_with_free_func(g_free);
    PGnotify *notify = PQnotifies(listener->conn);

    if (!notify) {
        struct pollfd waits = { .fd = PQsocket(listener->conn), .events = POLLIN };
        poll(&waits, 1, timeout_ms);
        if (!PQconsumeInput(listener->conn) || PQstatus(listener->conn) != CONNECTION_OK)
            return fail_null(error, UNAVAILABLE, "the listening session broke");
        notify = PQnotifies(listener->conn);
    }
    for (; notify; notify = PQnotifies(listener->conn)) {
        g_ptr_array_add(payloads, g_strdup(notify->extra));
        PQfreemem(notify);
    }
    g_ptr_array_add(payloads, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&payloads), FALSE);
}

void db_listener_free(DbListener *listener)
{
    if (!listener)
        return;
    PQfinish(listener->conn);
    g_free(listener);
}

DbClaims *db_claims_new(const char *dsn, const char *user, GError **error)
{
    PGconn *conn = session_open(dsn, user, "claims", error);

    if (!conn)
        return NULL;
    DbClaims *claims = g_new0(DbClaims, 1);
    claims->conn = conn;
    return claims;
}

static gboolean claim_call(DbClaims *claims, const char *sql, const char *kind, const char *id,
                           gboolean *ret_truth, GError **error)
{
    const char *args[] = { kind, id };
    g_autoptr(PGresult) res = PQexecParams(claims->conn, sql, 2, NULL, args, NULL, NULL, 0);

    if (PQresultStatus(res) != PGRES_TUPLES_OK)
        return fail(error, UNAVAILABLE, "cannot claim %s \"%s\": %s", kind, id,
                    PQerrorMessage(claims->conn));
    *ret_truth = PQgetvalue(res, 0, 0)[0] == 't';
    return TRUE;
}

gboolean db_claim(DbClaims *claims, const char *kind, const char *id, gboolean *ret_taken,
                  GError **error)
{
    return claim_call(claims, "SELECT pg_try_advisory_lock(hashtext($1), hashtext($2))", kind, id,
                      ret_taken, error);
}

gboolean db_release(DbClaims *claims, const char *kind, const char *id, GError **error)
{
    gboolean held = FALSE;

    return claim_call(claims, "SELECT pg_advisory_unlock(hashtext($1), hashtext($2))", kind, id,
                      &held, error);
}

void db_claims_free(DbClaims *claims)
{
    if (!claims)
        return;
    PQfinish(claims->conn);
    g_free(claims);
}
