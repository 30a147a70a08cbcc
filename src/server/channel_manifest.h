/*
 * server/channel_manifest.h - telling an agent what it should run, and stopping what it runs
 * besides
 *
 * Sent once a session to agents that say "ecs.capability.full-sync". What they answer names tasks
 * that the manifest lacks; those that the rows do not want there either get an ordinary STOPPED
 * payload. The protocol's own confirmation (TaskStopVerificationAck) is never sent: agents up to
 * 1.70 report such tasks stopped and leave their containers running. So is nothing ever stopped by
 * a manifest that was overtaken by a payload: the rows are asked again.
 * Our own agent is told as well which of the tasks it has acknowledged, and reports the end of
 * those that it has no record of: they ended while a newer copy of the database was in use. Source:
 * agent protocol, full task sync.
 */
#pragma once

#include "server/channel_loop.h"

/* When, after a session began, its manifest is due: sessions that began together are spread. */
gint64 manifest_delay_ms(void);
/* Has a worker make the manifest; no payload of the session is gathered meanwhile, so that their
 * numbers grow in the order in which they are sent. */
void manifest_send(ChannelLoop *loop, ChannelConn *conn);
/* The agent's TaskStopVerificationMessage; one a manifest. */
void manifest_answered(ChannelLoop *loop, ChannelConn *conn, const json_t *message);
