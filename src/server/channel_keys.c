#include "server/channel_keys.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "base/log.h"
#include "store/sessions.h"

#define AGAIN_MS 60000

typedef struct {
    ChannelJob job;
    guint64 conn_id;
    char *account_id;
    char *subject;
    char *used; /* the session's key: those before it are retired; NULL: new ones are to be made */
    gint64 expires_us;
    SessionCredentials *made;
} Keys;

static void keys_clear(ChannelJob *job)
{
    Keys *keys = (Keys *)job;

    g_free(keys->account_id);
    g_free(keys->subject);
    g_free(keys->used);
    session_credentials_free(keys->made);
}

static gboolean make(Keys *keys, const ChannelWorld *world, DbTx *tx, GError **error)
{
    keys->made = sessions_make(tx, world->master_key, keys->account_id, SESSION_AGENT_ROLE,
                               keys->subject, keys->subject, keys->expires_us, error);
    return keys->made != NULL;
}

static void keys_work(ChannelJob *job, const ChannelWorld *world)
{
    Keys *keys = (Keys *)job;
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(world->identity, DB_MODE_READ, &error);

    if (tx && (keys->used ? sessions_retire(tx, keys->subject, keys->used, &error)
                          : make(keys, world, tx, &error)))
        return;
    log_line(LOG_WARN, keys->subject, "credentials of its agent are not renewed: %s",
             error->message);
}

static gint64 lasts_us(const ChannelLoop *loop)
{
    return (gint64)loop->world->config->external_session_seconds * CLOCK_SECOND_US;
}

/* At half of their time; at once those that were made to last longer than any is now. */
static gint64 due_ms(const ChannelLoop *loop, const ChannelConn *conn)
{
    gint64 left_us = conn->expires_us - clock_now_us();
    gint64 wait_us = left_us > lasts_us(loop) ? 0 : MAX(left_us - lasts_us(loop) / 2, 0);

    return clock_mono_ms() + wait_us / 1000;
}

static void keys_done(ChannelJob *job, gpointer user)
{
    Keys *keys = (Keys *)job;
    ChannelLoop *loop = user;
    ChannelConn *conn = loop_conn(loop, keys->conn_id);
    char ends[CLOCK_ISO_SIZE];

    if (!conn || !keys->made)
        return;
    g_autofree char *id = id_uuid();
    channel_send(conn, "BerthCredentialsMessage",
                 json_pack("{s:s, s:s, s:s, s:s, s:s}", "messageId", id, "accessKeyId",
                           keys->made->access_key_id, "secretAccessKey", keys->made->secret,
                           "sessionToken", keys->made->token, "expiration",
                           clock_iso_s(keys->made->expires_us, ends)));
    conn->expires_us = keys->made->expires_us;
    conn->renew_ms = due_ms(loop, conn);
    log_line(LOG_INFO, conn->container_instance_id, "its agent has credentials until %s", ends);
    loop_flush(loop, conn);
}

static Keys *keys_new(const ChannelConn *conn)
{
    Keys *keys = g_new0(Keys, 1);

    keys->job = (ChannelJob){ .work = keys_work, .done = keys_done, .clear = keys_clear };
    keys->conn_id = conn->id;
    keys->account_id = g_strdup(conn->account_id);
    keys->subject = g_strdup(conn->external);
    return keys;
}

void channel_keys_start(ChannelLoop *loop, ChannelConn *conn)
{
    if (!conn->external)
        return;
    Keys *keys = keys_new(conn);
    keys->used = g_strdup(conn->access_key_id);
    channel_jobs_submit(loop->jobs, &keys->job);
    conn->renew_ms = due_ms(loop, conn);
}

void channel_keys_send(ChannelLoop *loop, ChannelConn *conn)
{
    Keys *keys = keys_new(conn);

    keys->expires_us = clock_now_us() + lasts_us(loop);
    conn->renew_ms = clock_mono_ms() + MIN(AGAIN_MS, lasts_us(loop) / 8000);
    channel_jobs_submit(loop->jobs, &keys->job);
}
