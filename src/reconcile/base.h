/*
 * reconcile/base.h - an image's files in a host's pool, which instances there are overlays of
 *
 * Step kind "base", id "HOST_ID/IMAGE_ID": copies them once a host; slow. Names of volumes are
 * the image's id and what the file is.
 */
#pragma once

#include "drivers/hyper.h"
#include "model/image.h"
#include "reconcile/step.h"

typedef struct {
    char *disk;   /* "ami-....qcow2" or "ami-....raw" */
    char *kernel; /* NULL: boots from its disk */
    char *initrd;
} BaseVolumes;

BaseVolumes *base_volumes(const Image *image);
void base_volumes_free(BaseVolumes *volumes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BaseVolumes, base_volumes_free)

/* Whether all of them are complete on this host. */
gboolean base_complete(Hyper *hyper, const BaseVolumes *volumes, gboolean *ret_complete,
                       GError **error);
/* Wakes the step. */
void base_ask(World *world, const char *host_id, const char *image_id);
