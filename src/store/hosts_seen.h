/*
 * store/hosts_seen.h - host rows that share a libvirt host
 *
 * Two zones may have shares of one URI. Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

/* Whether another host row that is not removed has this URI. */
gboolean hosts_uri_shared(DbTx *tx, const char *host_id, const char *uri, gboolean *ret_shared,
                          GError **error);
/* Asks for a step of each host row of this URI that is not removed. */
gboolean hosts_wake_uri(DbTx *tx, const char *uri, GError **error);
