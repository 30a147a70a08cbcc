/*
 * model/image.h - the machine image: a row of table "images"
 *
 * handlers/ makes the row pending; reconcile/ imports the files and records what it found. An
 * image that is deregistered stays as a row while instances were made from it.
 */
#pragma once

#include <glib.h>

typedef struct {
    char *id;
    char *account_id;
    char *name;
    char *description;
    char *architecture;
    char *root_device_name;
    char *ssh_user;
    char *location;      /* file or folder it comes from */
    char *import_format; /* "qcow2", "raw", "berth" (folder with image.json); NULL: look */
    char *import_sha256; /* what the disk's file must have; NULL: anything */
    gboolean is_public;
    gboolean deregistered; /* wanted */
    char *state;           /* "pending", "available", "failed", "deregistered" */
    char *fault;
    char *disk_format;
    char *disk_sha256;
    gint64 disk_bytes;
    gint64 virtual_bytes;
    char *kernel_sha256; /* NULL: boots from its disk */
    char *initrd_sha256;
    char *kernel_cmdline;
    char *snapshot_id;
    gint64 created_us;
} Image;

void image_free(Image *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Image, image_free)

/* Size of the smallest root volume, GiB: the disk's virtual size rounded up. */
gint image_root_gib(const Image *image);
