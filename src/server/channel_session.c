#include "server/channel_session.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/log.h"
#include "server/channel_admit.h"
#include "store/channels.h"

#include <string.h>

#define SWEEP_MS    30000
#define TOUCH_MIN   64
#define TOUCH_PARTS 32
#define LOTS        2 /* the other workers have payloads to gather */
#define LOT_MAX     128

/* -- admission */

typedef struct {
    ChannelAsk ask; /* first: what a worker sees of it */
    guint64 conn_id;
} Admit;

static void admit_free(gpointer data)
{
    Admit *admit = data;

    upgrade_free(admit->ask.upgrade);
    g_free(admit->ask.over_session);
    channel_admission_clear(&admit->ask.admission);
    g_free(admit);
}

/* Those that asked while the workers were busy with others, as far as one job takes them. */
typedef struct {
    ChannelJob job;
    GPtrArray *admits;
} AdmitLot;

static void lot_clear(ChannelJob *job)
{
    g_ptr_array_unref(((AdmitLot *)job)->admits);
}

static void lot_work(ChannelJob *job, const ChannelWorld *world)
{
    const GPtrArray *admits = ((AdmitLot *)job)->admits;

    channel_admit(world, (ChannelAsk *const *)admits->pdata, admits->len);
}

static void release_begin(ChannelLoop *loop, gint64 ci_id, const char *session, const char *cause);
static void note_begin(ChannelLoop *loop, gint64 ci_id, char *what);

static void on_text(Ws *ws G_GNUC_UNUSED, const char *text, gsize length, gpointer user)
{
    ChannelConn *conn = user;
    ChannelLoop *loop = conn->loop;

    conn->heard_ms = clock_mono_ms();
    conn->heard_since_touch = TRUE;
    if (conn->kind == CHANNEL_ACS)
        acs_text(loop, conn, text, length);
    else
        tcs_text(loop, conn, text, length);
}

/* An instance has one channel of each kind. */
static GHashTable *sessions_of(const ChannelLoop *loop, const ChannelConn *conn)
{
    return conn->kind == CHANNEL_ACS ? loop->by_ci : loop->tcs_by_ci;
}

static void open_session(ChannelLoop *loop, ChannelConn *conn, ChannelAdmission *admission)
{
    conn->ci_id = admission->ci_id;
    conn->credentials = admission->credentials;
    conn->send_credentials = admission->send_credentials;
    conn->external = g_steal_pointer(&admission->external);
    conn->access_key_id = g_steal_pointer(&admission->access_key_id);
    conn->expires_us = admission->expires_us;
    conn->session = g_steal_pointer(&admission->session);
    conn->account_id = g_steal_pointer(&admission->account_id);
    conn->cluster_name = g_steal_pointer(&admission->cluster_name);
    conn->container_instance_id = g_steal_pointer(&admission->container_instance_id);
    conn->cluster_arn = g_steal_pointer(&admission->cluster_arn);
    conn->container_instance_arn = g_steal_pointer(&admission->container_instance_arn);
    conn->loop = loop;
    loop->opening--;
    conn_open(conn, on_text, NULL, conn);
    log_line(LOG_INFO, conn->container_instance_id, "%s channel from %s opened",
             conn->kind == CHANNEL_ACS ? "control" : "telemetry", conn->peer);
    GHashTable *of_kind = sessions_of(loop, conn);
    ChannelConn *former = g_hash_table_lookup(of_kind, &conn->ci_id);
    if (former)
        loop_end(loop, former, "another session took over");
    g_hash_table_insert(of_kind, &conn->ci_id, conn);
    if (conn->kind != CHANNEL_ACS)
        return;
    gboolean woken = g_hash_table_remove(loop->early, &conn->ci_id);
    acs_start(loop, conn, admission->work || woken);
}

/* The instance's channel is held by another session of this daemon. When that still has its
 * connection, it must show that it lives; when it has none, its row is taken over. TRUE when the
 * newcomer is looked at once more. */
static gboolean meet_rival(ChannelLoop *loop, ChannelConn *conn, const Admit *admit)
{
    ChannelConn *holder = loop_by_ci(loop, admit->ask.admission.ci_id);

    if (holder && g_strcmp0(holder->session, admit->ask.admission.held_session) == 0) {
        if (!holder->rival_noted)
            note_begin(loop, holder->ci_id,
                       g_strdup_printf("a second session, from %s, was refused: the one from %s "
                                       "is open",
                                       conn->peer, holder->peer));
        holder->rival_noted = TRUE;
        acs_probe(loop, holder);
        return FALSE;
    }
    if (admit->ask.over_session || !admit->ask.admission.held_session)
        return FALSE;
    conn->over_session = g_strdup(admit->ask.admission.held_session);
    return TRUE;
}

static void submit_admit(ChannelLoop *loop, ChannelConn *conn);

static void admit_done(ChannelLoop *loop, Admit *admit)
{
    ChannelAdmission *admission = &admit->ask.admission;
    ChannelConn *conn = loop_conn(loop, admit->conn_id);

    if (!conn || conn->stage != CONN_ADMITTING) {
        if (admission->admitted && admit->ask.kind == CHANNEL_ACS)
            release_begin(loop, admission->ci_id, admission->session, "it left while connecting");
        return;
    }
    conn->upgrade = g_steal_pointer(&admit->ask.upgrade);
    if (admission->admitted) {
        open_session(loop, conn, admission);
    } else if (admission->held_here && meet_rival(loop, conn, admit)) {
        submit_admit(loop, conn);
    } else {
        log_line(LOG_INFO, "channel", "%s refused: %s: %s", conn->peer, admission->code,
                 admission->message);
        loop->opening--;
        conn_refuse(conn, admission->status, admission->code, admission->message);
    }
    loop_flush(loop, conn);
}

static void submit_lots(ChannelLoop *loop);

static void lot_done(ChannelJob *job, gpointer user)
{
    const GPtrArray *admits = ((AdmitLot *)job)->admits;
    ChannelLoop *loop = user;

    for (guint i = 0; i < admits->len; i++)
        admit_done(loop, admits->pdata[i]);
    loop->lots--;
    submit_lots(loop);
    if (!loop->lots)
        g_hash_table_remove_all(loop->early);
}

/* The oldest of those that wait. */
static GPtrArray *take_lot(ChannelLoop *loop)
{
    GPtrArray *lot = g_ptr_array_new_with_free_func(admit_free);

    while (lot->len < LOT_MAX && loop->asking.length > 0)
        g_ptr_array_add(lot, g_queue_pop_head(&loop->asking));
    return lot;
}

static void submit_lots(ChannelLoop *loop)
{
    while (loop->lots < LOTS && loop->asking.length > 0) {
        AdmitLot *lot = g_new0(AdmitLot, 1);
        lot->job = (ChannelJob){ .work = lot_work, .done = lot_done, .clear = lot_clear };
        lot->admits = take_lot(loop);
        loop->lots++;
        channel_jobs_submit(loop->jobs, &lot->job);
    }
}

static void submit_admit(ChannelLoop *loop, ChannelConn *conn)
{
    Admit *admit = g_new0(Admit, 1);

    admit->conn_id = conn->id;
    admit->ask.kind = conn->kind;
    admit->ask.upgrade = g_steal_pointer(&conn->upgrade);
    admit->ask.over_session = g_steal_pointer(&conn->over_session);
    conn->stage = CONN_ADMITTING;
    g_queue_push_tail(&loop->asking, admit);
    submit_lots(loop);
}

void session_drop_asking(ChannelLoop *loop)
{
    g_queue_clear_full(&loop->asking, admit_free);
}

void session_request(ChannelLoop *loop, ChannelConn *conn)
{
    if (strcmp(conn->upgrade->path, "/acs/ws") == 0) {
        conn->kind = CHANNEL_ACS;
    } else if (strcmp(conn->upgrade->path, "/tcs/ws") == 0) {
        conn->kind = CHANNEL_TCS;
    } else {
        loop->opening--;
        conn_refuse(conn, 404, "BadRequestException", "there is no such channel");
        return;
    }
    submit_admit(loop, conn);
}

/* -- the end of sessions: those that end while a worker records some go with the next lot */

typedef struct {
    ChannelJob job;
    ChannelEnds ends;
} Release;

static void release_clear(ChannelJob *job)
{
    channel_ends_clear(&((Release *)job)->ends);
}

static void release_work(ChannelJob *job, const ChannelWorld *world)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, &error);

    if (!tx || !channels_release(tx, &((Release *)job)->ends, &error))
        log_line(LOG_WARN, "channel", "cannot record the end of sessions: %s", error->message);
}

static void release_submit(ChannelLoop *loop);

static void release_done(ChannelJob *job G_GNUC_UNUSED, gpointer user)
{
    ChannelLoop *loop = user;

    loop->releasing = FALSE;
    if (loop->ends.ci_ids)
        release_submit(loop);
}

static void release_submit(ChannelLoop *loop)
{
    Release *release = g_new0(Release, 1);

    release->job =
        (ChannelJob){ .work = release_work, .done = release_done, .clear = release_clear };
    release->ends = loop->ends;
    loop->ends = (ChannelEnds){ 0 };
    loop->releasing = TRUE;
    channel_jobs_submit(loop->jobs, &release->job);
}

static void release_begin(ChannelLoop *loop, gint64 ci_id, const char *session, const char *cause)
{
    channel_ends_add(&loop->ends, ci_id, session, cause);
    if (!loop->releasing)
        release_submit(loop);
}

/* -- notes */

typedef struct {
    ChannelJob job;
    gint64 ci_id;
    char *text;
} Note;

static void note_clear(ChannelJob *job)
{
    g_free(((Note *)job)->text);
}

static void note_work(ChannelJob *job, const ChannelWorld *world)
{
    const Note *note = (const Note *)job;
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, &error);

    if (!tx || !channels_note(tx, note->ci_id, note->text, &error))
        log_line(LOG_WARN, "channel", "cannot record \"%s\": %s", note->text, error->message);
}

static void nothing_done(ChannelJob *job G_GNUC_UNUSED, gpointer loop G_GNUC_UNUSED)
{
}

/* Takes what. */
static void note_begin(ChannelLoop *loop, gint64 ci_id, char *what)
{
    Note *note = g_new0(Note, 1);

    note->job = (ChannelJob){ .work = note_work, .done = nothing_done, .clear = note_clear };
    note->ci_id = ci_id;
    note->text = what;
    channel_jobs_submit(loop->jobs, &note->job);
}

void session_ended(ChannelLoop *loop, ChannelConn *conn)
{
    if (!conn->container_instance_id)
        return;
    log_line(LOG_INFO, conn->container_instance_id, "%s channel from %s ended: %s",
             conn->kind == CHANNEL_ACS ? "control" : "telemetry", conn->peer, conn->cause);
    GHashTable *of_kind = sessions_of(loop, conn);
    if (g_hash_table_lookup(of_kind, &conn->ci_id) == conn)
        g_hash_table_remove(of_kind, &conn->ci_id);
    if (conn->kind == CHANNEL_ACS)
        release_begin(loop, conn->ci_id, conn->session, conn->cause);
}

/* -- wakes */

typedef struct {
    ChannelJob job;
    gint64 ci_id;
} Wake;

static void wake_done(ChannelJob *job, gpointer user)
{
    ChannelLoop *loop = user;
    gint64 ci_id = ((Wake *)job)->ci_id;
    ChannelConn *conn = ci_id ? loop_by_ci(loop, ci_id) : NULL;

    if (conn && conn->stage == CONN_OPEN)
        acs_wake(loop, conn);
    else if (ci_id && loop->lots)
        g_hash_table_add(loop->early, g_memdup2(&ci_id, sizeof ci_id));
    if (!ci_id)
        loop->sweep_ms = 0;
}

void session_wake(ChannelJobs *jobs, gint64 ci_id)
{
    Wake *wake = g_new0(Wake, 1);

    wake->job = (ChannelJob){ .done = wake_done };
    wake->ci_id = ci_id;
    channel_jobs_post(jobs, &wake->job);
}

/* -- every now and then */

typedef struct {
    ChannelJob job;
    GArray *heard;   /* ci_ids to be touched */
    GArray *waiting; /* ci_ids found to have work */
    gboolean sweep;
} Rounds;

static void rounds_clear(ChannelJob *job)
{
    Rounds *rounds = (Rounds *)job;

    g_array_unref(rounds->heard);
    if (rounds->waiting)
        g_array_unref(rounds->waiting);
}

static void rounds_work(ChannelJob *job, const ChannelWorld *world)
{
    Rounds *r = (Rounds *)job;
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, &error);
    gboolean done = tx != NULL;

    if (done && r->heard->len)
        done =
            channels_touch(tx, (const gint64 *)(const void *)r->heard->data, r->heard->len, &error);
    if (done && r->sweep) {
        r->waiting = channels_waiting(tx, world->daemon_id, &error);
        done = r->waiting != NULL;
    }
    if (!done)
        log_line(LOG_WARN, "channel", "%s", error->message);
}

static void rounds_done(ChannelJob *job, gpointer user)
{
    const GArray *waiting = ((Rounds *)job)->waiting;
    ChannelLoop *loop = user;

    loop->rounding = FALSE;
    for (guint i = 0; waiting && i < waiting->len; i++) {
        ChannelConn *conn = loop_by_ci(loop, g_array_index(waiting, gint64, i));
        if (conn && conn->stage == CONN_OPEN)
            acs_wake(loop, conn);
    }
}

/* A part of them each time: their rows are locked while they are touched, and payloads wait for
 * that. */
static void collect_heard(ChannelLoop *loop, GArray *heard)
{
    guint most = MAX(TOUCH_MIN, g_hash_table_size(loop->by_ci) / TOUCH_PARTS);
    GHashTableIter sessions;
    gpointer value;

    g_hash_table_iter_init(&sessions, loop->by_ci);
    while (heard->len < most && g_hash_table_iter_next(&sessions, NULL, &value)) {
        ChannelConn *conn = value;
        if (conn->heard_since_touch)
            g_array_append_val(heard, conn->ci_id);
        conn->heard_since_touch = FALSE;
    }
}

void session_tick(ChannelLoop *loop, gint64 now_ms)
{
    if (loop->rounding)
        return;
    g_autoptr(GArray) heard = g_array_new(FALSE, FALSE, sizeof(gint64));
    gboolean sweep = now_ms >= loop->sweep_ms;

    collect_heard(loop, heard);
    if (heard->len == 0 && !sweep)
        return;
    Rounds *rounds = g_new0(Rounds, 1);
    rounds->job = (ChannelJob){ .work = rounds_work, .done = rounds_done, .clear = rounds_clear };
    rounds->heard = g_steal_pointer(&heard);
    rounds->sweep = sweep;
    loop->rounding = TRUE;
    if (sweep)
        loop->sweep_ms = now_ms + SWEEP_MS;
    channel_jobs_submit(loop->jobs, &rounds->job);
}
