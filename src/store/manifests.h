/*
 * store/manifests.h - what an agent should be running, to be compared with what it runs
 *
 * Errors: those of db.h.
 * Source: agent protocol, full task sync.
 */
#pragma once

#include "store/db.h"

typedef struct {
    char *task_id;
    gboolean acknowledged; /* the agent has said that it has the task */
} ManifestTask;

/* The tasks that are to run on the container instance (ManifestTask), and the number that the
 * manifest gets: the next of its payloads' sequence. *ret_timeline is 0 (and the list empty) for an
 * agent that does not say that it takes manifests; *ret_own tells our own agent from others. Caller
 * owns the list. */
GPtrArray *manifests_make(DbTx *tx, gint64 ci_id, gint64 *ret_timeline, gboolean *ret_own,
                          GError **error);

/* Those of the task ids (ending with NULL) that are not to run on the container instance: stopped,
 * placed elsewhere, or known to nobody. Caller frees. */
char **manifests_strays(DbTx *tx, gint64 ci_id, const char *const *task_ids, GError **error);
