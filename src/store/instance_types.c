#include "store/instance_types.h"
#include "base/errors.h"

#define COLUMNS                                                                                    \
    "instance_type, vcpus, memory_mib, architecture, network, burstable, current_generation,"      \
    " built_in, " DB_US("created_at")

void instance_type_free(InstanceType *type)
{
    if (!type)
        return;
    g_free(type->name);
    g_free(type->architecture);
    g_free(type->network);
    g_free(type);
}

static InstanceType *type_from_row(const PGresult *res, int row)
{
    InstanceType *t = g_new0(InstanceType, 1);

    t->name = g_strdup(db_text(res, row, 0));
    t->vcpus = (gint)db_int64(res, row, 1);
    t->memory_mib = (gint)db_int64(res, row, 2);
    t->architecture = g_strdup(db_text(res, row, 3));
    t->network = g_strdup(db_text(res, row, 4));
    t->burstable = db_truth(res, row, 5);
    t->current_generation = db_truth(res, row, 6);
    t->built_in = db_truth(res, row, 7);
    t->created_us = db_int64(res, row, 8);
    return t;
}

GPtrArray *instance_types_list(DbTx *tx, const char *const *names, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error,
                 "SELECT " COLUMNS " FROM instance_types"
                 " WHERE $1::text[] IS NULL OR instance_type = ANY ($1::text[])"
                 " ORDER BY split_part(instance_type, '.', 1), vcpus, memory_mib, instance_type",
                 DB_ARGS(names ? db_text_array(tx, names, -1) : NULL));

    if (!res)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)instance_type_free);
    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, type_from_row(res, row));
    return list;
}

gboolean instance_types_find(DbTx *tx, const char *name, InstanceType **ret_type, GError **error)
{
    g_autoptr(PGresult) res =
        db_query(tx, error, "SELECT " COLUMNS " FROM instance_types WHERE instance_type = $1",
                 DB_ARGS(name));

    *ret_type = NULL;
    if (!res)
        return FALSE;
    if (PQntuples(res))
        *ret_type = type_from_row(res, 0);
    return TRUE;
}

gboolean instance_types_put(DbTx *tx, const InstanceType *t, GError **error)
{
    guint rows = 0;

    if (!db_exec(tx, error,
                 "INSERT INTO instance_types (instance_type, vcpus, memory_mib, architecture,"
                 " network) VALUES ($1, $2::integer, $3::integer, $4, $5)"
                 " ON CONFLICT (instance_type) DO UPDATE SET vcpus = excluded.vcpus,"
                 " memory_mib = excluded.memory_mib, architecture = excluded.architecture,"
                 " network = excluded.network WHERE NOT instance_types.built_in",
                 DB_ARGS(t->name, db_int(tx, t->vcpus), db_int(tx, t->memory_mib), t->architecture,
                         t->network),
                 &rows))
        return FALSE;
    return rows ? TRUE
                : fail(error, ADMIN_IN_USE, "\"%s\" is one of the well-known types", t->name);
}

gboolean instance_types_delete(DbTx *tx, const char *name, GError **error)
{
    g_autoptr(PGresult) res = db_query(tx, error,
                                       "SELECT t.built_in, (SELECT count(*) FROM instances i"
                                       " WHERE i.instance_type = $1 AND i.terminated_at IS NULL)"
                                       " FROM instance_types t WHERE t.instance_type = $1",
                                       DB_ARGS(name));

    if (!res)
        return FALSE;
    if (PQntuples(res) == 0)
        return fail(error, ADMIN_NOT_FOUND, "there is no instance type \"%s\"", name);
    if (db_truth(res, 0, 0))
        return fail(error, ADMIN_IN_USE, "\"%s\" is one of the well-known types", name);
    if (db_int64(res, 0, 1) > 0)
        return fail(error, ADMIN_IN_USE, "%s instances of type \"%s\" are there",
                    db_text(res, 0, 1), name);
    return db_exec(tx, error, "DELETE FROM instance_types WHERE instance_type = $1", DB_ARGS(name),
                   NULL);
}
