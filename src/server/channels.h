/*
 * server/channels.h - the agents' channels: a TLS listener of their own and one loop for all
 *
 * ACS (/acs/ws) carries work down and acknowledgements up, one session a container instance; TCS
 * (/tcs/ws) carries telemetry up. One thread moves bytes for all of them and never waits; workers
 * do the database's part; one thread LISTENs for "channel:ID" wakes. Rows say who is
 * connected: memory is a cache of open sockets.
 * Errors: CONFIG (certificate, port).
 */
#pragma once

#include "server/channel_jobs.h"

typedef struct Channels Channels;

/* world is borrowed until channels_stop. Certificates are STATE_DIR/tls/server.crt, which every
 * client takes, and channel.crt, whose key costs less where the client takes it too; without that
 * one the first serves all. */
Channels *channels_start(const ChannelWorld *world, GError **error);
/* Tells every agent to come back, and closes. Rows are given up by the daemon's last beat. */
void channels_stop(Channels *channels);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Channels, channels_stop)
