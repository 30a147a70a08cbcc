/*
 * server/channel_keys.h - the agents' own credentials, on machines that are no guests of ours
 *
 * A guest's agent asks the metadata service; nothing of ours reaches other machines but their
 * channel. When half of their time is over the agent is sent new ones, in a message that agents of
 * others pass over as they do every unknown type: "BerthCredentialsMessage" {accessKeyId,
 * secretAccessKey, sessionToken, expiration}. Once a channel was opened with them, those that end
 * earlier are deleted. A machine that was away for longer needs "berth agent renew".
 */
#pragma once

#include "server/channel_loop.h"

/* A session has begun: the credentials it was opened with take the place of older ones. */
void channel_keys_start(ChannelLoop *loop, ChannelConn *conn);
/* Has a worker make new ones and send them; sets conn->renew_ms. */
void channel_keys_send(ChannelLoop *loop, ChannelConn *conn);
