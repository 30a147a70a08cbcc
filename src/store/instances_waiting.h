/*
 * store/instances_waiting.h - instances as the look over hosts and images sees them
 *
 * Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

/* Wakes, or ends with a fault, the instances of this image on this host that have no domain yet. */
gboolean instances_wake_waiting(DbTx *tx, const char *host_id, const char *image_id,
                                GError **error);
gboolean instances_fault_waiting(DbTx *tx, const char *host_id, const char *image_id,
                                 const char *message, GError **error);

/* What a listing of a libvirt host is compared with. */
typedef struct {
    char *id;
    char *mac;
    char *seen;
    char *uri; /* of its host */
} LivingInstance;
void living_instance_free(LivingInstance *living);
/* All instances of the region that have not ended: id -> LivingInstance. */
GHashTable *instances_living(DbTx *tx, GError **error);
