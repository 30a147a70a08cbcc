#include "base/clock.h"
#include "base/errors.h"
#include "cli/process.h"
#include "cli/up.h"
#include "store/setup.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAMS "/usr/lib/postgresql"

static gboolean is_external(const Up *up)
{
    return strcmp(up->config->database, "external") == 0;
}

/* The folder of PostgreSQL's programs: of the version that made the data, or the newest. */
static char *programs_find(const char *data, GError **error)
{
    g_autofree char *version_file = g_build_filename(data, "PG_VERSION", NULL);
    g_autofree char *version = NULL;
    g_autoptr(GDir) versions = g_dir_open(PROGRAMS, 0, NULL);
    guint64 best = 0, number = 0;
    const char *name;

    if (g_file_get_contents(version_file, &version, NULL, NULL)) {
        g_strchomp(version);
        g_autofree char *bin = g_build_filename(PROGRAMS, version, "bin", NULL);
        if (!g_file_test(bin, G_FILE_TEST_IS_DIR))
            return fail_null(error, COMMAND, "\"%s\" is of PostgreSQL %s, which is not installed",
                             data, version);
        return g_steal_pointer(&bin);
    }
    while (versions && (name = g_dir_read_name(versions)))
        if (g_ascii_string_to_unsigned(name, 10, 1, 1000, &number, NULL))
            best = MAX(best, number);
    if (!best)
        return fail_null(error, COMMAND, "there is no PostgreSQL below " PROGRAMS);
    return g_strdup_printf(PROGRAMS "/%" G_GUINT64_FORMAT "/bin", best);
}

/* A value in postgresql.conf. */
static char *quoted(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "'", -1);
    g_autofree char *doubled = g_strjoinv("''", parts);

    return g_strdup_printf("'%s'", doubled);
}

static char *server_settings(const Install *in)
{
    g_autofree char *socket = quoted(in->postgres_socket);

    return g_strdup_printf("# Made by \"berth up\", which writes it anew.\n"
                           "listen_addresses = ''\n"
                           "unix_socket_directories = %s\n"
                           "max_connections = 100\n"
                           "shared_buffers = 64MB\n"
                           "max_wal_size = 512MB\n"
                           "jit = off\n"
                           "timezone = 'UTC'\n"
                           "log_timezone = 'UTC'\n"
                           "log_line_prefix = '%%m [%%p] %%u@%%d '\n"
                           "log_checkpoints = off\n",
                           socket);
}

/* Root (berthd, berth) and the system user may take on our three roles, nobody else any. */
static char *server_ident(const Install *in)
{
    const char *const users[] = { "root", in->user };
    static const char *const roles[] = { "berth_owner", "berth_api", "berth_reconcile" };
    GString *text = g_string_new("# Made by \"berth up\": map, system user, role\n");

    for (gsize u = 0; u < G_N_ELEMENTS(users); u++)
        for (gsize r = 0; r < G_N_ELEMENTS(roles); r++)
            g_string_append_printf(text, "berth %s %s\n", users[u], roles[r]);
    return g_string_free(text, FALSE);
}

/* Writes the file when it has another text; raises *changed then. */
static gboolean write_when_new(const char *folder, const char *name, const char *text,
                               const char *user, gboolean *changed, GError **error)
{
    g_autofree char *file = g_build_filename(folder, name, NULL);
    g_autofree char *now = NULL;
    g_autoptr(GError) cause = NULL;
    const struct passwd *owner = getpwnam(user);

    if (g_file_get_contents(file, &now, NULL, NULL) && strcmp(now, text) == 0)
        return TRUE;
    *changed = TRUE;
    if (!g_file_set_contents_full(file, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &cause))
        return fail(error, CONFIG, "cannot write \"%s\": %s", file, cause->message);
    if (!owner || chown(file, owner->pw_uid, owner->pw_gid) < 0)
        return fail(error, CONFIG, "cannot give \"%s\" to %s", file, user);
    return TRUE;
}

static gboolean write_settings(const Install *in, const char *data, gboolean *changed,
                               GError **error)
{
    g_autofree char *settings = server_settings(in);
    g_autofree char *ident = server_ident(in);

    return write_when_new(data, "postgresql.conf", settings, in->user, changed, error) &&
           write_when_new(data, "pg_ident.conf", ident, in->user, changed, error) &&
           write_when_new(data, "pg_hba.conf",
                          "# Made by \"berth up\": sockets only, by system user\n"
                          "local all all peer map=berth\n",
                          in->user, changed, error);
}

/* A cluster made in a folder of its own and then renamed, so that a half-made one is never used. */
static gboolean cluster_make(Up *up, const char *bin, GError **error)
{
    const Install *in = up->in;
    g_autofree char *data = g_strconcat(in->postgres_data, ".new", NULL);
    g_autofree char *initdb = g_build_filename(bin, "initdb", NULL);
    const char *const remove[] = { "rm", "-rf", "--one-file-system", data, NULL };
    const char *const make[] = { initdb,
                                 "-D",
                                 data,
                                 "-U",
                                 "berth_owner",
                                 "-E",
                                 "UTF8",
                                 "--locale=C.UTF-8",
                                 "-A",
                                 "peer",
                                 "--data-checksums",
                                 NULL };
    const struct passwd *owner = getpwnam(in->user);
    gboolean changed = FALSE;

    if (!process_run(remove, NULL, NULL, error))
        return FALSE;
    if (!owner || mkdir(data, 0700) < 0 || chown(data, owner->pw_uid, owner->pw_gid) < 0)
        return fail(error, CONFIG, "cannot make \"%s\": %s", data, g_strerror(errno));
    if (!process_run(make, in->user, NULL, error) || !write_settings(in, data, &changed, error))
        return FALSE;
    if (rename(data, in->postgres_data) < 0)
        return fail(error, CONFIG, "cannot rename \"%s\": %s", data, g_strerror(errno));
    return TRUE;
}

gboolean up_database_files(Up *up, GError **error)
{
    const Install *in = up->in;
    gboolean changed = FALSE;

    if (is_external(up)) {
        up_found(up, "yours, by connection string");
        return TRUE;
    }
    g_autofree char *bin = programs_find(in->postgres_data, error);
    if (!bin)
        return FALSE;
    if (!g_file_test(in->postgres_data, G_FILE_TEST_IS_DIR)) {
        up_did(up, "made %s", in->postgres_data);
        return cluster_make(up, bin, error);
    }
    up_found(up, "%s", in->postgres_data);
    if (!write_settings(in, in->postgres_data, &changed, error))
        return FALSE;
    if (changed)
        up_did(up, "wrote its settings");
    return TRUE;
}

/* -- the server */
static gboolean server_ready(gpointer user)
{
    return setup_ready(user);
}

/* The children of a killed server live on for a moment, and hold its memory. */
static gboolean start_patiently(const Daemon *server, GError **error)
{
    gint64 until = clock_mono_ms() + 15000;

    for (;;) {
        g_autoptr(GError) cause = NULL;
        if (process_start(server, &cause))
            return TRUE;
        if (!strstr(cause->message, "shared memory") || clock_mono_ms() > until) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        poll(NULL, 0, 200);
    }
}

/* A server on our data whose pid file of ours was lost: its own says which process it is. */
static gboolean server_adopt(Up *up, const char *pid_file, GError **error)
{
    g_autofree char *file = g_build_filename(up->in->postgres_data, "postmaster.pid", NULL);
    g_autofree char *text = NULL;

    if (!g_file_get_contents(file, &text, NULL, NULL))
        return fail(error, COMMAND, "a server answers in \"%s\" that does not run on \"%s\"",
                    up->in->postgres_socket, up->in->postgres_data);
    up_did(up, "found it running");
    return process_adopt(pid_file, (pid_t)g_ascii_strtoll(text, NULL, 10), error);
}

gboolean up_database_server(Up *up, GError **error)
{
    const Install *in = up->in;

    if (is_external(up)) {
        up_found(up, "yours");
        return TRUE;
    }
    g_autofree char *dsn = g_strdup_printf("host=%s", in->postgres_socket);
    g_autofree char *pid_file = install_pid_file(in, "postgresql");
    g_autofree char *log_file = install_log_file(in, "postgresql");
    if (process_lives(pid_file, NULL) && setup_ready(dsn)) {
        up_found(up, "runs");
        return TRUE;
    }
    if (setup_ready(dsn))
        return server_adopt(up, pid_file, error);
    g_autofree char *bin = programs_find(in->postgres_data, error);
    if (!bin)
        return FALSE;
    g_autofree char *postgres = g_build_filename(bin, "postgres", NULL);
    const char *const argv[] = { postgres, "-D", in->postgres_data, NULL };
    const Daemon server = { .argv = argv,
                            .user = in->user,
                            .log_file = log_file,
                            .pid_file = pid_file,
                            .timeout_ms = 60000,
                            .ready = server_ready,
                            .ready_data = dsn };
    up_did(up, "started");
    return start_patiently(&server, error);
}

gboolean up_databases(Up *up, GError **error)
{
    g_autofree char *dsn = g_strdup_printf("host=%s", up->in->postgres_socket);
    g_autofree char *region = install_region_database(up->config);
    guint made = 0;

    if (is_external(up)) {
        up_found(up, "yours");
        return TRUE;
    }
    if (!setup_role(dsn, "berth_api", &made, error) ||
        !setup_role(dsn, "berth_reconcile", &made, error) ||
        !setup_database(dsn, "berth_identity", &made, error) ||
        !setup_database(dsn, region, &made, error))
        return FALSE;
    up_found(up, "berth_identity, %s", region);
    if (made)
        up_did(up, "made berth_identity, %s", region);
    return TRUE;
}
