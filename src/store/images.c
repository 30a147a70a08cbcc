#include "store/images.h"
#include "base/errors.h"

#define COLUMNS                                                                                    \
    "m.image_id, m.account_id, m.name, m.description, m.architecture, m.root_device_name,"         \
    " m.ssh_user, m.location, m.import_format, m.import_sha256, m.public,"                         \
    " m.desired = 'deregistered', m.state, m.fault, m.disk_format, m.disk_sha256, m.disk_bytes,"   \
    " m.virtual_bytes, m.kernel_sha256, m.initrd_sha256, m.kernel_cmdline, m.snapshot_id, " DB_US( \
        "m.created_at")
/* $1 is the account that looks */
#define VISIBLE                                                                                    \
    "(m.account_id = $1 OR m.public OR EXISTS (SELECT 1 FROM image_permissions p"                  \
    " WHERE p.image_id = m.image_id AND p.account_id = $1))"

static Image *image_from_row(const PGresult *res, int row)
{
    Image *m = g_new0(Image, 1);
    char **texts[] = { &m->id,           &m->account_id,   &m->name,
                       &m->description,  &m->architecture, &m->root_device_name,
                       &m->ssh_user,     &m->location,     &m->import_format,
                       &m->import_sha256 };
    int c = 0;

    for (gsize n = 0; n < G_N_ELEMENTS(texts); n++)
        *texts[n] = g_strdup(db_text(res, row, c++));
    m->is_public = db_truth(res, row, c++);
    m->deregistered = db_truth(res, row, c++);
    m->state = g_strdup(db_text(res, row, c++));
    m->fault = g_strdup(db_text(res, row, c++));
    m->disk_format = g_strdup(db_text(res, row, c++));
    m->disk_sha256 = g_strdup(db_text(res, row, c++));
    m->disk_bytes = db_int64(res, row, c++);
    m->virtual_bytes = db_int64(res, row, c++);
    m->kernel_sha256 = g_strdup(db_text(res, row, c++));
    m->initrd_sha256 = g_strdup(db_text(res, row, c++));
    m->kernel_cmdline = g_strdup(db_text(res, row, c++));
    m->snapshot_id = g_strdup(db_text(res, row, c++));
    m->created_us = db_int64(res, row, c++);
    return m;
}

Image *images_load(DbTx *tx, const char *id, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error, "SELECT " COLUMNS " FROM images m WHERE m.image_id = $1", DB_ARGS(id));

    if (!res)
        return NULL;
    if (PQntuples(res) == 0)
        return fail_null(error, NOT_FOUND, "there is no image \"%s\"", id);
    return image_from_row(res, 0);
}

Image *images_get(DbTx *tx, const char *account_id, const char *id, gboolean lock, GError **error)
{
    if (lock && !db_exec(tx, error, "SELECT 1 FROM images WHERE image_id = $1 FOR UPDATE",
                         DB_ARGS(id), NULL))
        return NULL;
    g_autoptr(PGresult) res = db_query(
        tx, error, "SELECT " COLUMNS " FROM images m WHERE " VISIBLE " AND m.image_id = $2",
        DB_ARGS(account_id, id));
    if (!res)
        return NULL;
    if (PQntuples(res) == 0)
        return fail_null(error, IMAGE_NOT_FOUND, "The image id '[%s]' does not exist", id);
    g_autoptr(Image) image = image_from_row(res, 0);
    if (image->deregistered)
        return fail_null(error, IMAGE_UNAVAILABLE, "The image id '[%s]' is no longer available",
                         id);
    return g_steal_pointer(&image);
}

/* An id that was never an image of this account's view is an error; one deregistered is not. */
static gboolean refuse_unknown(DbTx *tx, const char *account_id, const char *wanted, GError **error)
{
    g_autoptr(PGresult) res = db_query(
        tx, error,
        "SELECT string_agg(w.id, ', ' ORDER BY w.n) FROM unnest($2::text[]) WITH ORDINALITY"
        " AS w (id, n) WHERE NOT EXISTS (SELECT 1 FROM images m"
        " WHERE m.image_id = w.id AND " VISIBLE ")",
        DB_ARGS(account_id, wanted));

    if (!res)
        return FALSE;
    const char *missing = db_text(res, 0, 0);
    if (missing)
        return fail(error, IMAGE_NOT_FOUND, "The image id '[%s]' does not exist", missing);
    return TRUE;
}

GPtrArray *images_list(DbTx *tx, const char *account_id, const char *const *ids, GError **error)
{
    const char *wanted = ids ? db_text_array(tx, ids, -1) : NULL;

    if (ids && !refuse_unknown(tx, account_id, wanted, error))
        return NULL;
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " COLUMNS " FROM images m WHERE " VISIBLE
                 " AND ($2::text[] IS NULL OR m.image_id = ANY ($2::text[]))"
                 " AND m.desired = 'available' ORDER BY m.created_at, m.image_id",
                 DB_ARGS(account_id, wanted));
    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)image_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, image_from_row(res, row));
    return list;
}

static gboolean name_taken(DbTx *tx, const Image *m, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT image_id FROM images WHERE account_id = $1 AND name = $2"
                 " AND desired = 'available' AND state <> 'failed'",
                 DB_ARGS(m->account_id, m->name));

    if (!res)
        return FALSE;
    return fail(error, IMAGE_NAME_DUPLICATE, "AMI name %s is already in use by AMI %s", m->name,
                PQntuples(res) ? db_text(res, 0, 0) : "of another call");
}

gboolean images_insert(DbTx *tx, const Image *m, GError **error)
{
    guint rows = 0;

    if (!db_exec(tx, error,
                 "INSERT INTO images (image_id, account_id, name, description, architecture,"
                 " root_device_name, ssh_user, location, import_format, import_sha256, public,"
                 " snapshot_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::boolean, $12)"
                 " ON CONFLICT DO NOTHING",
                 DB_ARGS(m->id, m->account_id, m->name, m->description, m->architecture,
                         m->root_device_name, m->ssh_user, m->location, m->import_format,
                         m->import_sha256, db_bool(m->is_public), m->snapshot_id),
                 &rows))
        return FALSE;
    if (rows == 0)
        return name_taken(tx, m, error);
    return db_wake(tx, "image", m->id, error);
}

gboolean images_deregister(DbTx *tx, const char *id, GError **error)
{
    return db_exec(tx, error, "UPDATE images SET desired = 'deregistered' WHERE image_id = $1",
                   DB_ARGS(id), NULL) &&
           db_wake(tx, "image", id, error);
}

gboolean images_set_description(DbTx *tx, const char *id, const char *text, GError **error)
{
    return db_exec(tx, error, "UPDATE images SET description = $2 WHERE image_id = $1",
                   DB_ARGS(id, text), NULL);
}

gboolean images_set_public(DbTx *tx, const char *id, gboolean is_public, GError **error)
{
    return db_exec(tx, error, "UPDATE images SET public = $2::boolean WHERE image_id = $1",
                   DB_ARGS(id, db_bool(is_public)), NULL);
}

gboolean images_permit(DbTx *tx, const char *id, const char *const *add, const char *const *remove,
                       GError **error)
{
    return db_exec(tx, error,
                   "INSERT INTO image_permissions (image_id, account_id)"
                   " SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING",
                   DB_ARGS(id, db_text_array(tx, add, -1)), NULL) &&
           db_exec(tx, error,
                   "DELETE FROM image_permissions WHERE image_id = $1"
                   " AND account_id = ANY ($2::text[])",
                   DB_ARGS(id, db_text_array(tx, remove, -1)), NULL);
}

GPtrArray *images_permissions(DbTx *tx, const char *id, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT account_id FROM image_permissions WHERE image_id = $1 ORDER BY account_id",
                 DB_ARGS(id));

    return res ? db_texts(res, 0) : NULL;
}

gboolean images_record_available(DbTx *tx, const Image *m, GError **error)
{
    return db_exec(tx, error,
                   "UPDATE images SET state = 'available', fault = NULL, disk_format = $2,"
                   " disk_sha256 = $3, disk_bytes = $4::bigint, virtual_bytes = $5::bigint,"
                   " kernel_sha256 = $6, initrd_sha256 = $7, kernel_cmdline = $8,"
                   " root_device_name = $9, ssh_user = $10 WHERE image_id = $1",
                   DB_ARGS(m->id, m->disk_format, m->disk_sha256, db_int(tx, m->disk_bytes),
                           db_int(tx, m->virtual_bytes), m->kernel_sha256, m->initrd_sha256,
                           m->kernel_cmdline, m->root_device_name, m->ssh_user),
                   NULL);
}

gboolean images_record_state(DbTx *tx, const char *id, const char *state, const char *fault,
                             GError **error)
{
    return db_exec(tx, error, "UPDATE images SET state = $2, fault = $3 WHERE image_id = $1",
                   DB_ARGS(id, state, fault), NULL);
}
