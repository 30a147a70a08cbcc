/*
 * store/channels.h - what the agents' channels read and write: who holds them, work, acks, health
 *
 * Tables "container_instances" (columns channel_*), "tasks" (sent_*, acked_*, health_status) and
 * "containers" (health_status). A container instance has one session at a time, held by one
 * daemon. Times are UTC microseconds. Callers free records. Errors: those of db.h.
 */
#pragma once

#include "store/db.h"

#include <jansson.h>

/* A container instance as admission to a channel needs it. */
typedef struct {
    gint64 ci_id;
    gint64 cluster_id;
    char *account_id;
    char *cluster_name;
    char *container_instance_id;
    char *ec2_instance_id; /* NULL: a machine that is not ours */
    gboolean active;       /* not deregistered */
    char *owner;           /* daemon that holds its channel; NULL: none */
    char *session;
} ChannelRow;

void channel_row_free(ChannelRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ChannelRow, channel_row_free)

/* One of those looked for together. */
typedef struct {
    const char *account_id;
    const char *container_instance_id;
    ChannelRow *row; /* found; NULL: there is none */
} ChannelLookup;

/* One statement for all of them, however many. */
gboolean channels_find(DbTx *tx, ChannelLookup *lookups, gsize count, GError **error);

/* What the agent says of itself when it connects; members may be NULL. */
typedef struct {
    const char *version;
    const char *hash;
    const char *docker_version;
} ChannelAgent;

typedef struct {
    gint64 ci_id;
    const char *session;
    const char *over_session; /* NULL: none */
    ChannelAgent agent;
    gboolean taken;
    gboolean work;        /* something that channels_work or channels_end_unsent would find */
    gboolean credentials; /* tasks of it run with credentials */
} ChannelClaim;

/* Takes each channel that nobody living holds, or whose session is over_session; wakes their
 * clusters. One statement for all of them; of two claims on one channel one has it. */
gboolean channels_claim(DbTx *tx, const char *daemon_id, ChannelClaim *claims, gsize count,
                        GError **error);

/* Sessions that have ended; all zero: none. */
typedef struct {
    GArray *ci_ids; /* gint64 */
    GPtrArray *sessions;
    GPtrArray *causes;
} ChannelEnds;

void channel_ends_add(ChannelEnds *ends, gint64 ci_id, const char *session, const char *cause);
void channel_ends_clear(ChannelEnds *ends);
/* Gives up the rows that these sessions still have; wakes them and their clusters. */
gboolean channels_release(DbTx *tx, const ChannelEnds *ends, GError **error);
/* Records that each of these was heard of now. */
gboolean channels_touch(DbTx *tx, const gint64 *ci_ids, gsize count, GError **error);
/* Appends to the container instance's history. */
gboolean channels_note(DbTx *tx, gint64 ci_id, const char *what, GError **error);

/* The control channel as its row has it. Times are UTC microseconds, 0: never. */
typedef struct {
    gint64 connected_us, last_frame_us, disconnected_us, lost_us;
    char *cause; /* why it ended; NULL while it is open, or before the first */
} ChannelState;

void channel_state_clear(ChannelState *state);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ChannelState, channel_state_clear)
gboolean channels_state(DbTx *tx, gint64 ci_id, ChannelState *ret_state, GError **error);

/* A task that its agent is to be told about. */
typedef struct {
    gint64 task_key;
    char *task_id;
    char *desired_status;
    char *family;
    gint64 revision;
    char *launch_type;
    char *task_group;
    char *service_name; /* NULL: no service's */
    json_t *definition;
    json_t *overrides;
    json_t *container_uuids;  /* {name: UUID} */
    json_t *role_credentials; /* added on their way to the agent; NULL: none */
    json_t *execution_credentials;
} ChannelTask;

void channel_task_free(ChannelTask *task);

typedef enum {
    CHANNEL_NEW,    /* what was never sent in its present desire */
    CHANNEL_UNACKED /* and what was sent and not acknowledged */
} ChannelWork;

/* Whether the container instance is active, and has anything that channels_work or
 * channels_end_unsent would find: most that come back have not. */
gboolean channels_look(DbTx *tx, gint64 ci_id, gboolean *ret_active, gboolean *ret_work,
                       GError **error);

/* At most limit of the instance's tasks that have to be sent, stops first, locked: ChannelTask *.
 */
GPtrArray *channels_work(DbTx *tx, gint64 ci_id, ChannelWork which, guint limit, GError **error);
/* Ends tasks that are to stop and that the agent was never told of. */
gboolean channels_end_unsent(DbTx *tx, gint64 ci_id, GError **error);
/* Ends a task that cannot be started, and says why: it is to stop, and stops at once when its agent
 * was never told of it (channels_end_unsent). */
gboolean channels_fail_task(DbTx *tx, gint64 task_key, const char *reason, GError **error);
/* Of container_instances, as SQL: what the next sequence numbers follow. They are greater than all
 * that an agent has seen though the row is an older copy's, for they are no less than milliseconds
 * since 1970; agents pass over what does not grow. */
#define CHANNELS_SEQUENCE                                                                          \
    "greatest(sequence, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"

/* Of tasks, as SQL: the agent has not said that it has the task in its present desire. A report
 * that it runs tells as much as an acknowledgement. */
#define CHANNELS_UNACKED                                                                           \
    "acked_status IS DISTINCT FROM desired_status"                                                 \
    " AND NOT (desired_status = 'RUNNING' AND last_status IN ('RUNNING', 'STOPPING'))"

/* Records tasks as sent, each in the message of the same index, and takes as many sequence
 * numbers; *ret_first is the first. */
gboolean channels_sent(DbTx *tx, gint64 ci_id, const GPtrArray *tasks,
                       const char *const *message_ids, gint64 *ret_first, GError **error);
/* Takes count of the instance's sequence numbers; *ret_first is the first. */
gboolean channels_number(DbTx *tx, gint64 ci_id, guint count, gint64 *ret_first, GError **error);
/* The agent has these messages; ends with NULL. */
gboolean channels_acked(DbTx *tx, gint64 ci_id, const char *const *message_ids, GError **error);

/* Instances of this daemon's channels that have work which was not sent: a lost wake. ids of rows,
 * as gint64. */
GArray *channels_waiting(DbTx *tx, const char *daemon_id, GError **error);

/* Health of containers, [{task, name, health}] with task ids; derives the tasks' health from their
 * essential containers, and wakes services whose tasks changed. */
gboolean channels_health(DbTx *tx, gint64 ci_id, const json_t *reports, GError **error);
/* Health of the instance's container runtime ("OK", "IMPAIRED"...). */
gboolean channels_runtime_status(DbTx *tx, gint64 ci_id, const char *status, GError **error);
