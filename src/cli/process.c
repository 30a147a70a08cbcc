#include "cli/process.h"
#include "base/clock.h"
#include "base/errors.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS     20
#define ERROR_BYTES 2000

/* Between fork and exec of a daemon. */
typedef struct {
    const struct passwd *user;
    const char *pid_file;
    int log;
} Child;

static const struct passwd *user_find(const char *user, GError **error)
{
    const struct passwd *entry = user ? getpwnam(user) : NULL;

    if (user && !entry)
        return fail_null(error, COMMAND, "there is no user \"%s\"; \"berth up\" makes it", user);
    return entry;
}

/* Takes on the user; runs in the child, so it ends the process when it cannot. */
static void become_user(gpointer data)
{
    const struct passwd *user = data;

    if (!user || geteuid() == user->pw_uid)
        return;
    if (initgroups(user->pw_name, user->pw_gid) < 0 || setgid(user->pw_gid) < 0 ||
        setuid(user->pw_uid) < 0)
        _exit(126);
}

/* The last lines of text, for an error. Caller frees. */
static char *text_end(const char *text)
{
    gsize length = strlen(text);
    g_autofree char *end = g_strdup(length > ERROR_BYTES ? text + length - ERROR_BYTES : text);

    g_autofree char *valid = g_utf8_make_valid(g_strstrip(end), -1);
    return g_steal_pointer(&valid);
}

static char *file_end(const char *file)
{
    g_autofree char *text = NULL;

    return g_file_get_contents(file, &text, NULL, NULL) ? text_end(text) : g_strdup("");
}

static gboolean check_status(const char *const *argv, int status, const char *said, GError **error)
{
    g_autofree char *name = g_path_get_basename(argv[0]);
    g_autofree char *end = text_end(said);

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    if (WIFSIGNALED(status))
        return fail(error, COMMAND, "%s was ended by signal %d%s%s", name, WTERMSIG(status),
                    *end ? ": " : "", end);
    return fail(error, COMMAND, "%s failed with status %d%s%s", name, WEXITSTATUS(status),
                *end ? ": " : "", end);
}

gboolean process_run(const char *const *argv, const char *user, char **ret_output, GError **error)
{
    g_autofree char *output = NULL, *said = NULL;
    g_autoptr(GError) cause = NULL;
    int status = 0;
    const struct passwd *entry = user_find(user, error);

    if (user && !entry)
        return FALSE;
    if (!g_spawn_sync("/", (char **)argv, NULL, G_SPAWN_SEARCH_PATH, become_user, (gpointer)entry,
                      &output, &said, &status, &cause))
        return fail(error, COMMAND, "cannot run \"%s\": %s", argv[0], cause->message);
    if (!check_status(argv, status, *said ? said : output, error))
        return FALSE;
    if (ret_output)
        *ret_output = g_steal_pointer(&output);
    return TRUE;
}

static void say_aside(gpointer user)
{
    (void)user;
    dup2(STDERR_FILENO, STDOUT_FILENO);
}

gboolean process_run_here(const char *const *argv, int *ret_status, GError **error)
{
    g_autoptr(GError) cause = NULL;
    int status = 0;

    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_CHILD_INHERITS_STDIN,
                      say_aside, NULL, NULL, NULL, &status, &cause))
        return fail(error, COMMAND, "cannot run \"%s\": %s", argv[0], cause->message);
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return TRUE;
}

gboolean process_become(const char *const *argv, GError **error)
{
    execvp(argv[0], (char *const *)argv);
    return fail(error, COMMAND, "cannot run \"%s\": %s", argv[0], g_strerror(errno));
}

/* -- pid files */
/* Field 22 of /proc/PID/stat: clock ticks after boot; 0 when there is no such process or it is a
 * zombie. */
static guint64 start_time(pid_t pid)
{
    char path[64], text[1024];

    g_snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0)
        return 0;
    text[got] = '\0';
    /* the program's name, in parentheses, may hold anything */
    const char *field = strrchr(text, ')');
    if (!field || field[1] != ' ' || field[2] == 'Z' || field[2] == 'X')
        return 0;
    field += 2;
    for (int i = 3; i < 22 && field; i++) {
        field = strchr(field, ' ');
        field = field ? field + 1 : NULL;
    }
    return field ? g_ascii_strtoull(field, NULL, 10) : 0;
}

gboolean process_lives(const char *pid_file, pid_t *ret_pid)
{
    g_autofree char *text = NULL;
    unsigned long pid = 0, start = 0;

    if (!g_file_get_contents(pid_file, &text, NULL, NULL) ||
        sscanf(text, "%lu %lu", &pid, &start) != 2 || pid < 2 || start == 0 ||
        start_time((pid_t)pid) != start)
        return FALSE;
    if (ret_pid)
        *ret_pid = (pid_t)pid;
    return TRUE;
}

/* Waits for a process that may not be our child. */
static gboolean wait_gone(pid_t pid, guint timeout_ms)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd < 0)
        return errno == ESRCH;
    struct pollfd gone = { .fd = fd, .events = POLLIN };
    int ready;
    do
        ready = poll(&gone, 1, (int)timeout_ms);
    while (ready < 0 && errno == EINTR);
    close(fd);
    return ready > 0;
}

gboolean process_stop(const char *pid_file, int signal, guint timeout_ms, gboolean *ret_ran,
                      GError **error)
{
    pid_t pid = 0;

    *ret_ran = process_lives(pid_file, &pid);
    if (*ret_ran) {
        kill(pid, signal);
        if (!wait_gone(pid, timeout_ms)) {
            kill(pid, SIGKILL);
            if (!wait_gone(pid, 5000))
                return fail(error, COMMAND, "process %d of \"%s\" does not end", (int)pid,
                            pid_file);
        }
    }
    unlink(pid_file);
    return TRUE;
}

/* -- daemons */
gboolean process_wait(gboolean (*done)(gpointer user), gpointer user, guint timeout_ms)
{
    gint64 until = clock_mono_ms() + timeout_ms;

    while (!done(user)) {
        if (clock_mono_ms() >= until)
            return FALSE;
        poll(NULL, 0, LOOK_MS);
    }
    return TRUE;
}

/* Only calls that are safe between fork and exec. */
static gboolean write_pid(const char *pid_file, pid_t pid)
{
    char text[64], path[4096];

    g_snprintf(text, sizeof text, "%d %" G_GUINT64_FORMAT "\n", (int)pid, start_time(pid));
    g_snprintf(path, sizeof path, "%s.new", pid_file);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return FALSE;
    gboolean good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return good && rename(path, pid_file) == 0;
}

gboolean process_adopt(const char *pid_file, pid_t pid, GError **error)
{
    if (!start_time(pid) || !write_pid(pid_file, pid))
        return fail(error, COMMAND, "cannot write \"%s\" for process %d", pid_file, (int)pid);
    return TRUE;
}

static void become_daemon(gpointer data)
{
    const Child *child = data;
    int null = open("/dev/null", O_RDONLY);

    setsid();
    /* by the child itself: whoever started it may be killed at any moment */
    if (null < 0 || !write_pid(child->pid_file, getpid()) || dup2(null, STDIN_FILENO) < 0 ||
        dup2(child->log, STDOUT_FILENO) < 0 || dup2(child->log, STDERR_FILENO) < 0)
        _exit(126);
    become_user((gpointer)child->user);
}

static gboolean wait_ready(const Daemon *d, pid_t pid, GError **error)
{
    gint64 until = clock_mono_ms() + d->timeout_ms;
    int status = 0;

    for (;;) {
        if (d->ready(d->ready_data))
            return TRUE;
        if (waitpid(pid, &status, WNOHANG) == pid) {
            g_autofree char *end = file_end(d->log_file);
            return check_status(d->argv, status, end, error) &&
                   fail(error, COMMAND, "%s ended at once: %s", d->argv[0], end);
        }
        if (clock_mono_ms() >= until)
            break;
        poll(NULL, 0, LOOK_MS);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    g_autofree char *end = file_end(d->log_file);
    return fail(error, COMMAND, "%s was not ready after %u s; its log \"%s\" ends: %s", d->argv[0],
                d->timeout_ms / 1000, d->log_file, end);
}

gboolean process_start(const Daemon *d, GError **error)
{
    g_autoptr(GError) cause = NULL;
    Child child = { .user = user_find(d->user, error), .pid_file = d->pid_file };
    pid_t pid = 0;

    if (d->user && !child.user)
        return FALSE;
    child.log = open(d->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (child.log < 0)
        return fail(error, COMMAND, "cannot write \"%s\": %s", d->log_file, g_strerror(errno));
    gboolean spawned =
        g_spawn_async("/", (char **)d->argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                      become_daemon, &child, &pid, &cause);
    close(child.log);
    if (!spawned)
        return fail(error, COMMAND, "cannot start \"%s\": %s", d->argv[0], cause->message);
    if (!wait_ready(d, pid, error)) {
        unlink(d->pid_file);
        return FALSE;
    }
    return TRUE;
}

char *process_find(const char *program)
{
    static const char *const folders[] = { "/usr/sbin", "/sbin", "/usr/local/sbin" };
    char *found = g_find_program_in_path(program);

    for (gsize i = 0; i < G_N_ELEMENTS(folders) && !found; i++) {
        g_autofree char *path = g_build_filename(folders[i], program, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_EXECUTABLE))
            found = g_steal_pointer(&path);
    }
    return found;
}
