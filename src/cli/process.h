/*
 * cli/process.h - other programs: run to their end, or left running as daemons
 *
 * Arguments are passed as they are: no shell. A pid file holds "PID START", START being the start
 * time of /proc/PID/stat, so that a number taken over by another program is never signalled.
 * Errors: COMMAND, with the end of what the program wrote.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* Runs argv as user (NULL: as we are) and waits. *ret_output (may be NULL, then it goes nowhere):
 * its standard output, which the caller frees. Standard error is kept for the error. */
gboolean process_run(const char *const *argv, const char *user, char **ret_output, GError **error);
/* Runs argv on our own terminal and gives its exit code (128 + signal when killed). All it writes
 * is progress: on standard error. */
gboolean process_run_here(const char *const *argv, int *ret_status, GError **error);
/* Becomes argv; returns on failure only. */
gboolean process_become(const char *const *argv, GError **error);

typedef struct {
    const char *const *argv;
    const char *user;     /* NULL: as we are */
    const char *log_file; /* appended to */
    const char *pid_file;
    guint timeout_ms; /* until ready */
    gboolean (*ready)(gpointer user);
    gpointer ready_data;
} Daemon;

/* Starts it in a session of its own and waits until ready() says so. Fails, with the end of its
 * log, when it ends before or is not ready in time; then it runs no longer. */
gboolean process_start(const Daemon *daemon, GError **error);
/* Whether the process of this pid file runs; its number, when ret_pid is not NULL. */
gboolean process_lives(const char *pid_file, pid_t *ret_pid);
/* Writes the pid file of a process that runs already. */
gboolean process_adopt(const char *pid_file, pid_t pid, GError **error);
/* Sends signal and waits; after timeout_ms sends SIGKILL. Removes the pid file. *ret_ran: whether
 * there was anything to stop. */
gboolean process_stop(const char *pid_file, int signal, guint timeout_ms, gboolean *ret_ran,
                      GError **error);

/* Waits up to timeout_ms for done() to be true, looking every few milliseconds. */
gboolean process_wait(gboolean (*done)(gpointer user), gpointer user, guint timeout_ms);
/* Path of a program in PATH or the sbin folders; NULL when there is none. Caller frees. */
char *process_find(const char *program);
