/*
 * server/channel_credentials.h - credentials of tasks' roles, on their way to the agent that has
 * the task and to no other
 *
 * A payload brings the first ones; later ones come as messages of their own: before the earlier
 * end, when they were not acknowledged, and all of them to an agent that has forgotten them.
 * Errors: those of db.h.
 */
#pragma once

#include "server/channel_loop.h"

/* Puts roleCredentials and executionRoleCredentials into the tasks (ChannelTask *) that are to run
 * and name a role. One whose role cannot be taken is failed and left out: *ret_all is FALSE then.
 */
gboolean channel_credentials_add(const ChannelWorld *world, DbTx *tx, const char *account_id,
                                 GPtrArray *tasks, gboolean *ret_all, GError **error);

/* A session has begun. */
void channel_credentials_start(ChannelLoop *loop, ChannelConn *conn);
/* Has a worker send what is due, or whatever its tasks have while conn->send_credentials is set;
 * sets conn->credentials_ms, when it is to be called again. */
void channel_credentials_send(ChannelLoop *loop, ChannelConn *conn);
