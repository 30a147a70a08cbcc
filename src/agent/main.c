#include "agent/config.h"
#include "agent/endpoint.h"
#include "agent/engine.h"
#include "agent/image_auth.h"
#include "agent/session.h"
#include "base/errors.h"
#include "base/fault.h"
#include "base/log.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_FILE "/etc/berth/agent.conf"

static const char usage[] =
    "usage: berth-agent [--config FILE] [--healthcheck | --version | --help]\n"
    "\n"
    "Runs the tasks that Berth places on this machine, by Docker.\n"
    "\n"
    "  --config FILE   settings as KEY=VALUE lines (default " DEFAULT_FILE ")\n"
    "  --healthcheck   succeed when an agent with this configuration is at work\n"
    "  --version       print the version\n";

typedef struct {
    const char *file;
    gboolean healthcheck;
} Options;

/* FALSE when the program is done, with ret_code. */
static gboolean read_options(int argc, char **argv, Options *options, int *ret_code)
{
    *ret_code = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            options->file = argv[++i];
        } else if (strcmp(argv[i], "--healthcheck") == 0) {
            options->healthcheck = TRUE;
        } else if (strcmp(argv[i], "--version") == 0) {
            puts("berth-agent " BERTH_VERSION);
            return FALSE;
        } else {
            gboolean asked = strcmp(argv[i], "--help") == 0;
            fputs(usage, asked ? stdout : stderr);
            *ret_code = asked ? 0 : 2;
            return FALSE;
        }
    }
    return TRUE;
}

/* One arena, and big blocks given back: the agent is idle most of its life. */
static void keep_memory_small(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, 64 * 1024);
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);
}

static int run(const AgentConfig *config, const char *file, GError **error)
{
    g_autoptr(Loop) loop = loop_new();
    g_autoptr(AgentState) state = agent_state_open(config->data_dir, config->instance_id, error);
    if (!state)
        return AGENT_EXIT_ERROR;
    if (state->cluster && *config->cluster && strcmp(state->cluster, config->cluster) != 0) {
        fail(error, CONFIG,
             "this machine is registered in cluster \"%s\", not \"%s\"; empty \"%s\" to move it",
             state->cluster, config->cluster, config->data_dir);
        return AGENT_EXIT_TERMINAL;
    }
    g_autoptr(Docker) docker = docker_new(config->docker_socket);
    AgentApi *api = agent_api_new(loop, config, file, error);
    AgentEngine *engine = api ? agent_engine_new(loop, config, state, docker, api, error) : NULL;
    if (!engine)
        return AGENT_EXIT_ERROR;
    agent_endpoint_start(engine);
    AgentSession *session = agent_session_start(engine);
    malloc_trim(0);
    loop_run(loop);
    log_info("-", "ends");
    /* Workers may still be in a call: all that counts is on disk, so the process just ends. */
    fflush(NULL);
    _exit(agent_session_exit_code(session));
}

int main(int argc, char **argv)
{
    Options options = { .file = DEFAULT_FILE };
    g_autoptr(GError) error = NULL;
    LogLevel level = LOG_INFO;
    int code = 0;

    fault_init();
    keep_memory_small();
    if (!read_options(argc, argv, &options, &code))
        return code;
    g_autoptr(AgentConfig) config = agent_config_load(options.file, &error);
    if (config && !agent_image_auth_check(config, &error))
        g_clear_pointer(&config, agent_config_free);
    if (config && log_level_from_name(config->log_level, &level))
        log_set_level(level);
    if (config && options.healthcheck)
        return agent_state_is_used(config->data_dir) ? 0 : 1;
    code = config ? run(config, options.file, &error) : AGENT_EXIT_ERROR;
    if (error)
        log_error("-", "%s", error->message);
    return code;
}
