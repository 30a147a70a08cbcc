/* berth agent: the container agent on machines that are no instances of ours, and who runs which.
 */
#include "base/errors.h"
#include "cli/agent_roll.h"
#include "cli/cluster.h"
#include "cli/groups.h"
#include "cli/install.h"
#include "cli/machine.h"
#include "cli/verbs.h"

#include <string.h>

#define CONNECT_SECONDS 60

/* -- berth agent status */
static const Column agent_columns[] = {
    { "INSTANCE", "InstanceId", FORM_TEXT },      { "STATUS", "Status", FORM_TEXT },
    { "CONNECTED", "Connected", FORM_TEXT },      { "SINCE", "ConnectedAt", FORM_TIME },
    { "VERSION", "Version", FORM_TEXT },          { "DOCKER", "DockerVersion", FORM_TEXT },
    { "ADDRESS", "External.Address", FORM_TEXT }, { 0 },
};

static gboolean run_agent_status(Cli *cli, GError **error)
{
    return verb_table(cli, "berth", "DescribeAgents",
                      json_pack("{s:s}", "Cluster", cluster_name(cli)), "Agents", agent_columns,
                      error);
}

/* -- berth agent install */
typedef struct {
    Cli *cli;
    char *user, *address;
    char *identity, *known_hosts; /* NULL: as ssh does by itself */
    MachineWay way;
    const char *socket, *folder;
    json_t *external; /* once it was made */
} Installing;

static void installing_clear(Installing *in)
{
    g_free(in->user);
    g_free(in->address);
    g_free(in->identity);
    g_free(in->known_hosts);
    json_decref(in->external);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Installing, installing_clear)

static char *absolute(const char *file)
{
    return file ? g_canonicalize_filename(file, NULL) : NULL;
}

static gboolean installing_read(Cli *cli, Installing *in, GError **error)
{
    const char *host = cli_option(cli, "host"), *at = host ? strchr(host, '@') : NULL;
    gint64 port;

    if (!at || at == host || !at[1])
        return fail(error, USAGE, "--host USER@MACHINE says where");
    if (!cli_number(cli, "port", 1, 65535, 22, &port, error))
        return FALSE;
    in->cli = cli;
    in->user = g_strndup(host, (gsize)(at - host));
    in->address = g_strdup(at + 1);
    in->identity = absolute(cli_option(cli, "identity"));
    in->known_hosts = absolute(cli_option(cli, "known-hosts"));
    in->way = (MachineWay){ in->address, in->user, port, in->identity, in->known_hosts };
    in->socket =
        cli_option(cli, "docker-socket") ? cli_option(cli, "docker-socket") : "/run/docker.sock";
    in->folder = cli_option(cli, "folder") ? cli_option(cli, "folder") : "/var/lib/berth-agent";
    return TRUE;
}

static gboolean look_there(Installing *in, GError **error)
{
    g_autofree char *id = NULL;

    ui_step("looking at the machine");
    if (!machine_agent(machine_ssh(&in->way, FALSE), "look", in->socket, in->folder, &id, error))
        return FALSE;
    if (*id)
        return fail(error, COMMAND,
                    "an agent is there already, as \"%s\"; \"berth agent remove %s\" takes it away",
                    id, id);
    ui_step_done("Docker answers");
    return TRUE;
}

/* The agent's settings; what made them is the control plane's answer. Caller wipes and frees. */
static char *settings_text(Cli *cli, const json_t *external, GError **error)
{
    const char *id = verb_text(external, "InstanceId");
    json_auto_t *keys = client_call(cli, "berth", "CreateExternalCredentials",
                                    json_pack("{s:s}", "InstanceId", id), error);

    return keys ? g_strdup_printf(
                      "BERTH_ENDPOINT=%s\nBERTH_REGION=%s\nBERTH_CLUSTER=%s\n"
                      "BERTH_CA=/etc/berth/ca.pem\nBERTH_INSTANCE_ID=%s\nAWS_ACCESS_KEY_ID=%s\n"
                      "AWS_SECRET_ACCESS_KEY=%s\nAWS_SESSION_TOKEN=%s\n",
                      verb_text(keys, "Endpoint"), verb_text(keys, "RegionName"),
                      verb_text(external, "Cluster"), id, verb_text(keys, "AccessKeyId"),
                      verb_text(keys, "SecretAccessKey"), verb_text(keys, "SessionToken"))
                : NULL;
}

static gboolean place_all(Installing *in, GError **error)
{
    const Profile *p = client_profile(in->cli->client);
    g_autofree char *authority = NULL;
    g_autofree char *settings = settings_text(in->cli, in->external, error);
    gsize length = 0;

    if (!settings || !(authority = verb_read(p->ca_file, &length, error)))
        return FALSE;
    g_autofree char *conf = g_build_filename(in->folder, "etc/agent.conf", NULL);
    g_autofree char *ca = g_build_filename(in->folder, "etc/ca.pem", NULL);
    g_autofree char *network = g_build_filename(in->folder, "agent-run", NULL);
    g_autofree char *registry_ca =
        g_strdup_printf("/etc/docker/certs.d/%s/ca.crt", cli_option(in->cli, "registry"));
    GString *files = g_string_new(NULL);
    machine_add_file(files, conf, "0600", settings, strlen(settings));
    machine_add_file(files, ca, "0644", authority, length);
    machine_add_file(files, network, "0755", machine_agent_run, strlen(machine_agent_run));
    if (cli_option(in->cli, "registry"))
        machine_add_file(files, registry_ca, "0644", authority, length);
    explicit_bzero(settings, strlen(settings));
    return machine_place(machine_ssh(&in->way, FALSE), files, error);
}

static gboolean set_up(Installing *in, GError **error)
{
    const char *id = verb_text(in->external, "InstanceId");
    g_autofree char *archive = agent_archive(in->cli, error);

    ui_step("placing the agent");
    if (!archive || !place_all(in, error) ||
        !agent_place(machine_ssh(&in->way, FALSE), archive, in->folder, error) ||
        !machine_agent(machine_ssh(&in->way, FALSE), "load", in->socket, in->folder, NULL, error) ||
        !machine_agent(machine_ssh(&in->way, FALSE), "start", in->socket, in->folder, NULL,
                       error) ||
        !machine_remember(in->cli, id, &in->way, error))
        return FALSE;
    ui_step_done("%s", id);
    return agent_wait(in->cli, id, 0, NULL, CONNECT_SECONDS, error);
}

/* Takes away the row and the credentials. */
static gboolean forget(Cli *cli, const char *id, gboolean force, GError **error)
{
    json_auto_t *removed =
        client_call(cli, "berth", "RemoveExternalInstance",
                    json_pack("{s:s, s:b}", "InstanceId", id, "Force", force), error);
    json_auto_t *ended = removed ? client_call(cli, "berth", "DeleteExternalCredentials",
                                               json_pack("{s:s}", "InstanceId", id), error)
                                 : NULL;

    return ended != NULL;
}

static gboolean run_agent_install(Cli *cli, GError **error)
{
    g_auto(Installing) in = { 0 };

    if (!installing_read(cli, &in, error) || !look_there(&in, error))
        return FALSE;
    json_t *params =
        json_pack("{s:s, s:s, s:s, s:I, s:s, s:s}", "Cluster", cluster_name(cli), "Address",
                  in.address, "User", in.user, "Port", (json_int_t)in.way.port, "DockerSocket",
                  in.socket, "Folder", in.folder);
    verb_set(params, "ZoneName", cli_option(cli, "zone"));
    json_auto_t *cluster = client_call(cli, "ecs", "CreateCluster",
                                       json_pack("{s:s}", "clusterName", cluster_name(cli)), error);
    json_auto_t *made = NULL;
    if (!cluster || !(made = client_call(cli, "berth", "CreateExternalInstance", params, error)))
        return FALSE;
    in.external = json_incref(json_object_get(made, "External"));
    const char *id = verb_text(in.external, "InstanceId");
    if (set_up(&in, error)) {
        ui_print("%s", id);
        return TRUE;
    }
    ui_step_failed();
    machine_agent(machine_ssh(&in.way, FALSE), "remove", in.socket, in.folder, NULL, NULL);
    forget(cli, id, TRUE, NULL);
    machine_forget(cli, id);
    return FALSE;
}

/* -- berth agent remove */
static gboolean run_agent_remove(Cli *cli, GError **error)
{
    const char *id = cli_arg(cli, 0);
    gboolean force = cli_flag(cli, "force");
    json_auto_t *agent = agent_get(cli, id, error);
    const json_t *external = json_object_get(agent, "External");

    if (!agent)
        return FALSE;
    if (!external)
        return fail(error, COMMAND,
                    "\"%s\" is an instance of ours: terminate it, or deregister its container"
                    " instance",
                    id);
    GPtrArray *argv = machine_ssh_to(cli, id, external, FALSE, error);
    if (!argv)
        return FALSE;
    if (!forget(cli, id, force, error)) {
        g_ptr_array_unref(argv);
        return FALSE;
    }
    if (!machine_agent(argv, force ? "clear" : "remove", verb_text(external, "DockerSocket"),
                       verb_text(external, "Folder"), NULL, error)) {
        g_prefix_error(error, "Berth has forgotten it, but its files are still there: ");
        return FALSE;
    }
    machine_forget(cli, id);
    ui_print("removed");
    return TRUE;
}

/* -- berth agent renew */
static gboolean run_agent_renew(Cli *cli, GError **error)
{
    const char *id = cli_arg(cli, 0);
    json_auto_t *agent = agent_get(cli, id, error);
    const json_t *external = json_object_get(agent, "External");

    if (!agent)
        return FALSE;
    if (!external)
        return fail(error, COMMAND, "\"%s\" is an instance of ours: its agent renews its own", id);
    GPtrArray *argv = machine_ssh_to(cli, id, external, FALSE, error);
    g_autofree char *settings = argv ? settings_text(cli, external, error) : NULL;
    if (!settings) {
        g_clear_pointer(&argv, g_ptr_array_unref);
        return FALSE;
    }
    g_autofree char *conf = g_build_filename(verb_text(external, "Folder"), "etc/agent.conf", NULL);
    GString *files = g_string_new(NULL);
    machine_add_file(files, conf, "0600", settings, strlen(settings));
    explicit_bzero(settings, strlen(settings));
    if (!machine_place(argv, files, error))
        return FALSE;
    ui_print("renewed");
    return TRUE;
}

static const Option cluster_options[] = { { "cluster", "NAME", "the cluster; default" }, { 0 } };
static const Option install_options[] = {
    { "host", "USER@MACHINE", "where; root, or a user with sudo" },
    { "port", "N", "of its SSH server; 22" },
    { "identity", "FILE", "private key for ssh" },
    { "known-hosts", "FILE", "where its host key is; as ssh does by itself" },
    { "cluster", "NAME", "the cluster to join; default" },
    { "zone", "NAME", "the availability zone it counts for; the first" },
    { "registry", "HOST:PORT", "whose images it may pull: trusts Berth's authority for it" },
    { "docker-socket", "PATH", "there; /run/docker.sock" },
    { "folder", "PATH", "there, for settings and state; /var/lib/berth-agent" },
    { "image", "TAR", "the agent's archive; the installed one" },
    { 0 },
};
static const Option remove_options[] = {
    { "cluster", "NAME", "the cluster; default" },
    { "identity", "FILE", "private key for ssh" },
    { "force", NULL, "though tasks are there: they end" },
    { 0 },
};
static const Option renew_options[] = {
    { "cluster", "NAME", "the cluster; default" },
    { "identity", "FILE", "private key for ssh" },
    { 0 },
};
static const Option upgrade_options[] = {
    { "cluster", "NAME", "the cluster; default" },
    { "image", "TAR", "the agent's archive; the installed one" },
    { "one", NULL, "only the first that is not there yet" },
    { "timeout", "SECONDS", "until one is connected again; 120" },
    { "identity", "FILE", "private key for ssh" },
    { 0 },
};

const Command agent_commands[] = {
    { "agent status", "", 0, 0, "show the agents of a cluster: connected, since when, which", NULL,
      NULL, cluster_options, run_agent_status, FALSE },
    { "agent install", "", 0, 0, "make any machine with Docker a container instance",
      "Over your own ssh: the machine's host key must be in known_hosts. The agent runs as a\n"
      "container that Docker keeps running. Run on the machine of the control plane or wherever\n"
      "you have a profile.",
      "berth agent install --host root@10.0.0.7 --cluster edge", install_options, run_agent_install,
      FALSE },
    { "agent remove", "INSTANCE", 1, 1, "take the agent off such a machine again", NULL,
      "berth agent remove mi-0123456789abcdef0", remove_options, run_agent_remove, FALSE },
    { "agent renew", "INSTANCE", 1, 1, "give the agent of such a machine new credentials",
      "The control plane renews them while the agent is connected. A machine that was away for\n"
      "longer than they last ([agents] external_seconds, a week) needs this once.",
      "berth agent renew mi-0123456789abcdef0", renew_options, run_agent_renew, FALSE },
    { "agent upgrade", "", 0, 0, "put another agent on a cluster's machines, one by one",
      "No task stops: each machine's agent is replaced, must connect again and find its tasks in\n"
      "the same containers; else the former agent is put back and nothing more is touched.\n"
      "For instances of ours the archive goes into the control plane's store: run it there.",
      "sudo berth agent upgrade --one\nsudo berth agent upgrade --cluster edge", upgrade_options,
      run_agent_upgrade, FALSE },
    { 0 },
};
