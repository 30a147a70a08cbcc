/*
 * store/instances_seen.h - what reconcile writes into table "instances"
 *
 * Each function is one statement and may be repeated. Nothing here wakes anybody: the caller is
 * the step. Errors: those of store/db.h.
 */
#pragma once

#include "model/instance.h"
#include "store/db.h"

/* Records what was seen. settled_generation is the generation the caller read when there is nothing
 * left to do (the instance then rests, or a guest has halted), else 0, which leaves it. */
gboolean instances_record_seen(DbTx *tx, const char *id, InstanceSeen seen,
                               gint64 settled_generation, GError **error);
/* Why a guest went off without our asking, as the transition reason shows it. */
gboolean instances_record_halt_reason(DbTx *tx, const char *id, const char *reason, GError **error);
/* The domain has been defined once: from now on its absence is a loss. */
gboolean instances_record_defined(DbTx *tx, const char *id, GError **error);
/* The reboot asked for at this generation has been done. */
gboolean instances_record_rebooted(DbTx *tx, const char *id, gint64 generation, GError **error);
/* A permanent fault ends the instance: code is a StateReason ("Server.InternalError"). The first
 * fault stays. */
gboolean instances_record_fault(DbTx *tx, const char *id, const char *code, const char *message,
                                GError **error);
/* The guest's host keys, OpenSSH lines, as its hypervisor's channel brought them. */
gboolean instances_record_host_keys(DbTx *tx, const char *id, const char *keys, GError **error);
/* The guest answers: InstanceStatus is ok from now on. The first time stays until it stops. */
gboolean instances_record_reachable(DbTx *tx, const char *id, GError **error);
/* Nothing of it is left in the world: its address and place are free. */
gboolean instances_record_terminated(DbTx *tx, const char *id, GError **error);
