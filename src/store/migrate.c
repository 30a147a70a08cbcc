#include "store/migrate.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "store/db.h"

#include <string.h>

typedef PGconn Connection;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Connection, PQfinish)

static Connection *migrate_connect(const char *dsn, const char *user, GError **error)
{
    g_autofree char *full =
        g_strdup_printf("%s user=%s application_name=berthd-migrate", dsn, user);
    g_autoptr(Connection) conn = PQconnectdb(full);

    if (PQstatus(conn) != CONNECTION_OK) {
        g_autofree char *cause = g_strchomp(g_strdup(PQerrorMessage(conn)));
        return fail_null(error, UNAVAILABLE, "cannot reach the database: %s", cause);
    }
    return g_steal_pointer(&conn);
}

static gboolean run(Connection *conn, const char *sql, GError **error)
{
    g_autoptr(PGresult) res = PQexec(conn, sql);

    if (PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK)
        return TRUE;
    g_autofree char *cause = g_strchomp(g_strdup(PQerrorMessage(conn)));
    return fail(error, CONFIG, "%s", cause);
}

/* name -> digest of what was applied; empty when the table is not there. */
static GHashTable *applied_files(Connection *conn, GError **error)
{
    g_autoptr(GHashTable) done = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(PGresult) table = PQexec(conn, "SELECT to_regclass('schema_migrations') IS NOT NULL");

    if (PQresultStatus(table) != PGRES_TUPLES_OK)
        return fail_null(error, UNAVAILABLE, "cannot read the schema: %s", PQerrorMessage(conn));
    if (!db_truth(table, 0, 0))
        return g_steal_pointer(&done);
    g_autoptr(PGresult) rows = PQexec(conn, "SELECT name, sha256 FROM schema_migrations");
    if (PQresultStatus(rows) != PGRES_TUPLES_OK)
        return fail_null(error, UNAVAILABLE, "cannot read the schema: %s", PQerrorMessage(conn));
    for (int i = 0; i < PQntuples(rows); i++)
        g_hash_table_insert(done, g_strdup(PQgetvalue(rows, i, 0)),
                            g_strdup(PQgetvalue(rows, i, 1)));
    return g_steal_pointer(&done);
}

static gboolean file_unchanged(const Migration *file, const char *digest, GError **error)
{
    char expected[CRYPTO_SHA256_HEX_SIZE];

    crypto_sha256_hex(file->sql, strlen(file->sql), expected);
    if (strcmp(expected, digest) != 0)
        return fail(error, CONFIG,
                    "schema file \"%s\" differs from the one that was applied to this database",
                    file->name);
    return TRUE;
}

static gboolean none_unknown(GHashTable *done, const Migration *files, GError **error)
{
    GHashTableIter rows;
    gpointer name;

    g_hash_table_iter_init(&rows, done);
    while (g_hash_table_iter_next(&rows, &name, NULL)) {
        const Migration *file = files;
        while (file->name && strcmp(file->name, name) != 0)
            file++;
        if (!file->name)
            return fail(error, CONFIG,
                        "the database is newer than this program: it has schema file \"%s\"; "
                        "install the newer Berth",
                        (const char *)name);
    }
    return TRUE;
}

static gboolean file_apply(Connection *conn, const Migration *file, GError **error)
{
    char digest[CRYPTO_SHA256_HEX_SIZE];
    const char *args[] = { file->name, digest };

    crypto_sha256_hex(file->sql, strlen(file->sql), digest);
    if (!run(conn, "BEGIN", error) || !run(conn, file->sql, error))
        return fail_prefix(error, "cannot apply schema file \"%s\"", file->name);
    g_autoptr(PGresult) res =
        PQexecParams(conn, "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", 2, NULL,
                     args, NULL, NULL, 0);
    if (PQresultStatus(res) != PGRES_COMMAND_OK)
        return fail(error, CONFIG, "cannot record schema file \"%s\": %s", file->name,
                    PQerrorMessage(conn));
    return run(conn, "COMMIT", error);
}

/* The lock is the session's: it goes with the connection. */
static gboolean prepare_table(Connection *conn, GError **error)
{
    return run(conn, "SET client_min_messages = warning", error) &&
           run(conn, "SELECT pg_advisory_lock(hashtext('berth'), hashtext('migrate'))", error) &&
           run(conn,
               "CREATE TABLE IF NOT EXISTS schema_migrations ("
               " name text PRIMARY KEY, sha256 text NOT NULL,"
               " applied_at timestamptz NOT NULL DEFAULT now());"
               "GRANT SELECT ON schema_migrations TO berth_api, berth_reconcile",
               error);
}

gboolean migrate_apply(const char *dsn, const Migration *files, guint *ret_applied, GError **error)
{
    g_autoptr(Connection) conn = migrate_connect(dsn, "berth_owner", error);

    *ret_applied = 0;
    if (!conn || !prepare_table(conn, error))
        return FALSE;
    g_autoptr(GHashTable) done = applied_files(conn, error);
    if (!done || !none_unknown(done, files, error))
        return FALSE;
    for (const Migration *file = files; file->name; file++) {
        const char *digest = g_hash_table_lookup(done, file->name);
        if (digest ? !file_unchanged(file, digest, error) : !file_apply(conn, file, error))
            return FALSE;
        *ret_applied += digest == NULL;
    }
    return TRUE;
}

gboolean migrate_check(const char *dsn, const char *user, const Migration *files, GError **error)
{
    g_autoptr(Connection) conn = migrate_connect(dsn, user, error);

    if (!conn)
        return FALSE;
    g_autoptr(GHashTable) done = applied_files(conn, error);
    if (!done || !none_unknown(done, files, error))
        return FALSE;
    for (const Migration *file = files; file->name; file++) {
        const char *digest = g_hash_table_lookup(done, file->name);
        if (!digest)
            return fail(error, CONFIG,
                        "the database is older than this program: it lacks schema file \"%s\"; "
                        "run \"berthd --migrate\"",
                        file->name);
        if (!file_unchanged(file, digest, error))
            return FALSE;
    }
    return TRUE;
}
