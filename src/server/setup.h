/*
 * server/setup.h - what berthd does besides serving: the schema, and the first account
 *
 * Errors: CONFIG, UNAVAILABLE, those of the stores.
 */
#pragma once

#include "base/config.h"

/* Fills in what the configuration leaves empty: the embedded database's connection strings, and the
 * address to advertise (the hosts' own in the default network). */
gboolean setup_defaults(Config *config, GError **error);
/* Brings both databases to this program's schema; says on standard output what it did. */
gboolean setup_migrate(const Config *config, GError **error);
/* Whether both databases have exactly this program's schema. */
gboolean setup_check(const Config *config, GError **error);
/* Makes the admin account of this name, its user "admin" and an access key, once: kept in
 * STATE_DIR/admin-credentials (0600), an AWS shared credentials file with profile "default", and
 * printed from there each time. Also enters the region into the identity database. */
gboolean setup_create_admin(const Config *config, const char *name, GError **error);
