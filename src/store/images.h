/*
 * store/images.h - rows of tables "images" and "image_permissions"
 *
 * An account sees its own images, public ones, and those shared with it. Errors: IMAGE_NOT_FOUND
 * in EC2's words, IMAGE_NAME_DUPLICATE, and those of store/db.h.
 */
#pragma once

#include "model/image.h"
#include "store/db.h"

/* The image whatever its account: for reconcile. NULL with NOT_FOUND. */
Image *images_load(DbTx *tx, const char *id, GError **error);
/* An image that the account sees; IMAGE_UNAVAILABLE when it is deregistered. lock takes the row FOR
 * UPDATE. */
Image *images_get(DbTx *tx, const char *account_id, const char *id, gboolean lock, GError **error);
/* Those the account sees, newest last; ids (NULL: all) ends with NULL. Unknown ids are
 * IMAGE_NOT_FOUND; deregistered images are left out. */
GPtrArray *images_list(DbTx *tx, const char *account_id, const char *const *ids, GError **error);
/* Makes the row, pending, and wakes its step. Fields that import finds out are not read. */
gboolean images_insert(DbTx *tx, const Image *image, GError **error);
/* The following change what the owner wants; the caller has checked that it is the owner. */
gboolean images_deregister(DbTx *tx, const char *id, GError **error);
gboolean images_set_description(DbTx *tx, const char *id, const char *text, GError **error);
gboolean images_set_public(DbTx *tx, const char *id, gboolean is_public, GError **error);
gboolean images_permit(DbTx *tx, const char *id, const char *const *add, const char *const *remove,
                       GError **error);
/* Accounts it is shared with. Free with g_ptr_array_unref. */
GPtrArray *images_permissions(DbTx *tx, const char *id, GError **error);

/* reconcile: the import has succeeded: state "available", and the fields from disk_format to
 * kernel_cmdline, root_device_name and ssh_user are recorded. */
gboolean images_record_available(DbTx *tx, const Image *found, GError **error);
/* reconcile: a new state ("failed", "deregistered") and its reason or NULL. */
gboolean images_record_state(DbTx *tx, const char *id, const char *state, const char *fault,
                             GError **error);
