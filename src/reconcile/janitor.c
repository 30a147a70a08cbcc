/* Rows that nobody needs any more go: the step of one database, bounded, so that it goes on later.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "reconcile/kinds.h"
#include "store/janitor.h"

#include <string.h>

StepResult janitor_step(World *world, const char *id, gint64 *ret_again_ms G_GNUC_UNUSED,
                        GError **error)
{
    gint64 history_us =
        clock_now_us() - (gint64)world->config->task_history_seconds * CLOCK_SECOND_US;
    gboolean identity = strcmp(id, "identity") == 0, more = FALSE;
    g_autoptr(DbTx) tx = db_begin(identity ? world->identity : world->region, DB_MODE_READ, error);

    if (!tx ||
        !(identity ? janitor_identity(tx, &more, error)
                   : janitor_region(tx, world->config->region, history_us, &more, error)) ||
        !db_commit(g_steal_pointer(&tx), error))
        return STEP_FAILED;
    FAULT_POINT("janitor.swept");
    return more ? STEP_AGAIN : STEP_SETTLED;
}
