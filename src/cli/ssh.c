#include "base/errors.h"
#include "cli/groups.h"
#include "cli/machine.h"
#include "cli/process.h"
#include "cli/verbs.h"

#include <string.h>

#define WAIT_SECONDS 180

/* -- how an instance is reached: DescribeInstanceAccess */
typedef struct {
    const char *id;
    json_t *access;
} AccessWait;

static gboolean is_ready(const json_t *access)
{
    return *verb_text(access, "Address") &&
           json_array_size(json_object_get(access, "HostKeys")) > 0;
}

static gboolean look_access(Cli *cli, gpointer data, gboolean *ret_done, GError **error)
{
    AccessWait *wait = data;

    if (!client_look(cli, "berth", "DescribeInstanceAccess",
                     json_pack("{s:[s]}", "InstanceIds", wait->id), "Access", &wait->access, error))
        return FALSE;
    const char *state = verb_text(wait->access, "State");
    if (!wait->access)
        return fail(error, NOT_FOUND, "there is no instance \"%s\"", wait->id);
    if (strcmp(state, "pending") != 0 && strcmp(state, "running") != 0)
        return fail(error, COMMAND, "%s is %s; \"berth start %s\" starts a stopped one", wait->id,
                    state, wait->id);
    if (*verb_text(wait->access, "Detail"))
        return fail(error, COMMAND, "no way to %s: %s", wait->id,
                    verb_text(wait->access, "Detail"));
    *ret_done = is_ready(wait->access);
    ui_step_progress("%s, no host key yet", state);
    return TRUE;
}

/* Waits until the guest has reported its host key: nothing is ever trusted on first use. */
static json_t *access_get(Cli *cli, const char *id, GError **error)
{
    AccessWait wait = { .id = id };
    gboolean done = FALSE;
    gboolean good = look_access(cli, &wait, &done, error) &&
                    (done || verb_wait(cli, "waiting for its host key", WAIT_SECONDS, look_access,
                                       &wait, error));
    json_auto_t *access = wait.access;

    return good ? json_incref(access) : NULL;
}

/* One file for each instance, rewritten each time: two of us never tear it. Caller frees. */
static char *host_keys_save(const Profile *p, const json_t *access, GError **error)
{
    const char *id = verb_text(access, "InstanceId");
    g_autofree char *below = g_strdup_printf("hosts/%s", id);
    g_autofree char *file = profile_file(p, below, error);
    g_autoptr(GString) text = g_string_new(NULL);
    const json_t *key;
    size_t n;

    json_array_foreach(json_object_get(access, "HostKeys"), n, key)
        g_string_append_printf(text, "%s %s\n", id, json_string_value(key));
    if (!file || !profile_write(file, text->str, 0600, error))
        return NULL;
    return g_steal_pointer(&file);
}

/* --identity, or the private key made here, or NULL: then ssh uses what it has. Caller frees. */
static char *private_key(const Cli *cli, const json_t *access)
{
    const Profile *p = client_profile(cli->client);
    const char *name = verb_text(access, "KeyName");
    g_autofree char *file = g_strdup_printf("%s/keys/%s.pem", p->folder, name);

    if (cli_option(cli, "identity"))
        return g_canonicalize_filename(cli_option(cli, "identity"), NULL);
    return *name && g_file_test(file, G_FILE_TEST_EXISTS) ? g_steal_pointer(&file) : NULL;
}

/* -- berth ssh */
static void add_option(GPtrArray *argv, const char *name, const char *value)
{
    g_ptr_array_add(argv, g_strdup("-o"));
    g_ptr_array_add(argv, g_strdup_printf("%s=%s", name, value));
}

static GPtrArray *ssh_argv(Cli *cli, const json_t *access, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    const Profile *p = client_profile(cli->client);
    g_autofree char *hosts = host_keys_save(p, access, error);
    g_autofree char *key = private_key(cli, access);
    json_int_t port = json_integer_value(json_object_get(access, "Port"));

    if (!hosts)
        return NULL;
    g_ptr_array_add(argv, g_strdup("ssh"));
    add_option(argv, "HostKeyAlias", verb_text(access, "InstanceId"));
    add_option(argv, "UserKnownHostsFile", hosts);
    add_option(argv, "GlobalKnownHostsFile", "/dev/null");
    add_option(argv, "StrictHostKeyChecking", "yes");
    add_option(argv, "CheckHostIP", "no");
    add_option(argv, "LogLevel", "ERROR");
    add_option(argv, "ConnectTimeout", "20");
    if (key) {
        add_option(argv, "IdentityFile", key);
        add_option(argv, "IdentitiesOnly", "yes");
    }
    g_ptr_array_add(argv, g_strdup("-p"));
    g_ptr_array_add(argv, g_strdup_printf("%d", port ? (int)port : 22));
    g_ptr_array_add(
        argv, g_strdup_printf("%s@%s", verb_text(access, "User"), verb_text(access, "Address")));
    return g_steal_pointer(&argv);
}

GPtrArray *machine_ssh_instance(Cli *cli, const char *instance_id, gboolean tty, GError **error)
{
    json_auto_t *access = access_get(cli, instance_id, error);
    GPtrArray *argv = access ? ssh_argv(cli, access, error) : NULL;

    if (argv)
        g_ptr_array_insert(argv, 1, g_strdup(tty ? "-t" : "-T"));
    return argv;
}

/* -- berth ssh --config */
static gboolean add_host(const Cli *cli, GString *text, const json_t *access, GError **error)
{
    const char *id = verb_text(access, "InstanceId"), *name = verb_text(access, "Name");
    json_int_t port = json_integer_value(json_object_get(access, "Port"));
    g_autofree char *hosts = host_keys_save(client_profile(cli->client), access, error);
    g_autofree char *key = private_key(cli, access);
    /* a name with blanks would be several patterns */
    gboolean named = *name && strpbrk(name, " \t\n*?!\"'") == NULL;

    if (!hosts)
        return FALSE;
    g_string_append_printf(text, "\nHost %s%s%s\n    HostName %s\n    Port %d\n    User %s\n", id,
                           named ? " " : "", named ? name : "", verb_text(access, "Address"),
                           port ? (int)port : 22, verb_text(access, "User"));
    g_string_append_printf(text,
                           "    HostKeyAlias %s\n    UserKnownHostsFile \"%s\"\n"
                           "    GlobalKnownHostsFile /dev/null\n"
                           "    StrictHostKeyChecking yes\n    CheckHostIP no\n",
                           id, hosts);
    if (key)
        g_string_append_printf(text, "    IdentityFile \"%s\"\n    IdentitiesOnly yes\n", key);
    return TRUE;
}

static gboolean write_config(Cli *cli, GError **error)
{
    g_autoptr(GString) text = g_string_new("# Made by \"berth ssh --config\"; run it again after "
                                           "a launch.\n");
    json_auto_t *answer = client_call(cli, "berth", "DescribeInstanceAccess", NULL, error);
    const json_t *access;
    guint count = 0;
    size_t n;

    if (!answer)
        return FALSE;
    const Profile *p = client_profile(cli->client);
    json_array_foreach(json_object_get(answer, "Access"), n, access)
    {
        if (!is_ready(access) || *verb_text(access, "Detail"))
            continue;
        if (!add_host(cli, text, access, error))
            return FALSE;
        count++;
    }
    g_autofree char *file = profile_file(p, "ssh_config", error);
    if (!file || !profile_write(file, text->str, 0600, error))
        return FALSE;
    ui_print("%u instances in %s", count, file);
    ui_note("use it:  ssh -F %s INSTANCE-ID\n"
            "or once: sed -i '1i Include %s' ~/.ssh/config   then ssh and scp know them",
            file, file);
    return TRUE;
}

static gboolean run_ssh(Cli *cli, GError **error)
{
    if (cli_flag(cli, "config"))
        return write_config(cli, error);
    if (!cli_arg(cli, 0))
        return fail(error, USAGE, "which instance? give its id or name");
    g_autofree char *id = verb_instance_id(cli, cli_arg(cli, 0), error);
    json_auto_t *access = id ? access_get(cli, id, error) : NULL;
    g_autoptr(GPtrArray) argv = access ? ssh_argv(cli, access, error) : NULL;

    if (!argv)
        return FALSE;
    for (guint i = 1; cli_arg(cli, i); i++)
        g_ptr_array_add(argv, g_strdup(cli_arg(cli, i)));
    g_ptr_array_add(argv, NULL);
    return process_become((const char *const *)argv->pdata, error);
}

static const Option ssh_options[] = {
    { "identity", "FILE", "private key, when \"berth key create\" did not make it" },
    { "config", NULL, "write ~/.berth/ssh_config for plain ssh and scp" },
    { 0 }
};

const Command ssh_commands[] = {
    { "ssh", "INSTANCE [-- COMMAND ...]", 0, ANY_NUMBER, "log in to an instance, nothing asked",
      "By id or by the tag Name. User, key and host key come from Berth: the guest reports its\n"
      "host keys over a channel that the hypervisor owns, so a changed or foreign key is refused.\n"
      "Waits while a new instance has not reported yet.",
      "berth ssh i-0123456789abcdef0\n"
      "berth ssh web-1 -- docker ps\n"
      "berth ssh --config; scp -F ~/.berth/ssh_config file i-0123456789abcdef0:",
      ssh_options, run_ssh, FALSE },
    { 0 },
};
