#include "server/channel_pulls.h"
#include "base/log.h"
#include "store/image_pulls.h"

#include <string.h>

#define WRITE_MS    300
#define WAITING_MAX 20000 /* containers */
#define OF_ONE_MAX  1000  /* of one message */
#define NAME_MAX    255
#define REASON_MAX  255
#define LAYERS_MAX  10000

typedef struct {
    ChannelJob job;
    json_t *pulls;
} Writing;

static void writing_clear(ChannelJob *job)
{
    json_decref(((Writing *)job)->pulls);
}

static void writing_work(ChannelJob *job, const ChannelWorld *world)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, &error);

    if (!tx || !image_pulls_tell(tx, ((Writing *)job)->pulls, &error) ||
        !db_commit(g_steal_pointer(&tx), &error))
        log_line(LOG_WARN, "channel", "pulls are not recorded: %s", error->message);
}

static void writing_done(ChannelJob *job G_GNUC_UNUSED, gpointer user)
{
    ((ChannelLoop *)user)->pulls_writing = FALSE;
}

static gint64 number(const json_t *tree, const char *name, gint64 most)
{
    return CLAMP(json_integer_value(json_object_get(tree, name)), 0, most);
}

static const char *known_status(const json_t *pull)
{
    static const char *const known[] = { "PULLING", "EXTRACTING", "PULLED", "FAILED" };
    const char *status = json_string_value(json_object_get(pull, "status"));

    for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
        if (g_strcmp0(status, known[i]) == 0)
            return known[i];
    return NULL;
}

static json_t *row_of(gint64 ci_id, const char *task, const char *name, const json_t *pull)
{
    const char *reason = json_string_value(json_object_get(pull, "reason"));
    const char *status = known_status(pull);

    if (!status || strlen(name) > NAME_MAX)
        return NULL;
    json_t *row = json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "ci",
                            (json_int_t)ci_id, "task", task, "container", name, "status", status,
                            "percent", (json_int_t)number(pull, "percent", 100), "current",
                            (json_int_t)number(pull, "currentBytes", G_MAXINT64), "total",
                            (json_int_t)number(pull, "totalBytes", G_MAXINT64), "layers",
                            (json_int_t)number(pull, "layers", LAYERS_MAX), "layers_done",
                            (json_int_t)number(pull, "layersDone", LAYERS_MAX));
    if (row && reason) {
        g_autofree char *cut =
            g_utf8_substring(reason, 0, MIN(g_utf8_strlen(reason, -1), REASON_MAX));
        json_object_set_new(row, "reason", json_string(cut));
    }
    return row;
}

static void take_task(ChannelLoop *loop, const ChannelConn *conn, const json_t *task, guint *left)
{
    const char *arn = json_string_value(json_object_get(task, "taskArn"));
    const char *slash = arn ? strrchr(arn, '/') : NULL;
    const json_t *pull;
    size_t n;

    json_array_foreach(json_object_get(task, "containers"), n, pull)
    {
        const char *name = json_string_value(json_object_get(pull, "containerName"));
        json_t *row = slash && name && *left ? row_of(conn->ci_id, slash + 1, name, pull) : NULL;
        if (!row)
            continue;
        g_autofree char *key =
            g_strdup_printf("%" G_GINT64_FORMAT "/%s/%s", conn->ci_id, slash + 1, name);
        --*left;
        if (json_object_size(loop->pulls) < WAITING_MAX || json_object_get(loop->pulls, key))
            json_object_set_new(loop->pulls, key, row);
        else
            json_decref(row);
    }
}

void pulls_take(ChannelLoop *loop, ChannelConn *conn, const json_t *message)
{
    guint left = OF_ONE_MAX;
    const json_t *task;
    size_t n;

    if (!loop->pulls)
        loop->pulls = json_object();
    json_array_foreach(json_object_get(message, "tasks"), n, task)
        take_task(loop, conn, task, &left);
}

void pulls_tick(ChannelLoop *loop, gint64 now_ms)
{
    const char *key;
    json_t *row;

    if (!json_object_size(loop->pulls) || loop->pulls_writing || now_ms < loop->pulls_ms)
        return;
    Writing *writing = g_new0(Writing, 1);
    writing->job =
        (ChannelJob){ .work = writing_work, .done = writing_done, .clear = writing_clear };
    writing->pulls = json_array();
    json_object_foreach(loop->pulls, key, row) json_array_append(writing->pulls, row);
    json_decref(g_steal_pointer(&loop->pulls));
    loop->pulls_writing = TRUE;
    loop->pulls_ms = now_ms + WRITE_MS;
    channel_jobs_submit(loop->jobs, &writing->job);
}
