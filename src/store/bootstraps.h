/*
 * store/bootstraps.h - rows of table "bootstraps": the container agent wanted on an instance
 *
 * Errors: those of store/db.h.
 */
#pragma once

#include "store/db.h"

typedef struct {
    char *instance_id;
    char *account_id;
    char *cluster_name;
    gint64 generation;
    gint64 seen_generation; /* whose run has come to its end: started, or refused */
    char *stage;            /* "unknown" ... "registered" */
    char *access_key_id;
    gint64 credentials_until_us;
    char *fault;
    char *log;
    gint64 created_us;
    gint64 updated_us;
    char *agent_image_sha256;      /* archive wanted; NULL: whichever it came with */
    char *seen_agent_image_sha256; /* NULL: that one */
    /* of table "retries" */
    gint failures;
    char *last_error;
    gint64 next_try_us;
} Bootstrap;

void bootstrap_free(Bootstrap *bootstrap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bootstrap, bootstrap_free)
/* Whether its agent has registered after the run that is wanted, or the run was refused. */
gboolean bootstrap_settled(const Bootstrap *b);

/* Wants the agent on these instances (ids ends with NULL), or wants it again: raises the
 * generation, sets the cluster and wakes the steps. */
gboolean bootstraps_want(DbTx *tx, const char *account_id, const char *const *ids,
                         const char *cluster_name, GError **error);
/* Wants the agent's archive with this digest on an instance; *ret_found: whether there is such a
 * bootstrap. Raises the generation and wakes the step. */
gboolean bootstraps_want_image(DbTx *tx, const char *account_id, const char *instance_id,
                               const char *sha256, gboolean *ret_found, GError **error);
/* By instance; ids (NULL: all) ends with NULL; cluster_name NULL: any. */
GPtrArray *bootstraps_list(DbTx *tx, const char *account_id, const char *const *ids,
                           const char *cluster_name, GError **error);
/* The row whatever its account: for reconcile. NULL with NOT_FOUND. */
Bootstrap *bootstraps_load(DbTx *tx, const char *instance_id, GError **error);

/* reconcile: how far it has come. settled_generation: the generation that was read when its run
 * has come to its end, else 0. log NULL leaves the log; it is cut to its last 64 KiB. */
gboolean bootstraps_record_stage(DbTx *tx, const char *instance_id, const char *stage,
                                 gint64 settled_generation, const char *log, GError **error);
/* reconcile: needs a person; NULL clears it. */
gboolean bootstraps_record_fault(DbTx *tx, const char *instance_id, const char *fault,
                                 GError **error);
/* reconcile: the credentials that lie on the instance. */
gboolean bootstraps_record_credentials(DbTx *tx, const char *instance_id, const char *access_key_id,
                                       gint64 until_us, GError **error);
/* reconcile: the archive that the agent was last loaded from. */
gboolean bootstraps_record_image(DbTx *tx, const char *instance_id, const char *sha256,
                                 GError **error);
