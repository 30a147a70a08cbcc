/*
 * tests/lib/pg.h - a private PostgreSQL for C tests: one server a test program, databases at will
 *
 * test_pg_init() in main starts it (by tests/lib/pg.sh, below a temporary folder) and migrates two
 * template databases; it ends with the program. A test takes fresh databases of its own, which
 * cost some 50 ms each. Any failure ends the program: there is nothing to test without it.
 */
#pragma once

#include "store/db.h"

#include <glib.h>

/* A region's database and an identity database, migrated and empty. */
typedef struct {
    char *identity_dsn; /* libpq connection strings without user */
    char *region_dsn;
    DbPool *identity; /* as berth_api, 20 sessions each */
    DbPool *region;
} TestDb;

/* Call it once, before g_test_run. */
void test_pg_init(void);
TestDb *test_db_new(void);
void test_db_free(TestDb *db);
/* Runs SQL as role user ("berth_owner", "berth_api", "postgres"); TRUE when it succeeded. */
gboolean test_db_try(const char *dsn, const char *user, const char *sql);
/* Runs SQL as the owner; it must succeed. The first column of its first row, or NULL. Caller frees. */
char *test_db_sql(const char *dsn, const char *sql);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestDb, test_db_free)
