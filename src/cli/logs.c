/* berth logs: what containers wrote, of one task or of all tasks of a service at once. */
#include "base/clock.h"
#include "base/errors.h"
#include "cli/cluster.h"
#include "cli/groups.h"
#include "cli/session.h"
#include "cli/verbs.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS     1000 /* between looks for new tasks */
#define TASK_DIGITS 12   /* of a task's id, before its lines */
#define BLOCK       65536
#define SSH_FAILED  255

/* One container's log: its ssh, and lines not yet whole, of standard output and error. */
typedef struct {
    char *prefix; /* "0123456789ab web | "; "" for a single one */
    GPid pid;
    int in; /* held open: what runs there ends with it */
    int fds[2];
    GString *part[2];
} Source;

typedef struct {
    Cli *cli;
    const char *service; /* NULL: one task */
    GPtrArray *sources;  /* those that still write */
    GHashTable *seen;    /* "TASK/CONTAINER": was begun */
    GPtrArray *words;    /* of docker logs; ends with NULL */
    int status;          /* of the last that ended */
} Logs;

static void source_free(gpointer data)
{
    Source *s = data;

    for (guint n = 0; n < 2; n++) {
        if (s->fds[n] >= 0)
            close(s->fds[n]);
        g_string_free(s->part[n], TRUE);
    }
    if (s->in >= 0)
        close(s->in);
    g_free(s->prefix);
    g_free(s);
}

static void logs_clear(Logs *logs)
{
    g_clear_pointer(&logs->sources, g_ptr_array_unref);
    g_clear_pointer(&logs->seen, g_hash_table_unref);
    g_clear_pointer(&logs->words, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Logs, logs_clear)

/* -- lines */
static void write_lines(Source *s, guint which, gboolean ended)
{
    FILE *to = which == 0 ? stdout : stderr;
    GString *part = s->part[which];
    gsize from = 0;
    char *end;

    while ((end = memchr(part->str + from, '\n', part->len - from))) {
        gsize next = (gsize)(end - part->str) + 1;
        fputs(s->prefix, to);
        fwrite(part->str + from, 1, next - from, to);
        from = next;
    }
    /* a line without end is not held back for ever */
    if (part->len > from && (ended || part->len - from > BLOCK)) {
        fputs(s->prefix, to);
        fwrite(part->str + from, 1, part->len - from, to);
        fputc('\n', to);
        from = part->len;
    }
    g_string_erase(part, 0, (gssize)from);
    fflush(to);
}

static void source_read(Source *s, guint which)
{
    g_autofree char *block = g_malloc(BLOCK);
    ssize_t got = read(s->fds[which], block, BLOCK);

    if (got < 0 && errno == EINTR)
        return;
    if (got > 0)
        g_string_append_len(s->part[which], block, got);
    write_lines(s, which, got <= 0);
    if (got > 0)
        return;
    close(s->fds[which]);
    s->fds[which] = -1;
}

/* Whether it has ended; then its status is known. */
static gboolean source_ended(Logs *logs, Source *s)
{
    int status = 0;

    if (s->fds[0] >= 0 || s->fds[1] >= 0)
        return FALSE;
    waitpid(s->pid, &status, 0);
    logs->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (logs->status == SSH_FAILED)
        ui_note("%sssh did not reach it, or was cut off", s->prefix);
    return TRUE;
}

/* Reads whatever comes within timeout_ms (-1: waits). */
static void read_some(Logs *logs, int timeout_ms)
{
    guint count = logs->sources->len;
    g_autofree struct pollfd *fds = g_new0(struct pollfd, 2 * count + 1);

    for (guint n = 0; n < 2 * count; n++) {
        fds[n].fd = ((Source *)logs->sources->pdata[n / 2])->fds[n % 2];
        fds[n].events = POLLIN;
    }
    if (poll(fds, 2 * count, timeout_ms) <= 0)
        return;
    for (guint n = 0; n < 2 * count; n++)
        if (fds[n].fd >= 0 && fds[n].revents)
            source_read(logs->sources->pdata[n / 2], n % 2);
    for (guint n = count; n > 0; n--)
        if (source_ended(logs, logs->sources->pdata[n - 1]))
            g_ptr_array_remove_index(logs->sources, n - 1);
}

/* -- sources */
static gboolean begin(Logs *logs, const json_t *session, gboolean single, GError **error)
{
    const char *task = verb_text(session, "TaskId"), *name = verb_text(session, "Container");
    g_autoptr(GPtrArray) argv = session_argv(
        logs->cli, session, (const char *const *)logs->words->pdata, NULL, FALSE, error);
    g_autoptr(GError) cause = NULL;
    Source *s;

    if (!argv)
        return FALSE;
    s = g_new0(Source, 1);
    s->prefix = single ? g_strdup("") : g_strdup_printf("%.*s %s | ", TASK_DIGITS, task, name);
    s->part[0] = g_string_new(NULL);
    s->part[1] = g_string_new(NULL);
    s->in = s->fds[0] = s->fds[1] = -1;
    if (!g_spawn_async_with_pipes(NULL, (char **)argv->pdata, NULL,
                                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                                  &s->pid, &s->in, &s->fds[0], &s->fds[1], &cause)) {
        source_free(s);
        return fail(error, COMMAND, "cannot run ssh: %s", cause->message);
    }
    g_ptr_array_add(logs->sources, s);
    g_hash_table_add(logs->seen, g_strdup_printf("%s/%s", task, name));
    return TRUE;
}

/* All containers of a task, or the one asked for, that were not begun before. */
static gboolean begin_task(Logs *logs, const char *task, GError **error)
{
    const char *wanted = cli_option(logs->cli, "container");
    json_auto_t *first = session_start(logs->cli, task, wanted, NULL, error);
    json_t *names = json_object_get(first, "Containers");
    gboolean single = !logs->service && (wanted || json_array_size(names) == 1);
    const json_t *name;
    size_t n;

    if (!first)
        return FALSE;
    json_array_foreach(names, n, name)
    {
        const char *one = json_string_value(name);
        g_autofree char *key = g_strdup_printf("%s/%s", verb_text(first, "TaskId"), one);
        gboolean is_first = strcmp(one, verb_text(first, "Container")) == 0;
        if ((wanted && !is_first) || g_hash_table_contains(logs->seen, key))
            continue;
        json_auto_t *session =
            is_first ? json_incref(first)
                     : session_start(logs->cli, verb_text(first, "TaskId"), one, NULL, error);
        if (!session || !begin(logs, session, single, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean begun(const Logs *logs, const json_t *task)
{
    const char *id = strrchr(verb_text(task, "taskArn"), '/');
    const char *wanted = cli_option(logs->cli, "container");
    const json_t *container;
    size_t n;

    json_array_foreach(json_object_get(task, "containers"), n, container)
    {
        const char *name = verb_text(container, "name");
        g_autofree char *key = g_strdup_printf("%s/%s", id ? id + 1 : "", name);
        if ((!wanted || strcmp(wanted, name) == 0) && !g_hash_table_contains(logs->seen, key))
            return FALSE;
    }
    return TRUE;
}

/* What runs of the service now and was not begun. */
static gboolean begin_service(Logs *logs, GError **error)
{
    json_t *params = cluster_params(logs->cli, "serviceName", logs->service);
    json_auto_t *arns = client_pages(logs->cli, "ecs", "ListTasks", params, "taskArns", error);
    json_auto_t *tasks = arns
                             ? cluster_describe(logs->cli, "DescribeTasks", cluster_name(logs->cli),
                                                "tasks", json_incref(arns), "tasks", NULL, error)
                             : NULL;
    const json_t *task;
    size_t n;

    json_array_foreach(tasks, n, task)
    {
        const char *status = verb_text(task, "lastStatus");
        if (strcmp(status, "RUNNING") == 0 && !begun(logs, task) &&
            !begin_task(logs, verb_text(task, "taskArn"), error))
            return FALSE;
    }
    return tasks != NULL;
}

/* -- berth logs */
static gboolean is_task(const char *name)
{
    return strstr(name, ":task/") || (strlen(name) >= 4 && !name[strspn(name, "0123456789abcdef")]);
}

/* As a task when it looks like one; a service may be called "cafe" all the same. */
static gboolean begin_named(Logs *logs, const char *name, GError **error)
{
    g_autoptr(GError) cause = NULL;

    if (is_task(name) && begin_task(logs, name, &cause))
        return TRUE;
    if (cause && !error_is(cause, ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    logs->service = name;
    json_auto_t *there =
        cluster_describe(logs->cli, "DescribeServices", cluster_name(logs->cli), "services",
                         json_pack("[s]", name), "services", NULL, cause ? NULL : error);
    if (there)
        return begin_service(logs, error);
    if (cause)
        g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

static void follow(Logs *logs)
{
    gboolean goes_on = logs->service && cli_flag(logs->cli, "follow");
    gint64 look_us = clock_now_us();

    logs->cli->hushed = TRUE;
    while (logs->sources->len || goes_on) {
        read_some(logs, goes_on ? LOOK_MS : -1);
        if (!goes_on || clock_now_us() - look_us < LOOK_MS * 1000)
            continue;
        g_autoptr(GError) cause = NULL;
        if (!begin_service(logs, &cause))
            ui_note("new tasks are not looked for now: %s", cause->message);
        look_us = clock_now_us();
    }
    if (logs->status)
        logs->cli->status = logs->status;
}

static GPtrArray *docker_words(Cli *cli)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(words, g_strdup("logs"));
    if (cli_flag(cli, "follow"))
        g_ptr_array_add(words, g_strdup("--follow"));
    if (cli_flag(cli, "timestamps"))
        g_ptr_array_add(words, g_strdup("--timestamps"));
    if (cli_option(cli, "tail"))
        g_ptr_array_add(words, g_strdup_printf("--tail=%s", cli_option(cli, "tail")));
    if (cli_option(cli, "since"))
        g_ptr_array_add(words, g_strdup_printf("--since=%s", cli_option(cli, "since")));
    g_ptr_array_add(words, NULL);
    return words;
}

static gboolean run_logs(Cli *cli, GError **error)
{
    gint64 lines;
    g_auto(Logs) logs = { .cli = cli };

    if (!cli_number(cli, "tail", 0, G_MAXINT32, 0, &lines, error))
        return FALSE;
    logs.sources = g_ptr_array_new_with_free_func(source_free);
    logs.seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    logs.words = docker_words(cli);
    if (!begin_named(&logs, cli_arg(cli, 0), error))
        return FALSE;
    follow(&logs);
    return TRUE;
}

static const Option logs_options[] = {
    { "follow", NULL, "go on with what is written (-f)" },
    { "tail", "N", "the last lines only" },
    { "since", "TIME", "from then on: 10m, or 2026-01-31T12:00:00Z" },
    { "timestamps", NULL, "with the time of each line" },
    { "container", "NAME", "of this container only (-c)" },
    { "cluster", "NAME", "the cluster; of a service: default" },
    { "identity", "FILE", "private key for ssh" },
    { 0 },
};

const Command logs_commands[] = {
    { "logs", "TASK|SERVICE", 1, 1, "show what containers wrote",
      "Of a task, or of all tasks of a service that run: then, and where a task has several\n"
      "containers, task and container stand before each line. With -f tasks that a service starts\n"
      "later are followed too. The logs of a stopped task are there until its agent cleans up.",
      "berth logs 0123abcd --tail 20\n"
      "berth logs -f web",
      logs_options, run_logs, FALSE },
    { 0 },
};
