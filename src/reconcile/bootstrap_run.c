#include "base/clock.h"
#include "base/errors.h"
#include "base/fault.h"
#include "drivers/ssh.h"
#include "model/default_network.h"
#include "reconcile/bootstrap.h"
#include "reconcile/instance_scripts.h"
#include "reconcile/management_key.h"
#include "store/sessions.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECT_MS      30000
#define SCRIPT_MS       60000
#define UPLOAD_MS       600000
#define REGISTRY        5000
#define AUTHORITY       "/etc/berth/ca.pem"
#define AGENT_CONF      "/etc/berth/agent.conf"
#define AGENT_RUN       "/usr/lib/berth/agent-run"
#define AGENT_CONTAINER "/usr/lib/berth/agent-container.json"
#define AGENT_UNIT      "/etc/systemd/system/berth-agent.service"
#define AGENT_SOURCE    "/usr/share/berth/berth-agent.tar" /* on this machine and on the instance */
#define AGENT_LOADING   "/usr/share/berth/berth-agent.tar.loading" /* where agent-run takes it to */
#define AGENT_LOADED    "/usr/share/berth/berth-agent.tar.loaded"  /* and leaves it */

typedef struct {
    World *world;
    const Bootstrap *b;
    const Instance *i;
    SshSession *ssh;
    GHashTable *facts; /* of the probe */
    char *advertise;
    char *access_key_id; /* of the credentials that lie there now; NULL: the role's */
    gboolean fresh;      /* something was placed that the agent must be started anew for */
} Run;

static void run_clear(Run *run)
{
    ssh_close(run->ssh);
    g_clear_pointer(&run->facts, g_hash_table_unref);
    g_free(run->advertise);
    g_free(run->access_key_id);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Run, run_clear)

static gboolean reached_stage(Run *run, const char *stage, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(run->world->region, DB_MODE_READ, error);

    return tx && bootstraps_record_stage(tx, run->b->instance_id, stage, 0, NULL, error);
}

/* This generation's run is over; what an earlier one was refused for is no more. */
static gboolean reached_end(Run *run, GError **error)
{
    const Bootstrap *b = run->b;
    g_autoptr(DbTx) tx = db_begin(run->world->region, DB_MODE_WRITE, error);

    return tx &&
           bootstraps_record_stage(tx, b->instance_id, "started", b->generation, NULL, error) &&
           bootstraps_record_fault(tx, b->instance_id, NULL, error) &&
           db_commit(g_steal_pointer(&tx), error);
}

/* ---- what it brings */

char *bootstrap_advertise(const Config *config, GError **error)
{
    if (*config->advertise)
        return g_strdup(config->advertise);
    g_autoptr(DefaultNetwork) net =
        default_network_new("000000000000", config->region, config->network_cidr, error);
    return net ? default_network_gateway(net) : NULL;
}

char *bootstrap_settings(const Config *config, const char *advertise, const char *cluster,
                         const char *instance_id)
{
    return g_strdup_printf("BERTH_ENDPOINT=https://%s:%u\nBERTH_REGION=%s\nBERTH_CLUSTER=%s\n"
                           "BERTH_CA=/etc/berth/ca.pem\nBERTH_INSTANCE_ID=%s\n",
                           advertise, config->listen_port, config->region, cluster, instance_id);
}

/* Where Docker looks for the authority of our registry. Caller frees. */
static char *registry_path(const Config *config, const char *advertise)
{
    g_autofree char *registry = *config->registry ? g_strdup(config->registry)
                                                  : g_strdup_printf("%s:%d", advertise, REGISTRY);

    return g_build_filename("/etc/docker/certs.d", registry, "ca.crt", NULL);
}

/* ---- acts */

static gboolean connect_to(Run *run, GError **error)
{
    char *key = management_key_private(run->world, error);

    if (!key)
        return FALSE;
    SshTarget target = {
        .address = run->i->private_ip,
        .port = 22,
        .user = run->i->ssh_user,
        .host_keys = run->i->host_keys,
        .private_key = key,
        .timeout_ms = CONNECT_MS,
    };
    run->ssh = ssh_open(&target, error);
    management_key_wipe(key);
    return run->ssh != NULL;
}

static gboolean script_ok(const Run *run, const char *what, const SshResult *result, GError **error)
{
    if (result->status == 0)
        return TRUE;
    g_autofree char *cause = g_strstrip(g_strndup(result->errors, 400));
    return fail(error, SSH, "cannot %s on instance \"%s\": status %d: %s", what, run->i->id,
                result->status, cause);
}

static gboolean probe(Run *run, GError **error)
{
    g_auto(SshResult) result = { 0 };

    g_autofree char *docker = registry_path(run->world->config, run->advertise);
    g_autofree char *paths =
        g_strjoin("\n", AGENT_RUN, AGENT_CONTAINER, AGENT_UNIT, AGENT_SOURCE, AGENT_LOADING,
                  AGENT_LOADED, AGENT_CONF, AUTHORITY, docker, "", NULL);

    if (!ssh_script(run->ssh, script_probe, paths, strlen(paths), SCRIPT_MS, &result, error) ||
        !script_ok(run, "look around", &result, error))
        return FALSE;
    g_auto(GStrv) lines = g_strsplit(result.output, "\n", -1);
    run->facts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (char **line = lines; *line; line++) {
        char *equals = strchr(*line, '=');
        if (equals)
            g_hash_table_insert(run->facts, g_strndup(*line, (gsize)(equals - *line)),
                                g_strdup(equals + 1));
    }
    return TRUE;
}

static gboolean has(const Run *run, const char *fact)
{
    return g_strcmp0(g_hash_table_lookup(run->facts, fact), "yes") == 0;
}

static gboolean suitable(const Run *run, GError **error)
{
    static const char *const needed[] = { "docker", "systemd", "curl" };

    for (gsize n = 0; n < G_N_ELEMENTS(needed); n++)
        if (!has(run, needed[n]))
            return fail(error, SSH, "instance \"%s\" has no %s, which the agent needs", run->i->id,
                        needed[n]);
    return TRUE;
}

/* Adds a file to what is sent, unless the probe has seen it there already. */
static void add_file(const Run *run, GString *files, const char *path, const char *mode,
                     const char *text)
{
    char sha256[CRYPTO_SHA256_HEX_SIZE];

    crypto_sha256_hex(text, strlen(text), sha256);
    if (g_strcmp0(g_hash_table_lookup(run->facts, path), sha256) == 0)
        return;
    g_string_append_printf(files, "%s\n%s\n%s\n%zu\n%s", path, mode, sha256, strlen(text), text);
}

/* Places files; fd is what follows them, or -1. Takes files, which may hold secrets. */
static gboolean place(Run *run, GString *files, int fd, GError **error)
{
    g_auto(SshResult) result = { 0 };
    gboolean done = files->len == 0;

    if (!done) {
        run->fresh = TRUE;
        done = ssh_script_file(run->ssh, script_place, files->str, files->len, fd, UPLOAD_MS,
                               &result, error) &&
               script_ok(run, "place files", &result, error);
    }
    explicit_bzero(files->str, files->allocated_len);
    g_string_free(files, TRUE);
    return done;
}

static gboolean file_digest(int fd, char sha256[CRYPTO_SHA256_HEX_SIZE])
{
    g_autofree char *block = g_malloc(1 << 16);
    CryptoDigest *digest = crypto_digest_new();
    ssize_t got;

    while ((got = read(fd, block, 1 << 16)) > 0)
        crypto_digest_add(digest, block, (gsize)got);
    crypto_digest_end(digest, sha256);
    return got == 0 && lseek(fd, 0, SEEK_SET) == 0;
}

/* The archive wanted, out of the control plane's store; the one installed when none is wanted. */
static int open_archive(const Run *run, char **ret_file, GError **error)
{
    const Config *config = run->world->config;
    const char *wanted = run->b->agent_image_sha256;
    g_autofree char *name = g_strdup_printf("%s.tar", wanted ? wanted : "");

    *ret_file = wanted ? g_build_filename(config->state_dir, "agents", name, NULL)
                       : g_strconcat(config->root, AGENT_SOURCE, NULL);
    int fd = open(*ret_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && !wanted)
        fd = open(AGENT_SOURCE, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail(error, CONFIG, "cannot read the agent's image \"%s\": %s", *ret_file,
             g_strerror(errno));
    return fd;
}

static gboolean place_archive(Run *run, GError **error)
{
    const char *wanted = run->b->agent_image_sha256;
    char sha256[CRYPTO_SHA256_HEX_SIZE];
    g_autofree char *file = NULL;
    int fd = open_archive(run, &file, error);

    if (fd < 0)
        return FALSE;
    GString *files = g_string_new(NULL);
    off_t length = lseek(fd, 0, SEEK_END);
    gboolean read = length > 0 && lseek(fd, 0, SEEK_SET) == 0 && file_digest(fd, sha256) &&
                    (!wanted || strcmp(wanted, sha256) == 0);
    g_string_append_printf(files, AGENT_SOURCE "\n0644\n%s\n%lld\n", sha256, (long long)length);
    gboolean placed = read ? place(run, files, fd, error)
                           : fail(error, CONFIG, "the agent's image \"%s\" is damaged", file);
    if (!read)
        g_string_free(files, TRUE);
    close(fd);
    return placed;
}

/* What was uploaded last, loaded or about to be, is what the agent runs. */
static gboolean has_archive(const Run *run)
{
    const char *wanted = run->b->agent_image_sha256;
    static const char *const newest_first[] = { AGENT_SOURCE, AGENT_LOADING, AGENT_LOADED };
    const char *newest = NULL;

    if (!wanted)
        return has(run, "image");
    for (gsize n = 0; n < G_N_ELEMENTS(newest_first) && !newest; n++)
        newest = g_hash_table_lookup(run->facts, newest_first[n]);
    return g_strcmp0(newest, wanted) == 0;
}

static gboolean record_archive(const Run *run, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(run->world->region, DB_MODE_READ, error);

    return tx && bootstraps_record_image(tx, run->i->id, run->b->agent_image_sha256, error);
}

static gboolean add_authority(Run *run, GString *files, GError **error)
{
    const Config *config = run->world->config;
    g_autofree char *file = g_build_filename(config->state_dir, "tls", "ca.crt", NULL);
    g_autofree char *docker = registry_path(config, run->advertise);
    g_autofree char *text = NULL;
    g_autoptr(GError) cause = NULL;

    if (!g_file_get_contents(file, &text, NULL, &cause))
        return fail(error, CONFIG, "cannot read the authority's certificate: %s", cause->message);
    add_file(run, files, AUTHORITY, "0644", text);
    add_file(run, files, docker, "0644", text);
    return TRUE;
}

static gboolean install(Run *run, GError **error)
{
    GString *files = g_string_new(NULL);

    if (!suitable(run, error) || !add_authority(run, files, error)) {
        g_string_free(files, TRUE);
        return FALSE;
    }
    add_file(run, files, AGENT_RUN, "0755", file_agent_run);
    add_file(run, files, AGENT_CONTAINER, "0644", file_agent_container);
    add_file(run, files, AGENT_UNIT, "0644", file_agent_unit);
    if (!place(run, files, -1, error))
        return FALSE;
    FAULT_POINT("bootstrap.files");
    return has_archive(run) || place_archive(run, error);
}

static gboolean credentials_fresh(const Run *run, const char *settings)
{
    char sha256[CRYPTO_SHA256_HEX_SIZE];
    gint64 half_us = BOOTSTRAP_CREDENTIALS_US / 2;

    crypto_sha256_hex(settings, strlen(settings), sha256);
    return run->b->access_key_id && run->b->credentials_until_us - clock_now_us() > half_us &&
           g_strcmp0(g_hash_table_lookup(run->facts, "key"), run->b->access_key_id) == 0 &&
           g_strcmp0(g_hash_table_lookup(run->facts, "settings"), sha256) == 0;
}

static SessionCredentials *make_credentials(const Run *run, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(run->world->identity, DB_MODE_WRITE, error);
    gint64 until_us = clock_now_us() + BOOTSTRAP_CREDENTIALS_US;
    g_autoptr(SessionCredentials) credentials =
        tx ? sessions_make(tx, run->world->master_key, run->i->account_id, SESSION_AGENT_ROLE,
                           run->i->id, run->i->id, until_us, error)
           : NULL;

    if (!credentials || !db_commit(g_steal_pointer(&tx), error))
        return NULL;
    return g_steal_pointer(&credentials);
}

static gboolean record_credentials(const Run *run, const char *access_key_id, gint64 until_us,
                                   GError **error)
{
    g_autoptr(DbTx) tx = db_begin(run->world->region, DB_MODE_READ, error);

    return tx && bootstraps_record_credentials(tx, run->i->id, access_key_id, until_us, error);
}

/* The agent gets its role's from the metadata service by itself: no key lies on the disk. */
static gboolean configure_by_role(Run *run, const char *settings, GError **error)
{
    GString *files = g_string_new(NULL);

    add_file(run, files, AGENT_CONF, "0600", settings);
    return place(run, files, -1, error) && record_credentials(run, NULL, 0, error);
}

/* Credentials that did not arrive are made anew: nobody knows the old ones, which end with the run.
 */
static gboolean configure(Run *run, GError **error)
{
    g_autofree char *settings =
        bootstrap_settings(run->world->config, run->advertise, run->b->cluster_name, run->i->id);

    if (run->i->instance_profile && has(run, "role"))
        return configure_by_role(run, settings, error);
    if (credentials_fresh(run, settings)) {
        run->access_key_id = g_strdup(run->b->access_key_id);
        return TRUE;
    }
    g_autoptr(SessionCredentials) credentials = make_credentials(run, error);
    if (!credentials)
        return FALSE;
    FAULT_POINT("bootstrap.credentials");
    g_autofree char *conf = g_strdup_printf(
        "%sAWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\nAWS_SESSION_TOKEN=%s\n", settings,
        credentials->access_key_id, credentials->secret, credentials->token);
    GString *files = g_string_new(NULL);
    add_file(run, files, AGENT_CONF, "0600", conf);
    explicit_bzero(conf, strlen(conf));
    run->access_key_id = g_strdup(credentials->access_key_id);
    gboolean placed = place(run, files, -1, error);
    return placed &&
           record_credentials(run, credentials->access_key_id, credentials->expires_us, error);
}

static gboolean start(Run *run, GError **error)
{
    const char *verb = run->fresh ? "restart\n" : "start\n";
    g_auto(SshResult) result = { 0 };

    return ssh_script(run->ssh, script_start, verb, strlen(verb), SCRIPT_MS, &result, error) &&
           script_ok(run, "start the agent", &result, error);
}

/* A run that was cut off may have placed what the agent that runs does not know of. */
static gboolean was_cut_off(const Bootstrap *b)
{
    return strcmp(b->stage, "started") != 0 && strcmp(b->stage, "registered") != 0;
}

/* The agent has been told to take up its new credentials: all before them end. */
static gboolean retire_credentials(const Run *run, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(run->world->identity, DB_MODE_WRITE, error);

    return tx &&
           sessions_supersede(tx, run->i->id, run->access_key_id, BOOTSTRAP_CREDENTIALS_US / 2,
                              error) &&
           db_commit(g_steal_pointer(&tx), error);
}

gboolean bootstrap_run(World *world, const Bootstrap *b, const Instance *i, GError **error)
{
    g_auto(Run) run = { .world = world, .b = b, .i = i, .fresh = was_cut_off(b) };

    run.advertise = bootstrap_advertise(world->config, error);
    if (!run.advertise || !connect_to(&run, error) || !reached_stage(&run, "reached", error))
        return FALSE;
    FAULT_POINT("bootstrap.reached");
    if (!probe(&run, error) || !reached_stage(&run, "probed", error))
        return FALSE;
    FAULT_POINT("bootstrap.probed");
    if (!install(&run, error) || !reached_stage(&run, "installed", error))
        return FALSE;
    FAULT_POINT("bootstrap.installed");
    if (!configure(&run, error))
        return FALSE;
    FAULT_POINT("bootstrap.configured");
    if (!start(&run, error) || !record_archive(&run, error) || !retire_credentials(&run, error))
        return FALSE;
    FAULT_POINT("bootstrap.retired");
    if (!reached_end(&run, error))
        return FALSE;
    FAULT_POINT("bootstrap.started");
    return TRUE;
}
