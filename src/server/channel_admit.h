/*
 * server/channel_admit.h - who asks for a channel, and whether it gets one
 *
 * Worker side. The upgrade request is signed as every call is; the caller may open the channels of
 * its own container instance. An ACS channel is held by one session at a time. Those that ask at
 * the same time are admitted together: all of them cost as many statements as one.
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
    gboolean work;             /* its agent has to be told something */
    gboolean credentials;      /* its tasks have some */
    gboolean send_credentials; /* the agent asks for those of its tasks, and there are some */
    char *external; /* the machine that is no guest of ours, whose keys were used; NULL: others */
    char *access_key_id;
    gint64 expires_us; /* of the keys */
    char *session;
    char *account_id;
    char *cluster_name;
    char *container_instance_id;
    char *cluster_arn;
    char *container_instance_arn;
} ChannelAdmission;

typedef struct {
    ChannelKind kind;
    Upgrade *upgrade;
    char *over_session; /* one of this daemon that has ended, though its row says otherwise; NULL */
    ChannelAdmission admission; /* the answer */
} ChannelAsk;

void channel_admit(const ChannelWorld *world, ChannelAsk *const *asks, guint count);
void channel_admission_clear(ChannelAdmission *admission);
