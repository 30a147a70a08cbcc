#include "cli/session.h"
#include "base/errors.h"
#include "cli/groups.h"
#include "cli/machine.h"
#include "cli/process.h"
#include "cli/verbs.h"

#include <string.h>
#include <unistd.h>

#define DOCKER_SOCKET "/run/docker.sock" /* on instances of ours */

json_t *session_start(Cli *cli, const char *task, const char *container, json_t *command,
                      GError **error)
{
    json_t *params = json_pack("{s:s, s:s}", "Task", task, "Kind", command ? "exec" : "logs");

    verb_set(params, "Cluster", cli_option(cli, "cluster"));
    verb_set(params, "Container", container);
    if (command)
        json_object_set_new(params, "Command", command);
    return client_call(cli, "berth", "StartTaskSession", params, error);
}

GPtrArray *session_argv(Cli *cli, const json_t *session, const char *const *words,
                        const char *const *after, gboolean tty, GError **error)
{
    const json_t *external = json_object_get(session, "External");
    const char *id = verb_text(session, "RuntimeId");
    const char *socket = external ? verb_text(external, "DockerSocket") : DOCKER_SOCKET;
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    /* an agent reported it: it must not be an option */
    if (!*id || id[strspn(id, "0123456789abcdef")])
        return fail_null(error, COMMAND, "\"%s\" is not the id of a container", id);
    g_autoptr(GPtrArray) argv =
        machine_ssh_to(cli, verb_text(session, "InstanceId"), external, tty, error);
    if (!argv)
        return NULL;
    for (; *words; words++)
        g_ptr_array_add(all, (gpointer)*words);
    g_ptr_array_add(all, (gpointer)id);
    for (; after && *after; after++)
        g_ptr_array_add(all, (gpointer)*after);
    g_ptr_array_add(all, NULL);
    machine_add_docker(argv, socket, !after, (const char *const *)all->pdata);
    return g_steal_pointer(&argv);
}

/* -- berth exec */
static gboolean run_exec(Cli *cli, GError **error)
{
    static const char *const shell[] = { "sh", NULL };
    gboolean tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    gboolean given = cli_arg(cli, 1) != NULL;
    g_autofree char *term = g_strdup_printf("TERM=%s", g_getenv("TERM") ? g_getenv("TERM") : "");
    const char *const with_tty[] = { "exec", "-i", "-t", "-e", term, NULL };
    const char *const piped[] = { "exec", "-i", NULL };
    const char *const *command =
        given ? (const char *const *)(gpointer)(cli->args->pdata + 1) : shell;

    json_auto_t *session = session_start(cli, cli_arg(cli, 0), cli_option(cli, "container"),
                                         given ? verb_args(cli, 1) : json_pack("[s]", "sh"), error);
    g_autoptr(GPtrArray) argv =
        session ? session_argv(cli, session, tty ? with_tty : piped, command, tty, error) : NULL;
    return argv && process_become((const char *const *)argv->pdata, error);
}

static const Option exec_options[] = {
    { "container", "NAME", "which of its containers (-c); the first" },
    { "cluster", "NAME", "look in this cluster only" },
    { "identity", "FILE", "private key for ssh" },
    { 0 },
};

const Command session_commands[] = {
    { "exec", "TASK [-- COMMAND ...]", 1, ANY_NUMBER, "run a command in a container of a task",
      "TASK is its id, the first digits of it, or its ARN; the command is sh unless given. With a\n"
      "terminal it is interactive, else input and output are piped. The exit code is the\n"
      "command's; 255 when ssh did not get there. Berth checks it and keeps who asked what\n"
      "(\"berth why TASK\"); the way is your own ssh, as of \"berth ssh\".",
      "berth exec 0123abcd\n"
      "berth exec 0123abcd -c web -- ls -l /\n"
      "berth exec 0123abcd -- sh -c 'cat >/tmp/x' <file",
      exec_options, run_exec, FALSE },
    { 0 },
};
