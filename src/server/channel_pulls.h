/*
 * server/channel_pulls.h - how far images are, on its way to the database: many in one statement
 *
 * Belongs to the loop's thread. PublishImagePullsRequest is Berth's own message on the telemetry
 * channel: agents of others do not send it. What comes while a worker writes goes with the next
 * lot, the newest of each container.
 */
#pragma once

#include "server/channel_loop.h"

/* A PublishImagePullsRequest's message. */
void pulls_take(ChannelLoop *loop, ChannelConn *conn, const json_t *message);
/* Hands over what has gathered, a few times in a second at most. */
void pulls_tick(ChannelLoop *loop, gint64 now_ms);
