/*
 * server/channel_metrics.h - agents' metrics on their way to the database: many in one statement
 *
 * Belongs to the loop's thread. What comes while a worker writes goes with the next lot; when
 * writing does not keep up, the newest are dropped: metrics are nobody's truth.
 */
#pragma once

#include "server/channel_loop.h"

/* A PublishMetricsRequest's message. */
void metrics_take(ChannelLoop *loop, ChannelConn *conn, const json_t *message);
/* Hands over what has gathered, at most once in a second. */
void metrics_tick(ChannelLoop *loop, gint64 now_ms);
