/*
 * server/channel_admit.h - who asks for a channel, and whether it gets one
 *
 * Worker side. The upgrade request is signed as every call is; the caller may open the channels of
 * its own container instance. An ACS channel is held by one session at a time.
 * Source: ECS agent, ACS and TCS handshakes; error names it understands (agent-protocol 5.2).
 */
#pragma once

#include "server/channel_conn.h"
#include "server/channel_jobs.h"

typedef struct {
    gboolean admitted;
    /* when refused */
    int status;
    const char *code; /* "InactiveInstanceException"; static */
    char *message;
    gboolean held_here; /* by another session of this daemon: */
    char *held_session;
    /* when admitted, or held_here */
    gint64 ci_id;
    /* when admitted */
    gboolean send_credentials; /* the agent asks for those of its tasks */
    char *session;
    char *account_id;
    char *cluster_name;
    char *container_instance_id;
    char *cluster_arn;
    char *container_instance_arn;
} ChannelAdmission;

/* over_session: a session of this daemon that has ended, though its row says otherwise; NULL: none.
 */
void channel_admit(const ChannelWorld *world, ChannelKind kind, const Upgrade *upgrade,
                   const char *over_session, ChannelAdmission *ret);
void channel_admission_clear(ChannelAdmission *admission);
