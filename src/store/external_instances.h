/*
 * store/external_instances.h - rows of table "external_instances": machines that are not ours
 *
 * Their ids ("mi-...") stand where an EC2 instance's would: in a container instance's
 * ec2_instance_id and as the subject of their agent's credentials. Callers free records.
 * Errors: those of db.h.
 */
#pragma once

#include "store/db.h"

#define EXTERNAL_INSTANCE_PREFIX "mi"

typedef struct {
    char *id;
    char *cluster_name;
    char *zone_name;
    /* how people reach it */
    char *address;
    gint64 port;
    char *ssh_user;
    char *docker_socket;
    char *folder;
} ExternalInstance;

void external_instance_free(ExternalInstance *instance);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ExternalInstance, external_instance_free)

gboolean external_instances_add(DbTx *tx, const char *account_id, const ExternalInstance *instance,
                                GError **error);
/* NULL without an error when the account has none with this id, or it was removed. */
ExternalInstance *external_instances_find(DbTx *tx, const char *account_id, const char *id,
                                          GError **error);
/* The agent of a removed one may neither register nor connect; the row stays. */
gboolean external_instances_remove(DbTx *tx, const char *account_id, const char *id,
                                   GError **error);
