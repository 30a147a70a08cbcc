/*
 * store/instances.h - rows of table "instances" (sql/region/0002-instances.sql)
 *
 * handlers/ writes what is wanted, reconcile/ writes what is seen (store/instances_seen.h);
 * column grants enforce it. Errors: INSTANCE_NOT_FOUND in EC2's words, and those of store/db.h.
 * Lists are GPtrArrays that free their Instances.
 */
#pragma once

#include "model/instance.h"
#include "store/db.h"

/* SQL: whether row i of instances holds processors and memory of its host (instance_holds). */
#define INSTANCE_HOLDS_SQL                                                                         \
    "(i.terminated_at IS NULL AND (i.seen = 'running' OR i.seen_generation < i.generation"         \
    " OR (i.desired <> 'stopped' AND i.seen <> 'halted')))"

/* The instance whatever its account: for reconcile. NULL with NOT_FOUND. */
Instance *instances_load(DbTx *tx, const char *id, GError **error);
/* The account's instances with these ids, in the order of launch; ids ends with NULL. lock takes
 * the rows FOR UPDATE, ids ascending. INSTANCE_NOT_FOUND names every id that is not there. */
GPtrArray *instances_get(DbTx *tx, const char *account_id, const char *const *ids, gboolean lock,
                         GError **error);

/* Where a page begins: after this instance in the order of launch. All zero: at the start. */
typedef struct {
    gint64 launched_us;
    const char *reservation_id;
    gint launch_index;
} InstancesAfter;
/* At most limit of the account's instances after a position. */
GPtrArray *instances_page(DbTx *tx, const char *account_id, const InstancesAfter *after,
                          guint limit, GError **error);

/* User data as it was given; NULL in *ret_data when there is none. Caller unrefs. */
gboolean instances_user_data(DbTx *tx, const char *id, GBytes **ret_data, GError **error);

/* What every instance of one launch has in common. user_data is a bytea parameter (db_bytes). */
typedef struct {
    const char *account_id;
    const char *reservation_id;
    const char *image_id;
    const char *instance_type;
    gint vcpus;
    gint memory_mib;
    const char *key_name;
    const char *public_key;
    const char *zone_name;
    const char *subnet_id;
    gint root_volume_gib;
    const char *root_device_name;
    const char *user_data;
    const char *instance_profile;
    const char *client_token;
    const char *details; /* JSON text */
    gboolean disable_api_termination;
    gboolean shutdown_terminates;
} InstanceLaunch;

/* What differs: arrays of count texts. */
typedef struct {
    guint count;
    const char *const *ids;
    const char *const *host_ids;
    const char *const *private_ips;
    const char *const *macs;
    const char *const *domain_uuids;
    const char *const *eni_ids;
    const char *const *root_volume_ids;
} InstanceLaunchRows;

/* The reservation and its instances, in two statements, and a wake for each. */
gboolean instances_insert(DbTx *tx, const InstanceLaunch *launch, const InstanceLaunchRows *rows,
                          GError **error);

/* Raises the generation of these rows and wakes their steps: one statement. reason becomes the
 * transition reason ("" clears it). The caller holds the rows. */
gboolean instances_desire(DbTx *tx, const char *const *ids, InstanceDesire desired,
                          const char *reason, GError **error);
/* Asks for a reboot in the same way. */
gboolean instances_ask_reboot(DbTx *tx, const char *const *ids, GError **error);

/* Each changes one fact that has no step of its own. */
gboolean instances_set_protection(DbTx *tx, const char *id, gboolean on, GError **error);
gboolean instances_set_shutdown(DbTx *tx, const char *id, gboolean terminates, GError **error);
gboolean instances_set_type(DbTx *tx, const char *id, const char *type, gint vcpus, gint memory_mib,
                            GError **error);
/* data is a bytea parameter (db_bytes); NULL for none. */
gboolean instances_set_user_data(DbTx *tx, const char *id, const char *data, GError **error);
gboolean instances_set_details(DbTx *tx, const char *id, const char *details, GError **error);

/* The lowest count free addresses of a subnet: base plus first ... base plus last. Fewer when
 * there are not so many. base is dotted; the caller holds the zone's hosts. Free with
 * g_ptr_array_unref. */
GPtrArray *instances_free_addresses(DbTx *tx, const char *base, gint first, gint last, guint count,
                                    GError **error);
/* How many living instances have an address in each zone's subnet: zone name ->
 * GINT_TO_POINTER(count). */
GHashTable *instances_in_zones(DbTx *tx, GError **error);
