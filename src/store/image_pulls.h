/*
 * store/image_pulls.h - how far images are on their way to containers (table "image_pulls")
 *
 * Telemetry: the newest word of the agent. Sizes are bytes, times UTC microseconds. Errors: those
 * of db.h.
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

/* Keeps [{ci, task, container, status, percent, current, total, layers, layers_done, reason?}],
 * each container at most once. What is about no task of that container instance is passed over. */
gboolean image_pulls_tell(DbTx *tx, const json_t *pulls, GError **error);

typedef struct {
    char *task_id;
    char *container;
    char *image;
    char *status;
    gint64 percent;
    gint64 current_bytes, total_bytes;
    gint64 layers, layers_done;
    char *reason; /* NULL unless FAILED */
    gint64 told_us;
} ImagePull;

void image_pull_free(ImagePull *pull);
/* Those of containers that have not started yet, in order of task and name: ImagePull. */
GPtrArray *image_pulls_of(DbTx *tx, gint64 cluster_id, const char *const *task_ids, gsize count,
                          GError **error);
