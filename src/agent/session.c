#include "agent/session.h"
#include "agent/acs.h"
#include "agent/events.h"
#include "agent/facts.h"
#include "agent/orphans.h"
#include "agent/tcs.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/tree.h"

#include <malloc.h>
#include <string.h>

#define DIALS_MAX       2
#define RETRY_FIRST_MS  500
#define RETRY_MAX_MS    30000
#define REDISCOVER_MS   (12 * 3600 * 1000)
#define DEFAULT_CLUSTER "default"

struct AgentSession {
    AgentEngine *engine;
    Pool *dials;
    char *docker_version; /* NULL before Docker was reached */
    gboolean anew;        /* the ARN in the state is not known any more: register without it */
    guint failures;
    LoopTimer retry; /* of the step below that failed last */
    AgentAcs *acs;
    AgentTcs *tcs;
    int exit_code;
};

static void register_instance(gpointer user);
static void discover(gpointer user);

static const char *cluster_of(const AgentSession *session)
{
    const char *configured = session->engine->config->cluster;

    return *configured ? configured : DEFAULT_CLUSTER;
}

/* Has call run again after a wait that doubles. */
static void try_again(AgentSession *session, LoopCall call, const char *what,
                      const AgentAnswer *answer)
{
    gint64 delay_ms = MIN(RETRY_MAX_MS, (gint64)RETRY_FIRST_MS << MIN(session->failures, 10));

    log_warn("-", "cannot %s, trying again in %" G_GINT64_FORMAT " ms: %s%s%s", what, delay_ms,
             answer->code ? answer->code : "", answer->code ? ": " : "", answer->message);
    session->failures++;
    session->retry.call = call;
    loop_timer_set(session->engine->loop, &session->retry, clock_mono_ms() + delay_ms);
}

static void give_up(AgentSession *session, int exit_code, const char *why)
{
    log_error("-", "%s", why);
    session->exit_code = exit_code;
    loop_quit(session->engine->loop);
}

static void on_heartbeat(gpointer user)
{
    agent_tcs_beat(((AgentSession *)user)->tcs);
}

static void on_discovered(gpointer user, const AgentAnswer *answer)
{
    AgentSession *session = user;
    const char *acs = tree_text(answer->tree, "endpoint");
    const char *tcs = tree_text(answer->tree, "telemetryEndpoint");

    if (!answer->tree || !acs) {
        try_again(session, discover, "find the endpoints", answer);
        return;
    }
    session->failures = 0;
    session->retry.call = discover;
    loop_timer_set(session->engine->loop, &session->retry, clock_mono_ms() + REDISCOVER_MS);
    if (session->acs) {
        agent_acs_set_endpoint(session->acs, acs);
        if (tcs)
            agent_tcs_set_endpoint(session->tcs, tcs);
        return;
    }
    if (!tcs)
        log_warn("-", "there is no telemetry endpoint");
    session->tcs = agent_tcs_start(session->engine, session->dials, tcs, session->docker_version);
    const AgentAcsEvents events = { on_heartbeat, discover, register_instance, session };
    session->acs =
        agent_acs_start(session->engine, session->dials, acs, session->docker_version, &events);
}

static void discover(gpointer user)
{
    AgentSession *session = user;
    const AgentState *state = session->engine->state;

    agent_api_call(
        session->engine->api, "DiscoverPollEndpoint",
        json_pack("{s:s, s:s}", "containerInstance", state->arn, "cluster", state->cluster),
        on_discovered, session);
}

static void on_cluster_made(gpointer user, const AgentAnswer *answer)
{
    AgentSession *session = user;

    if (answer->tree)
        register_instance(session);
    else
        try_again(session, register_instance, "create the cluster \"default\"", answer);
}

/* The control plane has forgotten the instance whose ARN was kept (an earlier state of its
 * database came back, or another one): its tasks cannot be reported any more and are ended, then
 * this machine registers as a new one. Until then the old ARN is kept: a crash leads here again. */
static void forgotten(AgentSession *session, const char *why)
{
    log_warn("-", "registers anew, the tasks of %s end: %s", session->engine->state->arn, why);
    if (!agent_engine_end_all(session->engine, "The container instance is not known any more")) {
        give_up(session, AGENT_EXIT_ERROR, "the end of all tasks cannot be saved");
        return;
    }
    FAULT_POINT("agent.forgotten");
    session->anew = TRUE;
    register_instance(session);
}

/* A cluster that is not there has an error of its own. */
static gboolean is_forgotten(const AgentSession *session, const AgentAnswer *answer)
{
    gboolean refused = g_strcmp0(answer->code, "ClientException") == 0 ||
                       g_strcmp0(answer->code, "InvalidParameterException") == 0;

    return session->engine->state->arn && !session->anew && refused &&
           (strstr(answer->message, "does not exist") || strstr(answer->message, "not found"));
}

/* Registration failed: make the default cluster, register anew, end, or try again. */
static void not_registered(AgentSession *session, const AgentAnswer *answer)
{
    AgentEngine *engine = session->engine;
    gboolean no_cluster = (answer->message && strstr(answer->message, "Cluster not found")) ||
                          g_strcmp0(answer->code, "ClusterNotFoundException") == 0;

    if (no_cluster && !*engine->config->cluster)
        agent_api_call(engine->api, "CreateCluster",
                       json_pack("{s:s}", "clusterName", DEFAULT_CLUSTER), on_cluster_made,
                       session);
    else if (!no_cluster && is_forgotten(session, answer))
        forgotten(session, answer->message);
    else if (answer->message && strstr(answer->message, "instance type changes are not supported"))
        give_up(session, AGENT_EXIT_TERMINAL, answer->message);
    else
        try_again(session, register_instance, "register", answer);
}

static void on_registered(gpointer user, const AgentAnswer *answer)
{
    AgentSession *session = user;
    AgentState *state = session->engine->state;
    const char *arn =
        tree_text(json_object_get(answer->tree, "containerInstance"), "containerInstanceArn");
    g_autoptr(GError) cause = NULL;

    if (!answer->tree || !arn) {
        const AgentAnswer nothing = { NULL, answer->code,
                                      answer->message ? answer->message : "no ARN in the answer" };
        not_registered(session, &nothing);
        return;
    }
    FAULT_POINT("agent.registered");
    char *name = g_strdup(cluster_of(session)), *copy = g_strdup(arn);
    g_free(state->cluster);
    g_free(state->arn);
    state->cluster = name;
    state->arn = copy;
    if (session->anew)
        state->timeline = 0;
    session->anew = FALSE;
    if (!agent_state_save(state, &cause)) {
        give_up(session, AGENT_EXIT_ERROR, cause->message);
        return;
    }
    log_info("-", "registered as %s in cluster \"%s\"", state->arn, state->cluster);
    session->failures = 0;
    agent_engine_report(session->engine);
    discover(session);
    malloc_trim(0);
}

static void register_instance(gpointer user)
{
    AgentSession *session = user;
    AgentEngine *engine = session->engine;
    AgentState known = *engine->state;

    if (session->anew)
        known.arn = NULL;
    agent_api_call(engine->api, "RegisterContainerInstance",
                   agent_facts_registration(engine->config, &known, cluster_of(session),
                                            session->docker_version),
                   on_registered, session);
}

static void on_docker(gpointer user, const char *version)
{
    AgentSession *session = user;

    if (session->docker_version)
        return;
    session->docker_version = g_strdup(version);
    log_info("-", "docker %s", version);
    agent_orphans_find(session->engine, register_instance, session);
}

AgentSession *agent_session_start(AgentEngine *engine)
{
    AgentSession *session = g_new0(AgentSession, 1);

    session->engine = engine;
    session->dials = pool_new(engine->loop, DIALS_MAX);
    loop_timer_init(&session->retry, register_instance, session);
    agent_events_start(engine, on_docker, session);
    return session;
}

int agent_session_exit_code(const AgentSession *session)
{
    return session->exit_code;
}
