/*
 * server/channel_loop.h - the loop's own record, for the files that give messages their meaning
 *
 * Everything here belongs to the loop's thread.
 */
#pragma once

#include "server/channel_conn.h"
#include "server/channel_jobs.h"
#include "store/channels.h"

typedef struct {
    const ChannelWorld *world;
    ChannelJobs *jobs;
    SSL_CTX *tls;
    int listen_fd;
    int epoll_fd;
    int event_fd;
    GHashTable *conns;     /* id -> ChannelConn; owns them */
    GHashTable *by_ci;     /* ci_id -> ChannelConn of its ACS session */
    GHashTable *tcs_by_ci; /* the same of its telemetry */
    guint64 last_id;
    guint opening;      /* connections before CONN_OPEN */
    guint conns_max;    /* what the limit of open files leaves for agents */
    GQueue accepted;    /* of ChannelGuest: their handshakes wait for their turn */
    GQueue asking;      /* whose admission waits for the next lot */
    guint lots;         /* of admissions, at workers */
    GHashTable *early;  /* ci_ids woken during these: a lot may have looked for work before that */
    ChannelEnds ends;   /* of sessions, not yet given to a worker */
    gboolean releasing; /* a worker records some */
    gboolean rounding;  /* a worker does the rounds of session_tick */
    gint64 tick_ms;     /* when timers are looked at next */
    gint64 sweep_ms;
    json_t *samples; /* of metrics, to be written; NULL: none */
    gint64 samples_ms;
    gboolean samples_writing;
    json_t *pulls; /* {container's key: row}, to be written; NULL: none */
    gint64 pulls_ms;
    gboolean pulls_writing;
    gint stopping; /* atomic */
} ChannelLoop;

/* Registers listener and eventfd. Error: CONFIG. */
gboolean loop_watch_all(ChannelLoop *loop, GError **error);
/* Until stopping is set (and event_fd written to); then every peer is told that the daemon ends. */
void loop_run(ChannelLoop *loop);

/* NULL when the connection has ended meanwhile. */
ChannelConn *loop_conn(ChannelLoop *loop, guint64 id);
/* The ACS session of a container instance; NULL for none. */
ChannelConn *loop_by_ci(ChannelLoop *loop, gint64 ci_id);
/* Writes what waits; frees conn when it is over. */
void loop_flush(ChannelLoop *loop, ChannelConn *conn);
/* Ends the connection now and frees it. cause is static. */
void loop_end(ChannelLoop *loop, ChannelConn *conn, const char *cause);

/* -- channel_acs.c */
/* A session has opened: first heartbeat, and, when there is work, everything that its agent has not
 * acknowledged. */
void acs_start(ChannelLoop *loop, ChannelConn *conn, gboolean work);
void acs_text(ChannelLoop *loop, ChannelConn *conn, const char *text, gsize length);
/* There may be work for this instance. */
void acs_wake(ChannelLoop *loop, ChannelConn *conn);
/* Heartbeats, resends; FALSE when the peer is given up, with conn->cause set. */
gboolean acs_tick(ChannelLoop *loop, ChannelConn *conn, gint64 now_ms);
/* A worker is done with the instance's payloads: what was asked for meanwhile is gathered. */
void acs_gathered(ChannelLoop *loop, ChannelConn *conn);
/* Another session asked for the instance: the peer has to show that it lives. */
void acs_probe(ChannelLoop *loop, ChannelConn *conn);

/* -- channel_tcs.c */
void tcs_text(ChannelLoop *loop, ChannelConn *conn, const char *text, gsize length);
gboolean tcs_tick(ChannelLoop *loop, ChannelConn *conn, gint64 now_ms);

/* {"type": type, "message": message}; takes message. */
void channel_send(ChannelConn *conn, const char *type, json_t *message);
/* The type of a message and (borrowed from the result) its body; NULL when it is none. New
 * reference. */
json_t *channel_parse(const char *text, gsize length, const char **ret_type,
                      const json_t **ret_message);
