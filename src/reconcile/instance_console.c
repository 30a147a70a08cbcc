#include "reconcile/instance.h"
#include "store/console.h"

static gboolean read_wanted(World *world, const Instance *i, gint64 *ret_wanted, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);

    return tx && console_wanted(tx, i->id, ret_wanted, error);
}

gboolean instance_serve_console(World *world, Hyper *hyper, const Instance *i, GError **error)
{
    gint64 wanted = 0;
    gsize length = 0;

    if (!read_wanted(world, i, &wanted, error))
        return FALSE;
    if (wanted == 0 && instance_act(i) != ACT_UNDEFINE)
        return TRUE;
    g_autofree char *tail =
        hyper_guest_file(hyper, i->id, GUEST_CONSOLE, CONSOLE_TAIL_MAX, &length, error);
    if (!tail)
        return FALSE;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);
    return tx && console_store(tx, i->id, wanted, tail, length, error) &&
           db_commit(g_steal_pointer(&tx), error);
}
