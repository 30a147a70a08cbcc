#include "base/errors.h"
#include "cli/local.h"
#include "cli/process.h"
#include "cli/up.h"
#include "store/setup.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether something listens on a port of this machine. */
static gboolean port_answers(gpointer user)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((guint16)GPOINTER_TO_UINT(user)) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    gboolean answers = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;

    if (fd >= 0)
        close(fd);
    return answers;
}

/* Starts a daemon that listens on port, unless it runs. */
static gboolean daemon_up(Up *up, const char *name, const char *const *argv, const char *user,
                          guint port, GError **error)
{
    g_autofree char *pid_file = install_pid_file(up->in, name);
    g_autofree char *log_file = install_log_file(up->in, name);
    const Daemon daemon = { .argv = argv,
                            .user = user,
                            .log_file = log_file,
                            .pid_file = pid_file,
                            .timeout_ms = 30000,
                            .ready = port_answers,
                            .ready_data = GUINT_TO_POINTER(port) };

    if (process_lives(pid_file, NULL)) {
        up_found(up, "runs on port %u", port);
        return process_wait(port_answers, GUINT_TO_POINTER(port), 10000) ||
               fail(error, COMMAND, "%s runs but does not listen on port %u; see %s", name, port,
                    log_file);
    }
    if (port_answers(GUINT_TO_POINTER(port)))
        return fail(error, COMMAND,
                    "port %u is taken by another program (ss -ltnp shows which); give another "
                    "one in %s",
                    port, up->config->file);
    up_did(up, "started on port %u", port);
    return process_start(&daemon, error);
}

/* -- the schema, which berthd carries */
/* berthd says "NAME database: N schema files applied", one line for each database. */
static gboolean note_applied(Up *up, const char *said)
{
    g_auto(GStrv) lines = g_strsplit(said, "\n", -1);
    guint64 applied = 0;

    for (char **line = lines; *line; line++) {
        const char *colon = strchr(*line, ':');
        applied += colon ? g_ascii_strtoull(colon + 1, NULL, 10) : 0;
    }
    if (applied)
        up_did(up, "applied %" G_GUINT64_FORMAT " files", applied);
    return TRUE;
}

gboolean up_schema(Up *up, GError **error)
{
    g_autofree char *berthd = install_program("berthd", error);
    const char *const argv[] = { berthd, "--config", up->config->file, "--migrate", NULL };
    g_autofree char *said = NULL;

    if (!berthd || !process_run(argv, NULL, &said, error))
        return FALSE;
    g_autofree char *id = setup_install_uuid(up->config->region_dsn, error);
    if (!id)
        return FALSE;
    /* "berth destroy" needs it to know its guests when the database is gone */
    if (!g_file_set_contents(up->in->install_id, id, -1, error))
        return FALSE;
    up_found(up, "current");
    return note_applied(up, said);
}

/* -- the registry */
/* YAML reads JSON. */
static gboolean registry_settings(const Install *in, guint port, char **ret_file, GError **error)
{
    g_autofree char *data = g_build_filename(in->registry_dir, "data", NULL);
    g_autofree char *address = g_strdup_printf("0.0.0.0:%u", port);
    json_auto_t *tree = json_pack(
        "{s:s, s:{s:s}, s:{s:{s:s}, s:{s:b}}, s:{s:s, s:{s:s, s:s}}}", "version", "0.1", "log",
        "level", "warn", "storage", "filesystem", "rootdirectory", data, "delete", "enabled", 1,
        "http", "addr", address, "tls", "certificate", in->server_cert, "key", in->server_key);
    g_autofree char *file = g_build_filename(in->registry_dir, "config.yml", NULL);
    char *text = json_dumps(tree, JSON_INDENT(2));
    gboolean saved =
        g_file_set_contents_full(file, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, error);
    free(text);
    *ret_file = g_steal_pointer(&file);
    return saved;
}

gboolean up_registry(Up *up, GError **error)
{
    const char *colon = strrchr(up->config->registry, ':');
    g_autofree char *host =
        colon ? g_strndup(up->config->registry, (gsize)(colon - up->config->registry)) : NULL;
    g_autofree char *file = NULL;
    guint64 port = 0;

    if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &port, NULL))
        return fail(error, CONFIG, "%s: [images] registry is not HOST:PORT", up->config->file);
    if (strcmp(host, up->config->advertise) != 0) {
        up_found(up, "%s, not ours to start", up->config->registry);
        return TRUE;
    }
    if (!registry_settings(up->in, (guint)port, &file, error))
        return FALSE;
    const char *const argv[] = { "docker-registry", "serve", file, NULL };
    return daemon_up(up, "registry", argv, up->in->user, (guint)port, error);
}

/* Why a running berthd must be started anew: static, or NULL. Its pid file is as old as it is. */
static const char *outdated(const Up *up, const char *program)
{
    g_autofree char *pid_file = install_pid_file(up->in, "berthd");
    const char *const certificates[] = { up->in->server_cert, up->in->channel_cert };
    struct stat began, settings, certificate;
    pid_t pid = 0;

    if (!process_lives(pid_file, &pid) || stat(pid_file, &began) < 0)
        return NULL;
    g_autofree char *link = g_strdup_printf("/proc/%d/exe", (int)pid);
    g_autofree char *runs = g_file_read_link(link, NULL);
    if (g_strcmp0(runs, program) != 0)
        return "another program";
    if (stat(up->config->file, &settings) == 0 && settings.st_mtime > began.st_mtime)
        return "new settings";
    for (gsize i = 0; i < G_N_ELEMENTS(certificates); i++)
        if (stat(certificates[i], &certificate) == 0 && certificate.st_mtime > began.st_mtime)
            return "a new certificate";
    return NULL;
}

gboolean up_berthd(Up *up, GError **error)
{
    g_autofree char *berthd = install_program("berthd", error);
    const char *const argv[] = { berthd, "--config", up->config->file, NULL };
    const char *why = berthd ? outdated(up, berthd) : NULL;
    gboolean ran;

    if (why && !local_stop(up->in, "berthd", &ran, error))
        return FALSE;
    return berthd && daemon_up(up, "berthd", argv, NULL, up->config->listen_port, error);
}
