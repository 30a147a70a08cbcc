/*
 * server/channel_session.h - a connection becomes a session of a container instance, and ends as
 * one
 *
 * Belongs to the loop's thread, but for session_wake, which any thread may call.
 */
#pragma once

#include "server/channel_loop.h"

/* The upgrade request has come: a worker looks who it is. */
void session_request(ChannelLoop *loop, ChannelConn *conn);
/* Forgets those that no worker looks at yet: the loop has ended. */
void session_drop_asking(ChannelLoop *loop);
/* The connection is about to be freed: gives up its row. */
void session_ended(ChannelLoop *loop, ChannelConn *conn);
/* Records who was heard of; looks for work whose wake was lost. */
void session_tick(ChannelLoop *loop, gint64 now_ms);

/* There may be work for this container instance; 0: for any. */
void session_wake(ChannelJobs *jobs, gint64 ci_id);
