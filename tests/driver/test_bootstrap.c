/*
 * The agent's bootstrap against a real sshd that stands in for an instance: it reaches its end from
 * wherever it was cut off, trusts one host key alone, and no text of a row reaches a shell.
 */
#include "../lib/region.h"
#include "base/clock.h"
#include "base/fault.h"
#include "drivers/ssh.h"
#include "model/ssh_key.h"
#include "reconcile/kinds.h"
#include "reconcile/management_key.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ADDRESS  "127.105.0.1"
#define INSTANCE "i-00000000000000001"
#define IMAGE    "ami-00000000000000001"
#define KILLED   128
#define CONF     "/etc/berth/agent.conf"
#define NUMBER   105

static TestRegion *region;
static char *self, *config_file, *machine, *trace_file;
static char *host_key; /* the line the machine shows */
static pid_t machine_pid;

/* ---- a process that takes one step; it may be killed in it */

static void world_open(World *world, const Config *config)
{
    memset(world, 0, sizeof *world);
    memset(world->master_key, 7, sizeof world->master_key);
    world->config = config;
    world->identity = db_pool_new(config->identity_dsn, "berth_reconcile", 2);
    world->region = db_pool_new(config->region_dsn, "berth_reconcile", 2);
}

static void world_close(World *world)
{
    db_pool_free(world->identity);
    db_pool_free(world->region);
}

static G_GNUC_NORETURN void child_main(const char *file)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = config_load(file, &error);
    gint64 again_ms = 0;
    World world;

    fault_init();
    if (!config)
        g_error("%s", error->message);
    world_open(&world, config);
    StepResult result = bootstrap_step(&world, INSTANCE, &again_ms, &error);
    if (result == STEP_FAILED)
        g_printerr("# %s\n", error->message);
    _exit((int)result);
}

/* A StepResult, or KILLED. */
static int step(const char *variable, const char *value)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (variable)
            setenv(variable, value, 1);
        execl(self, self, "--child", config_file, NULL);
        _exit(127);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFSIGNALED(status)) {
        g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
        return KILLED;
    }
    return WEXITSTATUS(status);
}

static void settle(void)
{
    int result = STEP_LATER;

    for (int n = 0; n < 5 && result == STEP_LATER; n++)
        result = step(NULL, NULL);
    g_assert_cmpint(result, ==, STEP_SETTLED);
}

/* ---- the machine */

static char *there(const char *path)
{
    return g_strdup_printf("/proc/%d/root%s", (int)machine_pid, path);
}

static char *read_there(const char *path)
{
    g_autofree char *file = there(path);
    char *text = NULL;

    return g_file_get_contents(file, &text, NULL, NULL) ? text : g_strdup("");
}

/* How systemctl was called since the last time. */
static char *called(void)
{
    g_autofree char *file = g_build_filename(machine, "called", NULL);
    char *text = NULL;

    if (!g_file_get_contents(file, &text, NULL, NULL))
        return g_strdup("");
    unlink(file);
    return text;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    g_autofree char *file = g_build_filename(machine, name, NULL);
    g_autofree char *folder = g_path_get_dirname(file);

    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(file, text, -1, NULL));
    g_assert_cmpint(chmod(file, mode), ==, 0);
}

static void bind_socket(void)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    g_snprintf(name.sun_path, sizeof name.sun_path, "%s/run/docker.sock", machine);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
    close(fd);
}

static void wait_for_port(void)
{
    for (int n = 0; n < 200; n++) {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = g_htons(22) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        to.sin_addr.s_addr = g_htonl(0x7f690001);
        int code = connect(fd, (struct sockaddr *)&to, sizeof to);
        close(fd);
        if (code == 0)
            return;
        g_assert_cmpint(waitpid(machine_pid, NULL, WNOHANG), ==, 0);
        g_usleep(50000);
    }
    g_error("the machine's sshd does not answer");
}

static void machine_start(void)
{
    g_autofree char *folders = g_build_filename(machine, "run", "systemd", "system", NULL);
    g_autofree char *privileges = g_build_filename(machine, "run", "sshd", NULL);
    g_autoptr(SshKey) key = ssh_key_generate(SSH_KEY_ED25519, "", NULL);
    g_autoptr(GError) error = NULL;
    World world;

    g_mkdir_with_parents(folders, 0755);
    g_mkdir_with_parents(privileges, 0755);
    bind_socket();
    write_file("bin/systemctl", "#!/bin/sh\necho \"$*\" >>\"$MACHINE/called\"\n", 0755);
    write_file("bin/curl", "#!/bin/sh\nexit 22\n", 0755); /* Docker has no image of the agent */
    write_file("host_key", key->private_pem, 0600);
    host_key = g_strdup(key->public_line);
    world_open(&world, region->config);
    g_autofree char *ours = management_key_public(&world, &error);
    g_assert_no_error(error);
    world_close(&world);
    write_file("keys", ours, 0600);
    machine_pid = fork();
    if (machine_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        g_autofree char *log = g_build_filename(machine, "log", NULL);
        if (!freopen(log, "w", stderr))
            _exit(126);
        execl("tests/lib/machine.sh", "machine.sh", machine, ADDRESS, NULL);
        _exit(127);
    }
    wait_for_port();
}

/* ---- rows */

static void forget_machine(void)
{
    g_autofree char *command = g_strdup_printf(
        "cd /proc/%d/root && rm -rf etc/berth etc/docker/certs.d usr/lib/berth/agent-run"
        " usr/lib/berth/agent-container.json usr/share/berth etc/systemd/system/berth-agent.service",
        (int)machine_pid);

    g_assert_cmpint(system(command), ==, 0);
    g_free(called());
}

/* As after BootstrapContainerInstance for an instance that answers. */
static void want(const char *cluster)
{
    test_region_do(region, "DELETE FROM container_instances");
    test_region_do(region, "DELETE FROM bootstraps");
    g_free(test_db_sql(region->db->identity_dsn, "DELETE FROM sessions"));
    test_region_do(region, "UPDATE instances SET host_keys = '%s'", host_key);
    test_region_do(region, "INSERT INTO bootstraps (instance_id, account_id, cluster_name)"
                   " VALUES ('" INSTANCE "', '" TEST_ACCOUNT "', '%s')", cluster);
    forget_machine();
}

static void agent_registers(void)
{
    test_region_do(region,
                   "INSERT INTO container_instances (container_instance_id, account_id, cluster_id,"
                   " ec2_instance_id, zone_name, cpu, memory_mib) SELECT repeat('a', 32),"
                   " '" TEST_ACCOUNT "', cluster_id, '" INSTANCE "', '" TEST_ZONE "', 1024, 512"
                   " FROM clusters LIMIT 1");
}

#define assert_row(expected, sql)                                                                  \
    G_STMT_START                                                                                   \
    {                                                                                              \
        g_autofree char *answer = test_region_ask(region, "SELECT " sql " FROM bootstraps");       \
        g_assert_cmpstr(answer, ==, expected);                                                     \
    }                                                                                              \
    G_STMT_END

static char *sessions(const char *what)
{
    g_autofree char *sql = g_strdup_printf("SELECT %s FROM sessions", what);

    return test_db_sql(region->db->identity_dsn, sql);
}

/* ---- what must hold at every end */

static void assert_installed(const char *cluster)
{
    g_autofree char *conf = read_there(CONF), *conf_file = there(CONF);
    g_autofree char *unit = read_there("/etc/systemd/system/berth-agent.service");
    g_autofree char *archive = read_there("/usr/share/berth/berth-agent.tar");
    g_autofree char *key = sessions("string_agg(access_key_id, ' ')");
    g_autofree char *key_line = g_strdup_printf("\nAWS_ACCESS_KEY_ID=%s\n", key);
    g_autofree char *cluster_line = g_strdup_printf("\nBERTH_CLUSTER=%s\n", cluster);
    g_autofree char *recorded = test_region_ask(region, "SELECT access_key_id FROM bootstraps");
    g_autofree char *halves = g_strdup_printf(
        "test -z \"$(find /proc/%d/root/etc/berth /proc/%d/root/etc/docker/certs.d"
        " /proc/%d/root/usr/lib/berth /proc/%d/root/usr/share/berth -name '*.new-*')\"",
        (int)machine_pid, (int)machine_pid, (int)machine_pid, (int)machine_pid);
    struct stat st;

    g_assert_cmpstr(recorded, ==, key); /* one session alone is alive */
    g_assert_nonnull(strstr(conf, key_line));
    g_assert_nonnull(strstr(conf, cluster_line));
    g_assert_nonnull(strstr(conf, "\nBERTH_INSTANCE_ID=" INSTANCE "\n"));
    g_assert_cmpint(stat(conf_file, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
    g_assert_nonnull(strstr(unit, "[Service]"));
    g_assert_cmpstr(archive, ==, "an archive\n");
    g_assert_cmpint(system(halves), ==, 0);
}

static void test_registers(void)
{
    want("default");
    g_assert_cmpint(step(NULL, NULL), ==, STEP_LATER);
    assert_row("started", "stage");
    assert_installed("default");
    g_autofree char *calls = called();
    g_assert_nonnull(strstr(calls, "enable --quiet berth-agent\n--no-block restart berth-agent\n"));
    g_assert_cmpint(step(NULL, NULL), ==, STEP_LATER); /* it waits, and does nothing */
    agent_registers();
    g_assert_cmpint(step(NULL, NULL), ==, STEP_SETTLED);
    assert_row("registered", "stage");
    g_autofree char *more = called();
    g_assert_cmpstr(more, ==, "");
}

static void test_killed_anywhere(void)
{
    g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *text = NULL;

    want("default");
    agent_registers();
    g_assert_cmpint(step("BERTH_FAULT_TRACE", trace_file), ==, STEP_LATER);
    g_assert_cmpint(step("BERTH_FAULT_TRACE", trace_file), ==, STEP_SETTLED);
    g_assert_true(g_file_get_contents(trace_file, &text, NULL, NULL));
    g_auto(GStrv) points = g_strsplit(text, "\n", -1);
    for (char **point = points; *point; point++) {
        if (!**point || !g_hash_table_add(done, *point))
            continue;
        g_autofree char *fault = g_strconcat(*point, ":1", NULL);
        want("default");
        agent_registers();
        int result = step("BERTH_FAULT", fault);
        if (result == STEP_LATER) /* the point lies in the step after */
            result = step("BERTH_FAULT", fault);
        g_test_message("killed at %s", *point);
        g_assert_cmpint(result, ==, KILLED);
        settle();
        assert_row("registered", "stage");
        assert_installed("default");
    }
    g_assert_cmpuint(g_hash_table_size(done), >=, 9);
}

/* Its files lie there already, so only the stage tells that the agent has not taken them up. */
static void test_cut_off_before_start(void)
{
    want("default");
    agent_registers();
    settle();
    test_region_do(region, "UPDATE bootstraps SET credentials_until = now() + interval '83 hours'");
    g_free(called());
    g_assert_cmpint(step("BERTH_FAULT", "bootstrap.configured:1"), ==, KILLED);
    g_autofree char *before = called();
    g_assert_cmpstr(before, ==, "");
    settle();
    g_autofree char *after = called();
    g_assert_nonnull(strstr(after, "--no-block restart berth-agent"));
    assert_installed("default");
}

static void test_other_host_key(void)
{
    g_autoptr(SshKey) other = ssh_key_generate(SSH_KEY_ED25519, "", NULL);
    g_autofree char *shown = ssh_fingerprint(host_key);
    g_autofree char *known = ssh_fingerprint(other->public_line);

    want("default");
    test_region_do(region, "UPDATE instances SET host_keys = '%s'", other->public_line);
    g_assert_cmpint(step(NULL, NULL), ==, STEP_SETTLED);
    g_autofree char *fault = test_region_ask(region, "SELECT fault FROM bootstraps");
    g_assert_nonnull(strstr(fault, shown));
    g_assert_nonnull(strstr(fault, known));
    g_autofree char *conf = read_there(CONF), *calls = called(), *made = sessions("count(*)");
    g_assert_cmpstr(conf, ==, "");
    g_assert_cmpstr(calls, ==, "");
    g_assert_cmpstr(made, ==, "0");
    g_assert_cmpint(step(NULL, NULL), ==, STEP_SETTLED); /* and stays so until it is asked again */
    test_region_do(region, "UPDATE instances SET host_keys = '%s'", host_key);
    test_region_do(region, "UPDATE bootstraps SET generation = generation + 1");
    agent_registers();
    settle();
    assert_row("t", "fault IS NULL");
    assert_installed("default");
}

static void test_credentials_are_renewed(void)
{
    want("default");
    agent_registers();
    settle();
    g_autofree char *before = sessions("access_key_id");
    test_region_do(region, "UPDATE bootstraps SET credentials_until = now() + interval '85 hours'");
    g_assert_cmpint(step(NULL, NULL), ==, STEP_SETTLED);
    g_autofree char *half = sessions("access_key_id");
    g_assert_cmpstr(half, ==, before);
    /* a session of the metadata service is not the agent's */
    g_free(test_db_sql(region->db->identity_dsn,
                       "INSERT INTO sessions SELECT 'ASIAAAAAAAAAAAAAAAAA', account_id, role_name,"
                       " role_id, session_name, subject, sealed_secret, token_sha256,"
                       " now() + interval '12 hours', now(), kind FROM sessions"));
    test_region_do(region, "UPDATE bootstraps SET credentials_until = now() + interval '83 hours'");
    settle();
    g_autofree char *kept = test_db_sql(region->db->identity_dsn,
                                        "DELETE FROM sessions WHERE access_key_id ="
                                        " 'ASIAAAAAAAAAAAAAAAAA' RETURNING 'kept'");
    g_assert_cmpstr(kept, ==, "kept");
    g_autofree char *after = sessions("string_agg(access_key_id, ' ')");
    g_assert_cmpstr(after, !=, before);
    assert_row("t", "credentials_until > now() + interval '167 hours'");
    assert_installed("default");
}

static void test_asked_again(void)
{
    want("default");
    g_assert_cmpint(step(NULL, NULL), ==, STEP_LATER);
    assert_row("started", "stage");
    agent_registers();
    test_region_do(region, "UPDATE bootstraps SET generation = generation + 1,"
                   " cluster_name = 'second'");
    settle();
    assert_row("registered", "stage");
    assert_row("t", "seen_generation = generation");
    assert_installed("second");
}

/* As curl is called for the metadata service: it gives a token, and one role by the token. */
static const char metadata_curl[] =
    "#!/bin/sh\n"
    "case \"$*\" in\n"
    "*PUT*ttl-seconds*/api/token) echo a-token ;;\n"
    "*'metadata-token: a-token'*/security-credentials/) echo ecsInstanceRole ;;\n"
    "*) exit 22 ;;\n"
    "esac\n";

static void assert_no_keys(void)
{
    g_autofree char *conf = read_there(CONF), *made = sessions("count(*)");

    g_assert_nonnull(strstr(conf, "\nBERTH_INSTANCE_ID=" INSTANCE "\n"));
    g_assert_null(strstr(conf, "AWS_"));
    g_assert_cmpstr(made, ==, "0");
    assert_row("t", "access_key_id IS NULL AND credentials_until IS NULL");
    assert_row("registered", "stage");
}

static void test_role_leaves_no_key(void)
{
    want("default");
    agent_registers();
    settle(); /* with keys, as long as nothing gives the role's */
    assert_installed("default");
    write_file("bin/curl", metadata_curl, 0755);
    test_region_do(region, "UPDATE bootstraps SET generation = generation + 1");
    settle(); /* and where the instance has no profile */
    assert_installed("default");
    test_region_do(region, "UPDATE instances SET instance_profile = 'ecsInstanceRole'");
    test_region_do(region, "UPDATE bootstraps SET generation = generation + 1");
    g_free(called());
    settle();
    assert_no_keys();
    g_autofree char *calls = called(), *file = there(CONF);
    struct stat before, after;
    g_assert_nonnull(strstr(calls, "--no-block restart berth-agent"));
    g_assert_cmpint(stat(file, &before), ==, 0);
    test_region_do(region, "UPDATE bootstraps SET generation = generation + 1");
    settle();
    assert_no_keys();
    g_assert_cmpint(stat(file, &after), ==, 0);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino); /* what lies there already is left alone */
    test_region_do(region, "UPDATE instances SET instance_profile = NULL");
    test_region_do(region, "UPDATE bootstraps SET generation = generation + 1");
    settle();
    assert_installed("default");
}

static void test_hostile_texts(void)
{
    static const char *const names[] = {
        "$(touch /tmp/berth-owned)", "`touch /tmp/berth-owned`", "''; touch /tmp/berth-owned; ''",
        "\"; touch /tmp/berth-owned; \"", "a\nb; touch /tmp/berth-owned\n",
    };

    for (gsize n = 0; n < G_N_ELEMENTS(names); n++) {
        want(names[n]);
        g_assert_cmpint(step(NULL, NULL), ==, STEP_LATER);
        g_autofree char *cluster = test_region_ask(region, "SELECT cluster_name FROM bootstraps");
        assert_installed(cluster);
        g_assert_false(g_file_test("/tmp/berth-owned", G_FILE_TEST_EXISTS));
    }
}

/* ---- main */

static void write_config(void)
{
    g_autofree char *registry = region->config->registry;

    region->config->registry = g_strdup("$(touch /tmp/berth-owned);'registry:5000");
    g_autofree char *text = config_text(region->config);
    g_assert_true(g_file_set_contents(config_file, text, -1, NULL));
}

static void fill_region(void)
{
    g_autofree char *authority = g_build_filename(region->config->state_dir, "tls", NULL);
    g_autofree char *certificate = g_build_filename(authority, "ca.crt", NULL);
    g_autofree char *share = g_build_filename(region->root, "usr", "share", "berth", NULL);
    g_autofree char *archive = g_build_filename(share, "berth-agent.tar", NULL);

    g_mkdir_with_parents(authority, 0755);
    g_mkdir_with_parents(share, 0755);
    g_assert_true(g_file_set_contents(certificate, "a certificate\n", -1, NULL));
    g_assert_true(g_file_set_contents(archive, "an archive\n", -1, NULL));
    test_region_image(region, IMAGE, "/nowhere");
    test_region_do(region, "UPDATE images SET ssh_user = 'root'");
    g_free(test_region_instance(region, IMAGE, 1, 64));
    test_region_do(region, "UPDATE instances SET private_ip = '" ADDRESS "', seen = 'running',"
                   " seen_generation = 1, reachable_at = now(), host_keys_at = now()");
    test_region_do(region, "INSERT INTO clusters (account_id, cluster_name) VALUES"
                   " ('" TEST_ACCOUNT "', 'default')");
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--child") == 0)
        child_main(argv[2]);
    g_test_init(&argc, &argv, NULL);
    if (geteuid() != 0) {
        g_print("1..0 # SKIP a machine of its own takes root\n");
        return 0;
    }
    test_pg_init();
    region = test_region_new("test:///default", NUMBER);
    self = g_file_read_link("/proc/self/exe", NULL);
    config_file = g_build_filename(region->root, "berth.conf", NULL);
    trace_file = g_build_filename(region->root, "trace", NULL);
    machine = g_build_filename(region->root, "machine", NULL);
    fill_region();
    write_config();
    machine_start();
    g_test_add_func("/bootstrap/reaches registration", test_registers);
    g_test_add_func("/bootstrap/killed anywhere, ends the same", test_killed_anywhere);
    g_test_add_func("/bootstrap/cut off before the start, restarts", test_cut_off_before_start);
    g_test_add_func("/bootstrap/another host key gets nothing", test_other_host_key);
    g_test_add_func("/bootstrap/credentials are renewed", test_credentials_are_renewed);
    g_test_add_func("/bootstrap/asked again, runs again", test_asked_again);
    g_test_add_func("/bootstrap/a role leaves no key there", test_role_leaves_no_key);
    g_test_add_func("/bootstrap/no text reaches a shell", test_hostile_texts);
    int status = g_test_run();
    kill(machine_pid, SIGKILL);
    waitpid(machine_pid, NULL, 0);
    test_region_free(region);
    return status;
}
