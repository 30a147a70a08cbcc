/*
 * store/setup.h - what a PostgreSQL server needs before the schema: roles and databases
 *
 * Used by "berth up" on the embedded server, as role berth_owner, which is its superuser. dsn is a
 * libpq connection string without user and dbname.
 * Errors: UNAVAILABLE (no server), CONFIG (it refused).
 */
#pragma once

#include <glib.h>

/* Whether the server takes connections. */
gboolean setup_ready(const char *dsn);
/* Makes the role with LOGIN, or the database owned by berth_owner, unless it is there;
 * *ret_made is raised by one when it was not. */
gboolean setup_role(const char *dsn, const char *role, guint *ret_made, GError **error);
gboolean setup_database(const char *dsn, const char *database, guint *ret_made, GError **error);
/* The install_uuid of a region's database (dsn names it). Caller frees. */
char *setup_install_uuid(const char *dsn, GError **error);
