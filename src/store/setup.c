#include "store/setup.h"
#include "base/errors.h"
#include "store/db.h"

#include <string.h>

typedef PGconn Connection;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Connection, PQfinish)

gboolean setup_ready(const char *dsn)
{
    g_autofree char *full = g_strconcat(dsn, " dbname=postgres user=berth_owner", NULL);

    return PQping(full) == PQPING_OK;
}

static void ignore_notice(void *arg G_GNUC_UNUSED, const PGresult *res G_GNUC_UNUSED)
{
}

static Connection *owner_connect(const char *dsn, const char *database, GError **error)
{
    g_autofree char *full = g_strdup_printf("%s%s%s user=berth_owner application_name=berth", dsn,
                                            *database ? " dbname=" : "", database);
    g_autoptr(Connection) conn = PQconnectdb(full);

    if (PQstatus(conn) != CONNECTION_OK) {
        g_autofree char *cause = g_strchomp(g_strdup(PQerrorMessage(conn)));
        return fail_null(error, UNAVAILABLE, "cannot reach the database: %s", cause);
    }
    PQsetNoticeReceiver(conn, ignore_notice, NULL);
    return g_steal_pointer(&conn);
}

/* The rows of one statement with one parameter (or none: NULL). */
static PGresult *ask(Connection *conn, const char *sql, const char *value, GError **error)
{
    g_autoptr(PGresult) res = PQexecParams(conn, sql, value ? 1 : 0, NULL, &value, NULL, NULL, 0);

    if (PQresultStatus(res) == PGRES_TUPLES_OK || PQresultStatus(res) == PGRES_COMMAND_OK)
        return g_steal_pointer(&res);
    g_autofree char *cause = g_strchomp(g_strdup(PQerrorMessage(conn)));
    return fail_null(error, CONFIG, "the database refused: %s", cause);
}

/* CREATE takes no parameters: the name is quoted by libpq. */
static gboolean create(const char *dsn, const char *exists, const char *before, const char *name,
                       const char *after, guint *ret_made, GError **error)
{
    g_autoptr(Connection) conn = owner_connect(dsn, "postgres", error);
    g_autoptr(PGresult) found = conn ? ask(conn, exists, name, error) : NULL;

    if (!found)
        return FALSE;
    if (PQntuples(found) > 0)
        return TRUE;
    char *quoted = PQescapeIdentifier(conn, name, strlen(name));
    g_autofree char *sql = g_strdup_printf("%s %s %s", before, quoted, after);
    PQfreemem(quoted);
    g_autoptr(PGresult) made = ask(conn, sql, NULL, error);
    if (!made)
        return FALSE;
    (*ret_made)++;
    return TRUE;
}

gboolean setup_role(const char *dsn, const char *role, guint *ret_made, GError **error)
{
    return create(dsn, "SELECT 1 FROM pg_roles WHERE rolname = $1", "CREATE ROLE", role, "LOGIN",
                  ret_made, error);
}

gboolean setup_database(const char *dsn, const char *database, guint *ret_made, GError **error)
{
    return create(dsn, "SELECT 1 FROM pg_database WHERE datname = $1", "CREATE DATABASE", database,
                  "OWNER berth_owner TEMPLATE template0", ret_made, error);
}

char *setup_install_uuid(const char *dsn, GError **error)
{
    g_autoptr(Connection) conn = owner_connect(dsn, "", error);
    g_autoptr(PGresult) res =
        conn ? ask(conn, "SELECT value FROM installation WHERE name = $1", "install_uuid", error)
             : NULL;

    if (!res)
        return NULL;
    if (PQntuples(res) != 1)
        return fail_null(error, CONFIG, "the region's database has no install_uuid");
    return g_strdup(PQgetvalue(res, 0, 0));
}
