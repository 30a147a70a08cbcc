#include "cli/machine.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "cli/client.h"
#include "cli/verbs.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The assembler takes the files as they are; paths are from the top folder, where make runs. */
#define EMBED(name, path)                                                                          \
    __asm__(".pushsection .rodata\n.global " #name "\n" #name ":\n.incbin \"" path                 \
            "\"\n.byte 0\n.popsection\n")

EMBED(machine_script_place, "provisioning/instance/place.sh");
EMBED(machine_script_agent, "provisioning/machine/agent.sh");
EMBED(machine_agent_run, "images/ecs-optimized/root/usr/lib/berth/agent-run");
extern const char machine_script_place[];
extern const char machine_script_agent[];

static const char script_docker[] =
    "[ -w \"$2\" ] || exec sudo -n sh -c \"$1\" \"$@\"; exec sh -c \"$1\" \"$@\"";
static const char script_plain[] = "socket=$1; shift; exec docker -H \"unix://$socket\" \"$@\"";
/* Docker's client, which reads nothing and may write nothing for days, would outlive a connection
 * that is cut: it ends with its input, which ends with the connection. */
static const char script_watched[] =
    "socket=$1; shift; exec 3<&0; docker -H \"unix://$socket\" \"$@\" </dev/null 3<&- & client=$!; "
    "{ cat <&3; kill $client; } >/dev/null 2>&1 & watch=$!; "
    "wait $client; status=$?; kill $watch 2>/dev/null; exit $status";
static const char script_root[] =
    "[ \"$(id -u)\" = 0 ] || exec sudo -n sh -c \"$@\"; exec sh -c \"$@\"";

/* -- words for ssh */
static void add(GPtrArray *argv, const char *word)
{
    g_ptr_array_add(argv, g_strdup(word));
}

static void add_option(GPtrArray *argv, const char *name, const char *value)
{
    add(argv, "-o");
    g_ptr_array_add(argv, g_strdup_printf("%s=%s", name, value));
}

GPtrArray *machine_ssh(const MachineWay *way, gboolean tty)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    add(argv, "ssh");
    add(argv, tty ? "-t" : "-T");
    add_option(argv, "StrictHostKeyChecking", "yes");
    add_option(argv, "LogLevel", "ERROR");
    add_option(argv, "ConnectTimeout", "20");
    if (way->known_hosts)
        add_option(argv, "UserKnownHostsFile", way->known_hosts);
    if (way->identity) {
        add_option(argv, "IdentityFile", way->identity);
        add_option(argv, "IdentitiesOnly", "yes");
    }
    add(argv, "-p");
    g_ptr_array_add(argv, g_strdup_printf("%d", (int)way->port));
    add(argv, "-l");
    add(argv, way->user);
    add(argv, "--");
    add(argv, way->address);
    return argv;
}

/* ssh joins its words by blanks and gives them to a shell: this is one word for that shell. */
static void add_command(GPtrArray *argv, const char *const *words)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (; *words; words++) {
        g_autofree char *quoted = g_shell_quote(*words);
        g_string_append_printf(line, "%s%s", line->len ? " " : "", quoted);
    }
    add(argv, line->str);
    g_ptr_array_add(argv, NULL);
}

void machine_add_docker(GPtrArray *argv, const char *socket, gboolean watched,
                        const char *const *words)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    const char *const head[] = {
        "sh", "-c", script_docker, "berth", watched ? script_watched : script_plain, socket
    };

    for (gsize n = 0; n < G_N_ELEMENTS(head); n++)
        g_ptr_array_add(all, (gpointer)head[n]);
    for (; *words; words++)
        g_ptr_array_add(all, (gpointer)*words);
    g_ptr_array_add(all, NULL);
    add_command(argv, (const char *const *)all->pdata);
}

/* -- scripts there */
static gboolean write_all(int fd, const char *bytes, gsize length)
{
    while (length > 0) {
        ssize_t done = write(fd, bytes, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return FALSE;
        bytes += done;
        length -= (gsize)done;
    }
    return TRUE;
}

static void read_all(int fd, GString *text)
{
    char block[4096];
    ssize_t got;

    while ((got = read(fd, block, sizeof block)) > 0)
        g_string_append_len(text, block, got);
    close(fd);
}

/* Runs argv, which says little, on input; what it says on standard error is the user's. */
static gboolean run_on(const char *const *argv, const char *input, gsize length, char **ret_output,
                       GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GString) output = g_string_new(NULL);
    int in = -1, out = -1, status = 0;
    GPid pid = 0;

    if (!g_spawn_async_with_pipes(NULL, (char **)argv, NULL,
                                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                                  &in, &out, NULL, &cause))
        return fail(error, COMMAND, "cannot run \"%s\": %s", argv[0], cause->message);
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    gboolean sent = write_all(in, input, length);
    signal(SIGPIPE, before);
    close(in);
    read_all(out, output);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(error, COMMAND, "ssh ended with status %d%s",
                    WIFEXITED(status) ? WEXITSTATUS(status) : 128,
                    WIFEXITED(status) && WEXITSTATUS(status) == 255
                        ? ": the machine was not reached; its host key must be in known_hosts,"
                          " and a key that it takes given by --identity or an ssh agent"
                        : "");
    if (!sent)
        return fail(error, COMMAND, "the machine did not take all that was sent");
    if (ret_output)
        *ret_output = g_strdup(g_strchomp(output->str));
    return TRUE;
}

gboolean machine_agent(GPtrArray *argv, const char *verb, const char *socket, const char *folder,
                       char **ret_output, GError **error)
{
    g_autoptr(GPtrArray) owned = argv;

    add_command(owned,
                (const char *const[]){ "sh", "-c", script_root, "berth", machine_script_agent,
                                       "agent.sh", verb, socket, folder, NULL });
    return run_on((const char *const *)owned->pdata, "", 0, ret_output, error);
}

void machine_add_file(GString *files, const char *path, const char *mode, const char *bytes,
                      gsize length)
{
    char sha256[CRYPTO_SHA256_HEX_SIZE];

    crypto_sha256_hex(bytes, length, sha256);
    g_string_append_printf(files, "%s\n%s\n%s\n%zu\n", path, mode, sha256, length);
    g_string_append_len(files, bytes, (gssize)length);
}

gboolean machine_place(GPtrArray *argv, GString *files, GError **error)
{
    g_autoptr(GPtrArray) owned = argv;

    add_command(owned, (const char *const[]){ "sh", "-c", script_root, "berth",
                                              machine_script_place, "place.sh", NULL });
    gboolean placed =
        run_on((const char *const *)owned->pdata, files->str, files->len, NULL, error);
    explicit_bzero(files->str, files->allocated_len);
    g_string_free(files, TRUE);
    return placed;
}

/* -- how an external machine was reached before: identity and known_hosts, a line each */
static char *memory_file(Cli *cli, const char *instance_id, GError **error)
{
    g_autofree char *below = g_strdup_printf("machines/%s", instance_id);
    Client *client = client_get(cli, error);

    return client ? profile_file(client_profile(client), below, error) : NULL;
}

gboolean machine_remember(Cli *cli, const char *instance_id, const MachineWay *way, GError **error)
{
    g_autofree char *file = memory_file(cli, instance_id, error);
    g_autofree char *text = g_strdup_printf("%s\n%s\n", way->identity ? way->identity : "",
                                            way->known_hosts ? way->known_hosts : "");

    return file && profile_write(file, text, 0600, error);
}

void machine_forget(Cli *cli, const char *instance_id)
{
    g_autofree char *file = memory_file(cli, instance_id, NULL);

    if (file)
        g_unlink(file);
}

GPtrArray *machine_ssh_to(Cli *cli, const char *instance_id, const json_t *external, gboolean tty,
                          GError **error)
{
    if (!external)
        return machine_ssh_instance(cli, instance_id, tty, error);
    g_autofree char *file = memory_file(cli, instance_id, error);
    g_autofree char *text = NULL;
    if (!file)
        return NULL;
    if (!g_file_get_contents(file, &text, NULL, NULL))
        text = g_strdup("");
    g_auto(GStrv) lines = g_strsplit(text, "\n", 3);
    gboolean both = lines[0] && lines[1];
    const char *identity = cli_option(cli, "identity");
    MachineWay way = {
        .address = verb_text(external, "Address"),
        .user = verb_text(external, "User"),
        .port = json_integer_value(json_object_get(external, "Port")),
        .identity = identity            ? identity
                    : both && *lines[0] ? lines[0]
                                        : NULL,
        .known_hosts = both && *lines[1] ? lines[1] : NULL,
    };
    return machine_ssh(&way, tty);
}
