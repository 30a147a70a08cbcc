/*
 * store/metadata.h - one instance as the metadata service shows it: tables "instances", "images",
 * "zones", "tags" of the region; "instance_profiles" and "roles" of identity
 *
 * Errors: those of store/db.h.
 */
#pragma once

#include "model/metadata.h"
#include "store/db.h"

/* The living instance that has this address; NULL without an error when none has. Its profile is
 * only named: metadata_profile adds what identity knows. cidr is the default network's. */
MetadataFacts *metadata_find_by_ip(DbTx *region, const char *region_name, const char *cidr,
                                   const char *private_ip, GError **error);
/* Adds ARN, id and role of facts' instance profile, when it has one and that exists. */
gboolean metadata_add_profile(DbTx *identity, MetadataFacts *facts, GError **error);
