/*
 * server/channel_conn.h - one connection of an agent: TLS, then a WebSocket, without ever blocking
 *
 * Owned by the channel loop; nothing here is thread-safe. It moves bytes and knows what stage it
 * is in; what messages mean is the loop's business.
 */
#pragma once

#include "server/upgrade.h"
#include "wire/ws.h"

#include <jansson.h>
#include <openssl/ssl.h>

typedef enum {
    CONN_HANDSHAKE, /* TLS */
    CONN_REQUEST,   /* the upgrade request comes */
    CONN_ADMITTING, /* a worker looks who it is */
    CONN_OPEN,
    CONN_CLOSING, /* what is to be written is written, then it ends */
} ConnStage;

typedef enum { CHANNEL_ACS, CHANNEL_TCS } ChannelKind;

typedef struct {
    guint64 id; /* never used again in this process */
    int fd;
    SSL *ssl;
    ConnStage stage;
    ChannelKind kind;
    char peer[46];
    GByteArray *in;  /* of the request */
    GByteArray *raw; /* HTTP to be written, before the WebSocket's frames */
    gsize raw_done;
    Upgrade *upgrade;
    Ws *ws;
    gboolean wants_write;
    gboolean broken; /* no more bytes in or out */
    guint32 events;  /* registered with epoll */
    gint64 begun_ms;
    gint64 deadline_ms; /* of the stages before CONN_OPEN, and of CONN_CLOSING */
    gint64 heard_ms;    /* last whole message or pong */
    /* from admission */
    gint64 ci_id;
    char *session;
    char *account_id;
    char *cluster_name;
    char *container_instance_id;
    char *cluster_arn;
    char *container_instance_arn;
    char *external; /* machine whose keys the agent uses; NULL: not one of ours to renew */
    char *access_key_id;
    gint64 expires_us; /* of the keys, or of those that were sent */
    const char *cause; /* why it ended, for the row and the log; static */
    /* the loop's notes */
    gpointer loop;             /* ChannelLoop it belongs to */
    char *over_session;        /* of its row, found to be over: to be taken over */
    gboolean credentials;      /* its tasks had some when it began */
    gboolean send_credentials; /* the agent asked for its tasks', which were not sent yet */
    gint64 credentials_ms;     /* when they are looked at next */
    gint64 manifest_ms;        /* when its tasks are compared; 0: they were */
    gint64 renew_ms;           /* when the agent's own keys are renewed; 0: never */
    char *manifest_id;         /* sent, not yet answered */
    gint64 heartbeat_ms;       /* when the next is due */
    gint64 probe_ms;           /* answer must have come by then; 0: no probe */
    gint64 resend_ms;          /* when unacknowledged payloads go again; 0: none are out */
    guint unacked;
    gboolean collecting; /* a worker gathers its payloads */
    gboolean collect_again;
    gboolean heard_since_touch;
    gboolean rival_noted;
    GPtrArray *acks;            /* message ids not yet recorded */
    GPtrArray *credential_acks; /* the same of credentials */
    gboolean acking;            /* a worker records some */
    gint64 nack_ms;             /* refusals are logged again from then on */
    json_t *health;             /* "task/container" -> what was told and is not yet recorded */
    const char *runtime_status; /* the same; static; NULL: nothing */
    gboolean recording;         /* a worker records them */
} ChannelConn;

/* Takes fd. */
ChannelConn *conn_new(guint64 id, int fd, const char *peer, SSL_CTX *tls);
void conn_free(ChannelConn *conn);

/* Whether the peer has sent any byte. */
gboolean conn_has_spoken(const ChannelConn *conn);
/* Reads what there is, or a part of much: nobody keeps the loop to himself. In CONN_REQUEST it sets
 * upgrade when that is whole. In CONN_OPEN messages go to the Ws's callback. FALSE when the
 * connection is over. */
gboolean conn_read(ChannelConn *conn, GError **error);
/* Writes what can be written; sets wants_write when something is left. FALSE when it is over. */
gboolean conn_flush(ChannelConn *conn);
/* Bytes waiting to be written. */
gsize conn_pending(const ChannelConn *conn);

/* Answers the upgrade; from here on frames are spoken. */
void conn_open(ChannelConn *conn, WsOnText on_text, WsOnPong on_pong, gpointer user);
/* Refuses it with {code: message}, as the Amazon agent reads it, and closes after that. */
void conn_refuse(ChannelConn *conn, int status, const char *code, const char *message);
/* Says goodbye and closes after that. */
void conn_close(ChannelConn *conn, guint16 code, const char *cause);
