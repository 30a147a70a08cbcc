#include "cli/local.h"
#include "base/errors.h"
#include "cli/process.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LIBVIRT_SOCKET  "/run/libvirt/libvirt-sock"
#define VIRTLOGD_SOCKET "/run/libvirt/virtlogd-sock"
#define STOP_MS         30000

static gboolean socket_answers(gpointer user)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(to.sun_path, user, sizeof to.sun_path);
    gboolean answers = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    if (fd >= 0)
        close(fd);
    return answers;
}

gboolean local_libvirt_runs(void)
{
    return socket_answers((gpointer)LIBVIRT_SOCKET);
}

static gboolean start_one(const Install *in, const char *name, const char *socket_path,
                          GError **error)
{
    g_autofree char *program = process_find(name);
    g_autofree char *pid_file = install_pid_file(in, name);
    g_autofree char *log_file = install_log_file(in, name);
    const char *const argv[] = { program, NULL };
    const Daemon daemon = { .argv = argv,
                            .log_file = log_file,
                            .pid_file = pid_file,
                            .timeout_ms = 30000,
                            .ready = socket_answers,
                            .ready_data = (gpointer)socket_path };

    if (socket_answers((gpointer)socket_path))
        return TRUE;
    if (!program)
        return fail(error, COMMAND, "there is no program \"%s\"", name);
    return process_start(&daemon, error);
}

gboolean local_libvirt_start(const Install *in, const char **ret_how, GError **error)
{
    static const char *const start[] = { "systemctl", "start", "virtlogd.socket",
                                         "libvirtd.service", NULL };

    if (g_file_test("/run/systemd/system", G_FILE_TEST_IS_DIR)) {
        *ret_how = "started by systemd";
        return process_run(start, NULL, NULL, error);
    }
    *ret_how = "started virtlogd and libvirtd";
    return start_one(in, "virtlogd", VIRTLOGD_SOCKET, error) &&
           start_one(in, "libvirtd", LIBVIRT_SOCKET, error);
}

/* Whether "virsh LIST" names anything but what is ours. */
static gboolean others_have(const Install *in, const char *list)
{
    /* one that stands still answers nothing */
    const char *const argv[] = { "timeout",        "20", "virsh",  "-c",
                                 "qemu:///system", list, "--name", NULL };
    g_autofree char *output = NULL;
    g_autofree char *network = g_strconcat(in->config->name, "-net", NULL);
    g_autofree char *console = g_strconcat(in->config->name, "-console", NULL);

    if (!process_run(argv, NULL, &output, NULL))
        return TRUE; /* not known: leave it alone */
    g_auto(GStrv) names = g_strsplit_set(output, " \n", -1);
    for (char **name = names; *name; name++)
        if (**name && strcmp(*name, "default") != 0 && strcmp(*name, network) != 0 &&
            strcmp(*name, console) != 0 && strcmp(*name, in->config->name) != 0)
            return TRUE;
    return FALSE;
}

gboolean local_libvirt_stop(const Install *in, const char **ret_why, GError **error)
{
    g_autofree char *libvirtd = install_pid_file(in, "libvirtd");
    g_autofree char *virtlogd = install_pid_file(in, "virtlogd");
    gboolean ran = FALSE;

    *ret_why = "not ours to stop";
    if (!process_lives(libvirtd, NULL) && !process_lives(virtlogd, NULL))
        return TRUE;
    *ret_why = "left running: guests need it";
    if (others_have(in, "list"))
        return TRUE;
    *ret_why = "left running: others use it";
    if (others_have(in, "net-list") || others_have(in, "pool-list"))
        return TRUE;
    *ret_why = "stopped";
    return process_stop(libvirtd, SIGTERM, STOP_MS, &ran, error) &&
           process_stop(virtlogd, SIGTERM, STOP_MS, &ran, error);
}

gboolean local_stop(const Install *in, const char *name, gboolean *ret_ran, GError **error)
{
    g_autofree char *pid_file = install_pid_file(in, name);
    /* PostgreSQL: end sessions, then write everything out */
    int signal = strcmp(name, "postgresql") == 0 ? SIGINT : SIGTERM;

    return process_stop(pid_file, signal, STOP_MS, ret_ran, error);
}
