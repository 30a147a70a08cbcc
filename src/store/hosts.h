/*
 * store/hosts.h - rows of tables "zones" and "hosts", with what their instances hold
 *
 * Errors: ADMIN_NOT_FOUND, ADMIN_EXISTS, ADMIN_IN_USE, and those of store/db.h. Lists are
 * GPtrArrays that free their records.
 */
#pragma once

#include "model/pool.h"
#include "store/db.h"

/* All zones by name. */
GPtrArray *zones_list(DbTx *tx, GError **error);
/* NULL with ADMIN_NOT_FOUND; lock takes the row FOR UPDATE. */
Zone *zones_get(DbTx *tx, const char *zone_name, gboolean lock, GError **error);
gboolean zones_insert(DbTx *tx, const Zone *zone, GError **error);
/* Writes ratios and reserve. */
gboolean zones_update(DbTx *tx, const Zone *zone, GError **error);
/* Only a zone that no host, instance or image names; else ADMIN_IN_USE. */
gboolean zones_delete(DbTx *tx, const char *zone_name, GError **error);

/* Hosts with their load, by id: of one zone, or of all when zone_name is NULL; removed ones are
 * left out. lock takes the hosts FOR UPDATE first, ids ascending, so that nothing else is admitted
 * to them until the transaction ends. */
GPtrArray *hosts_list(DbTx *tx, const char *zone_name, gboolean lock, GError **error);
/* One host, whatever it is wanted to be: NULL with ADMIN_NOT_FOUND. */
Host *hosts_get(DbTx *tx, const char *id, gboolean lock, GError **error);
/* The id of the new host: id, or that of a row for the same URI that was removed, which is used
 * again. ADMIN_EXISTS when the zone has this URI, or had it, lost, and instances of it have not
 * ended yet. Wakes its step. Caller frees. */
char *hosts_insert(DbTx *tx, const char *id, const char *zone_name, const char *uri,
                   gint share_percent, GError **error);
/* "active", "draining", "removed"; raises check_generation and wakes its step. */
gboolean hosts_desire(DbTx *tx, const char *id, const char *desired, GError **error);

/* It is gone for good: wanted "removed", and each of its instances ends at its next step. Wakes the
 * host's step; hosts_wake_instances the others. */
gboolean hosts_lose(DbTx *tx, const char *id, GError **error);

/* Ids of the instances on it that have not ended, joined by ", "; "" for none. Caller frees. */
char *hosts_instances(DbTx *tx, const char *id, GError **error);

/* reconcile: what a check found; generation is the check_generation it read. Memory is MiB. Of
 * what is NULL or 0, but for the fault, what was known is left. */
typedef struct {
    const char *state; /* "up", "down", "removed" */
    const char *hostname;
    gint vcpus;
    gint memory_mib;
    const char *architecture; /* "x86_64", "arm64" */
    const char *accelerator;  /* "kvm", "tcg" */
    const char *machine;      /* libvirt's uuid of the host */
    const char *network;      /* "here", "apart" */
    const char *fault;        /* why it is down; NULL: nothing is wrong */
    gboolean unreachable;     /* nothing could be asked there */
} HostSeen;
gboolean hosts_record_seen(DbTx *tx, const char *id, gint64 generation, const HostSeen *seen,
                           GError **error);
