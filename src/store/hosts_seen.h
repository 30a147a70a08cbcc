/*
 * store/hosts_seen.h - host rows as reconcile and the instances on them see them
 *
 * Two zones may have shares of one URI. Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

/* Whether another host row that is not removed has this URI. */
gboolean hosts_uri_shared(DbTx *tx, const char *host_id, const char *uri, gboolean *ret_shared,
                          GError **error);
/* The host that has this machine already by another URI, or NULL; the caller frees it. Nobody else
 * gets an answer for this machine until the transaction ends. */
gboolean hosts_machine_owner(DbTx *tx, const char *host_id, const char *uri, const char *machine,
                             char **ret_owner, GError **error);
/* Asks for a step of each host row of this URI that is not removed: all, or those that are not up.
 */
gboolean hosts_wake_uri(DbTx *tx, const char *uri, gboolean all, GError **error);
/* Asks for a step of each instance on it that has not ended. */
gboolean hosts_wake_instances(DbTx *tx, const char *host_id, GError **error);

/* How the hosts are that are not simply well, by id: HostTrouble as GUINT_TO_POINTER. */
typedef enum {
    HOST_TROUBLE_NONE,
    HOST_TROUBLE_APART,
    HOST_TROUBLE_UNKNOWN,
    HOST_TROUBLE_DOWN
} HostTrouble;
GHashTable *hosts_troubled(DbTx *tx, GError **error);
/* HOST_TROUBLE_NONE when it is well. */
gboolean hosts_trouble(DbTx *tx, const char *host_id, HostTrouble *ret_trouble, GError **error);
