#include "server/daemon.h"
#include "base/errors.h"
#include "base/id.h"
#include "base/log.h"
#include "reconcile/loop.h"
#include "server/api.h"
#include "server/beat.h"
#include "server/channels.h"
#include "server/http.h"
#include "server/metadata.h"
#include "server/setup.h"
#include "store/daemons.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define IDENTITY_SESSIONS 4
#define SPARE_SESSIONS    5 /* of the channels' workers, and the beat */

typedef struct {
    const Config *config;
    DaemonRole role;
    char *id;
    char *pid_file; /* set once it has been written */
    guint8 master_key[CRYPTO_KEY_SIZE];
    DbPool *identity; /* as berth_api, or as berth_reconcile in a daemon that only reconciles */
    DbPool *region;
    Api api;
    Beat *beat;
    HttpServer *http;
    ChannelWorld channel_world;
    Channels *channels;
    MetadataServer *metadata;
    Reconciler *reconciler;
} Daemon;

/* In the reverse order of starting: what takes work first. */
static void daemon_clear(Daemon *daemon)
{
    http_stop(daemon->http);
    metadata_stop(daemon->metadata);
    channels_stop(daemon->channels);
    reconcile_stop(daemon->reconciler);
    beat_stop(daemon->beat);
    keycache_free(daemon->api.keys);
    db_pool_free(daemon->region);
    db_pool_free(daemon->identity);
    if (daemon->pid_file)
        unlink(daemon->pid_file);
    g_free(daemon->pid_file);
    g_free(daemon->id);
    explicit_bzero(daemon->master_key, CRYPTO_KEY_SIZE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Daemon, daemon_clear)

static const char *role_name(DaemonRole role)
{
    return role == DAEMON_ALL ? "all" : role == DAEMON_API ? "api" : "reconcile";
}

static gboolean open_stores(Daemon *daemon, GError **error)
{
    const Config *config = daemon->config;
    const char *user = daemon->role & DAEMON_API ? "berth_api" : "berth_reconcile";
    g_autofree char *key_file = g_build_filename(config->state_dir, "master.key", NULL);

    if (!setup_check(config, error) || !crypto_load_key(key_file, TRUE, daemon->master_key, error))
        return FALSE;
    daemon->identity = db_pool_new(config->identity_dsn, user, IDENTITY_SESSIONS);
    daemon->region =
        db_pool_new(config->region_dsn, user, config->database_connections + SPARE_SESSIONS);
    daemon->beat =
        beat_start(daemon->identity, daemon->region, daemon->id, role_name(daemon->role), error);
    return daemon->beat != NULL;
}

static gboolean start_api(Daemon *daemon, GError **error)
{
    const Config *config = daemon->config;
    g_autofree char *cert = g_build_filename(config->state_dir, "tls", "server.crt", NULL);
    g_autofree char *key = g_build_filename(config->state_dir, "tls", "server.key", NULL);

    daemon->api.context = (HandlerContext){ .config = config,
                                            .identity = daemon->identity,
                                            .region = daemon->region };
    memcpy(daemon->api.context.master_key, daemon->master_key, CRYPTO_KEY_SIZE);
    daemon->api.keys = keycache_new(daemon->identity, daemon->master_key);
    daemon->channel_world = (ChannelWorld){ .config = config,
                                            .region = daemon->region,
                                            .identity = daemon->identity,
                                            .keys = daemon->api.keys,
                                            .daemon_id = daemon->id,
                                            .master_key = daemon->master_key };
    daemon->channels = channels_start(&daemon->channel_world, error);
    if (!daemon->channels)
        return FALSE;
    daemon->http = http_start(config, cert, key, &daemon->api, error);
    if (!daemon->http || !config->metadata_port)
        return daemon->http != NULL;
    daemon->metadata = metadata_start(&daemon->api.context, error);
    return daemon->metadata != NULL;
}

/* The daemon that ran here before, if it was killed, cannot have given up its channels. Its id lies
 * beside the pid file; we hold its ports, so it is gone. */
static gboolean bury_predecessor(Daemon *daemon, GError **error)
{
    g_autofree char *file = g_build_filename(daemon->config->run_dir, "berthd.id", NULL);
    g_autofree char *former = NULL;
    g_autoptr(GError) cause = NULL;

    if (g_file_get_contents(file, &former, NULL, NULL)) {
        g_autoptr(DbTx) tx = db_begin(daemon->region, DB_MODE_WRITE, error);
        if (!tx || !daemons_remove(tx, former, error) || !db_commit(g_steal_pointer(&tx), error))
            return FALSE;
    }
    if (!g_file_set_contents(file, daemon->id, -1, &cause))
        return fail(error, CONFIG, "cannot write \"%s\": %s", file, cause->message);
    return TRUE;
}

static gboolean write_pid_file(Daemon *daemon, GError **error)
{
    g_autofree char *file = g_build_filename(daemon->config->run_dir, "berthd.pid", NULL);
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    g_autoptr(GError) cause = NULL;

    if (!g_file_set_contents(file, text, -1, &cause))
        return fail(error, CONFIG, "cannot write \"%s\": %s", file, cause->message);
    daemon->pid_file = g_steal_pointer(&file);
    return TRUE;
}

static gboolean start_all(Daemon *daemon, GError **error)
{
    if (!open_stores(daemon, error))
        return FALSE;
    if (daemon->role & DAEMON_API &&
        (!start_api(daemon, error) || !bury_predecessor(daemon, error)))
        return FALSE;
    if (daemon->role & DAEMON_RECONCILE) {
        daemon->reconciler = reconcile_start(daemon->config, daemon->master_key, error);
        if (!daemon->reconciler)
            return FALSE;
    }
    return write_pid_file(daemon, error);
}

/* Every agent holds a socket or three. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

gboolean daemon_run(const Config *config, DaemonRole role, GError **error)
{
    g_auto(Daemon) daemon = { .config = config, .role = role, .id = id_uuid() };
    sigset_t ends;
    int got = 0;

    raise_file_limit();
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* threads inherit it: sigwait alone takes them */
    if (!start_all(&daemon, error))
        return FALSE;
    log_line(LOG_INFO, "berthd", "version %s serves region \"%s\" as \"%s\"", BERTH_VERSION,
             config->region, role_name(role));
    printf("berthd ready\n");
    fflush(stdout);
    sigwait(&ends, &got);
    log_line(LOG_INFO, "berthd", "ending on signal %d", got);
    return TRUE;
}
