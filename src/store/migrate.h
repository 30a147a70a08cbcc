/*
 * store/migrate.h - the schema: numbered, forward-only SQL files, applied once each, in order
 *
 * The files of sql/identity and sql/region are built into the program, so program and schema
 * cannot be of different releases unknowingly. Table schema_migrations keeps what was applied,
 * with a digest. The role "berth_owner" owns everything; it is used for nothing else.
 * Errors: UNAVAILABLE (database gone); CONFIG (older, newer or changed schema; a file failed).
 */
#pragma once

#include <glib.h>

typedef struct {
    const char *name; /* "0001-identity" */
    const char *sql;
} Migration;

/* Both generated from sql/; a row with name NULL ends them. */
extern const Migration migrations_identity[];
extern const Migration migrations_region[];

/* Applies what is missing, each file in a transaction of its own; waits for another process that
 * does the same. dsn is a libpq connection string without user. *ret_applied: how many. */
gboolean migrate_apply(const char *dsn, const Migration *files, guint *ret_applied, GError **error);
/* Whether the database, looked at as role user, has exactly these files applied; the error says
 * what to do about it when not. */
gboolean migrate_check(const char *dsn, const char *user, const Migration *files, GError **error);
