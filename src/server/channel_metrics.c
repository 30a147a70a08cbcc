#include "server/channel_metrics.h"
#include "base/clock.h"
#include "base/log.h"
#include "model/telemetry.h"
#include "store/metrics.h"

#define WRITE_MS    1000
#define WAITING_MAX 50000

typedef struct {
    ChannelJob job;
    json_t *samples;
} Writing;

static void writing_clear(ChannelJob *job)
{
    json_decref(((Writing *)job)->samples);
}

static void writing_work(ChannelJob *job, const ChannelWorld *world)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, &error);

    if (!tx || !metrics_add(tx, ((Writing *)job)->samples, &error))
        log_line(LOG_WARN, "channel", "metrics are not recorded: %s", error->message);
}

static void writing_done(ChannelJob *job G_GNUC_UNUSED, gpointer user)
{
    ((ChannelLoop *)user)->samples_writing = FALSE;
}

void metrics_take(ChannelLoop *loop, ChannelConn *conn, const json_t *message)
{
    if (!loop->samples)
        loop->samples = json_array();
    if (json_array_size(loop->samples) < WAITING_MAX)
        telemetry_samples(loop->samples, conn->ci_id, message, clock_now_us());
}

void metrics_tick(ChannelLoop *loop, gint64 now_ms)
{
    if (!json_array_size(loop->samples) || loop->samples_writing || now_ms < loop->samples_ms)
        return;
    Writing *writing = g_new0(Writing, 1);
    writing->job =
        (ChannelJob){ .work = writing_work, .done = writing_done, .clear = writing_clear };
    writing->samples = g_steal_pointer(&loop->samples);
    loop->samples_writing = TRUE;
    loop->samples_ms = now_ms + WRITE_MS;
    channel_jobs_submit(loop->jobs, &writing->job);
}
