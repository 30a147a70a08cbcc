/*
 * store/regions.h - rows of table "regions" of the identity database
 *
 * Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

/* Names of all regions and of own, sorted. Free with g_strfreev. */
char **regions_list(DbPool *identity, const char *own, GError **error);
