#include "handlers/table.h"

json_t *get_caller_identity(Request *rq, GError **error G_GNUC_UNUSED)
{
    const Identity *who = rq->identity;

    return json_pack("{s:s, s:s, s:s}", "UserId", who->principal_id, "Account", who->account_id,
                     "Arn", who->principal_arn);
}
