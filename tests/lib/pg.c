#include "pg.h"
#include "store/migrate.h"

#include <fcntl.h>
#include <unistd.h>

static char *pg_dir;
static guint pg_databases;

static gboolean pg_script(const char *verb)
{
    const char *argv[] = { "tests/lib/pg.sh", verb, pg_dir, NULL };
    int status = -1;

    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                      NULL))
        return FALSE;
    return g_spawn_check_wait_status(status, NULL);
}

/* A child that waits for the end of this process, however that comes (a failed assertion aborts),
 * and ends the server then: the pipe's other end closes with us. */
static void pg_guard(void)
{
    int ends[2];
    char byte;

    if (pipe2(ends, O_CLOEXEC) < 0)
        g_error("cannot make a pipe");
    if (fork() != 0) {
        close(ends[0]);
        return;
    }
    close(ends[1]);
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    while (read(ends[0], &byte, 1) > 0)
        ;
    execl("tests/lib/pg.sh", "pg.sh", "stop", pg_dir, NULL);
    _exit(1);
}

static char *dsn_of(const char *database)
{
    return g_strdup_printf("host=%s dbname=%s", pg_dir, database);
}

static void migrate_template(const char *database, const Migration *files)
{
    g_autofree char *dsn = dsn_of(database);
    g_autoptr(GError) error = NULL;
    guint applied = 0;

    if (!migrate_apply(dsn, files, &applied, &error))
        g_error("%s: %s", database, error->message);
}

void test_pg_init(void)
{
    pg_dir = g_dir_make_tmp("berth-pg-XXXXXX", NULL);
    if (pg_dir)
        pg_guard();
    if (!pg_dir || !pg_script("start"))
        g_error("cannot start a private PostgreSQL (run tests from the top folder)");
    migrate_template("berth_identity", migrations_identity);
    migrate_template("berth_home_1", migrations_region);
}

static PGresult *run_sql(const char *dsn, const char *user, const char *sql, char **ret_cause)
{
    g_autofree char *full = g_strdup_printf("%s user=%s", dsn, user);
    PGconn *conn = PQconnectdb(full);
    PGresult *res = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(res);

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        *ret_cause = g_strdup(PQerrorMessage(conn));
        PQclear(res);
        res = NULL;
    }
    PQfinish(conn);
    return res;
}

gboolean test_db_try(const char *dsn, const char *user, const char *sql)
{
    g_autofree char *cause = NULL;
    g_autoptr(PGresult) res = run_sql(dsn, user, sql, &cause);

    return res != NULL;
}

char *test_db_sql(const char *dsn, const char *sql)
{
    g_autofree char *cause = NULL;
    g_autoptr(PGresult) res = run_sql(dsn, "berth_owner", sql, &cause);

    if (!res)
        g_error("%s: %s", sql, cause);
    if (PQntuples(res) == 0 || PQnfields(res) == 0 || PQgetisnull(res, 0, 0))
        return NULL;
    return g_strdup(PQgetvalue(res, 0, 0));
}

static char *database_new(const char *kind, const char *template)
{
    g_autofree char *name = g_strdup_printf("%s_%u", kind, ++pg_databases);
    g_autofree char *sql =
        g_strdup_printf("CREATE DATABASE %s OWNER berth_owner TEMPLATE %s", name, template);
    g_autofree char *admin = dsn_of("postgres");
    g_autofree char *cause = NULL;
    g_autoptr(PGresult) res = run_sql(admin, "postgres", sql, &cause);

    if (!res)
        g_error("%s: %s", sql, cause);
    return dsn_of(name);
}

TestDb *test_db_new(void)
{
    TestDb *db = g_new0(TestDb, 1);

    db->identity_dsn = database_new("identity", "berth_identity");
    db->region_dsn = database_new("region", "berth_home_1");
    db->identity = db_pool_new(db->identity_dsn, "berth_api", 20);
    db->region = db_pool_new(db->region_dsn, "berth_api", 20);
    return db;
}

void test_db_free(TestDb *db)
{
    if (!db)
        return;
    db_pool_free(db->identity);
    db_pool_free(db->region);
    g_free(db->identity_dsn);
    g_free(db->region_dsn);
    g_free(db);
}
