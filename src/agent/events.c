#include "agent/events.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/log.h"

#include <poll.h>
#include <string.h>

#define LINE_MAX_BYTES (256 * 1024)
#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS   2000

struct AgentEvents {
    AgentEngine *engine;
    AgentEventsUp up;
    gpointer user;
    Stream *stream;
    HttpParser *parser;
    GString *line;
    guint failures;
    LoopTimer redial;
};

typedef struct {
    AgentEvents *events;
    Stream *stream;
    char *version;
    GError *error;
} Opening;

static void opening_run(gpointer user)
{
    Opening *opening = user;
    Docker *docker = opening->events->engine->docker;

    if (docker_connect(docker, &opening->version, &opening->error))
        opening->stream = docker_events_open(docker, AGENT_LABEL_TASK, 0, &opening->error);
    /* Known from now on; otherwise each of the first tasks would ask. */
    if (opening->stream)
        g_free(docker_cgroup_driver(docker, NULL));
}

void agent_events_line(AgentEngine *engine, const char *line, gsize length)
{
    json_auto_t *tree = json_loadb(line, length, 0, NULL);
    const json_t *words = json_object_get(json_object_get(tree, "Actor"), "Attributes");
    const char *action = json_string_value(json_object_get(tree, "Action"));
    const char *name = json_string_value(json_object_get(words, "name"));
    const char *exit_text = json_string_value(json_object_get(words, "exitCode"));
    guint64 exit_code = 0;

    if (!action || !name || g_str_has_prefix(action, "exec_") || strcmp(action, "create") == 0)
        return; /* who asked for a container is told by the answer */
    gboolean died = strcmp(action, "die") == 0 && exit_text &&
                    g_ascii_string_to_unsigned(exit_text, 10, 0, G_MAXINT, &exit_code, NULL);
    int code = (int)exit_code;
    gint64 at_us = json_integer_value(json_object_get(tree, "timeNano")) / 1000;
    agent_engine_notice(engine, name, strcmp(action, "start") == 0 ? at_us : 0,
                        died ? &code : NULL);
}

static gboolean on_piece(const char *data, gsize length, gpointer user, GError **error)
{
    AgentEvents *events = user;

    for (gsize i = 0; i < length; i++) {
        if (data[i] != '\n') {
            if (events->line->len >= LINE_MAX_BYTES)
                return fail(error, TOO_LARGE, "an event is too long");
            g_string_append_c(events->line, data[i]);
            continue;
        }
        agent_events_line(events->engine, events->line->str, events->line->len);
        g_string_truncate(events->line, 0);
    }
    return TRUE;
}

static void set_up(AgentEngine *engine, gboolean up)
{
    if (engine->docker_up != up)
        engine->docker_changed_us = clock_now_us();
    engine->docker_up = up;
}

static void try_again(AgentEvents *events, const char *why)
{
    gint64 delay_ms = MIN(RETRY_MAX_MS, (gint64)RETRY_FIRST_MS << MIN(events->failures, 8));

    log_warn("-", "docker's events are not there: %s", why);
    events->failures++;
    set_up(events->engine, FALSE);
    loop_timer_set(events->engine->loop, &events->redial, clock_mono_ms() + delay_ms);
}

static void on_ready(gpointer user)
{
    AgentEvents *events = user;
    g_autoptr(GError) cause = NULL;
    char piece[8192];
    gssize count;

    while ((count = stream_read_now(events->stream, piece, sizeof piece, &cause)) > 0)
        if (http_parser_feed(events->parser, piece, (gsize)count, &cause) < 0 ||
            http_parser_is_done(events->parser))
            break;
    if (count == STREAM_AGAIN)
        return;
    loop_watch(events->engine->loop, stream_fd(events->stream), 0, NULL, NULL);
    g_clear_pointer(&events->stream, stream_free);
    g_clear_pointer(&events->parser, http_parser_free);
    try_again(events, cause ? cause->message : "the stream has ended");
}

static void on_opened(gpointer user)
{
    g_autofree Opening *opening = user;
    g_autofree char *version = opening->version;
    g_autoptr(GError) cause = opening->error;
    AgentEvents *events = opening->events;

    if (!opening->stream) {
        try_again(events, cause->message);
        return;
    }
    events->failures = 0;
    events->stream = opening->stream;
    events->parser = http_parser_new(FALSE, on_piece, events);
    g_string_truncate(events->line, 0);
    loop_watch(events->engine->loop, stream_fd(events->stream), POLLIN, on_ready, events);
    set_up(events->engine, TRUE);
    agent_engine_retry_all(events->engine);
    events->up(events->user, version);
}

static void open_stream(gpointer user)
{
    AgentEvents *events = user;
    Opening *opening = g_new0(Opening, 1);

    opening->events = events;
    pool_push(events->engine->acts, opening_run, on_opened, opening);
}

AgentEvents *agent_events_start(AgentEngine *engine, AgentEventsUp up, gpointer user)
{
    AgentEvents *events = g_new0(AgentEvents, 1);

    *events = (AgentEvents){ .engine = engine, .up = up, .user = user };
    events->line = g_string_new(NULL);
    loop_timer_init(&events->redial, open_stream, events);
    open_stream(events);
    return events;
}
