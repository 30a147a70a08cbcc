#include "server/channel_admit.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "base/log.h"
#include "model/ecs_arn.h"
#include "model/policy.h"
#include "server/auth.h"
#include "store/channels.h"
#include "store/sessions.h"
#include "wire/form.h"

#include <string.h>

typedef struct {
    const ChannelWorld *world;
    ChannelKind kind;
    const Upgrade *upgrade;
    const char *over_session;
    Form *query;
    KeyEntry *caller;
    ChannelRow *row;
    ChannelAdmission *out;
} Admitting;

static void admitting_clear(Admitting *a)
{
    form_free(a->query);
    key_entry_unref(a->caller);
    channel_row_free(a->row);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Admitting, admitting_clear)

void channel_admission_clear(ChannelAdmission *admission)
{
    g_free(admission->message);
    g_free(admission->held_session);
    g_free(admission->session);
    g_free(admission->account_id);
    g_free(admission->cluster_name);
    g_free(admission->container_instance_id);
    g_free(admission->cluster_arn);
    g_free(admission->container_instance_arn);
}

static gboolean prove(Admitting *a, GError **error)
{
    SigV4Request request = { .method = "GET",
                             .path = a->upgrade->path,
                             .query = a->upgrade->query,
                             .headers = a->upgrade->headers,
                             .header_count = a->upgrade->header_count,
                             .body = "",
                             .secure = TRUE };
    g_auto(SigV4Claim) claim = { 0 };

    if (!sigv4_parse(&request, &claim, error))
        return FALSE;
    if (strcmp(claim.service, "ecs") != 0 || strcmp(claim.region, a->world->config->region) != 0)
        return fail(error, AUTH_SIGNATURE, "signed for \"%s\" in \"%s\", not for \"ecs\" in \"%s\"",
                    claim.service, claim.region, a->world->config->region);
    a->caller = auth_prove(a->world->keys, &request, &claim, clock_now_us(), error);
    return a->caller != NULL;
}

static gboolean allow(Admitting *a, GError **error)
{
    const Identity *who = &a->caller->identity;
    PolicyPrincipal principal = {
        .session = who->session,
        .admin = who->is_admin,
        .principal_arn = who->principal_arn,
    };

    return policy_allow(&principal, "ecs",
                        a->kind == CHANNEL_ACS ? "Poll" : "StartTelemetrySession", "*", error);
}

/* ACS and TCS call the same two parameters differently. */
static const char *parameter(const Admitting *a, const char *acs, const char *tcs)
{
    return form_get(a->query, a->kind == CHANNEL_ACS ? acs : tcs);
}

static gboolean find_row(Admitting *a, DbTx *tx, GError **error)
{
    const Identity *who = &a->caller->identity;
    const char *arn = parameter(a, "containerInstanceArn", "containerInstance");
    const char *slash = arn ? strrchr(arn, '/') : NULL;
    const char *cluster = parameter(a, "clusterArn", "cluster");
    GError *cause = NULL;

    a->row = arn ? channels_find(tx, who->account_id, slash ? slash + 1 : arn, &cause) : NULL;
    if (cause) {
        g_propagate_error(error, cause);
        return FALSE;
    }
    if (!a->row)
        return fail(error, INVALID_INSTANCE, "container instance \"%s\" does not exist",
                    arn ? arn : "");
    if (who->kind == PRINCIPAL_SESSION && g_strcmp0(who->subject, a->row->ec2_instance_id) != 0)
        return fail(error, ACCESS_DENIED, "%s may not connect as container instance \"%s\"",
                    who->principal_arn, arn);
    if (!a->row->active)
        return fail(error, INACTIVE_INSTANCE, "container instance \"%s\" is deregistered", arn);
    g_autofree char *name = ecs_ref_cluster(a->world->config->region, who->account_id,
                                            cluster && *cluster ? cluster : NULL, NULL);
    if (g_strcmp0(name, a->row->cluster_name) != 0)
        return fail(error, INVALID_CLUSTER, "container instance \"%s\" is not in cluster \"%s\"",
                    arn, cluster ? cluster : "default");
    return TRUE;
}

static void fill_admitted(Admitting *a)
{
    const char *region = a->world->config->region;
    const ChannelRow *row = a->row;

    a->out->admitted = TRUE;
    a->out->ci_id = row->ci_id;
    a->out->send_credentials =
        a->kind == CHANNEL_ACS && g_strcmp0(form_get(a->query, "sendCredentials"), "true") == 0;
    a->out->account_id = g_strdup(row->account_id);
    a->out->cluster_name = g_strdup(row->cluster_name);
    a->out->container_instance_id = g_strdup(row->container_instance_id);
    a->out->cluster_arn = ecs_arn_cluster(region, row->account_id, row->cluster_name);
    a->out->container_instance_arn =
        ecs_arn_in_cluster(region, row->account_id, "container-instance", row->cluster_name,
                           row->container_instance_id);
}

/* "DockerVersion: 20.10.24" as ACS has it. */
static const char *docker_version(const Admitting *a)
{
    const char *text = form_get(a->query, "dockerVersion");

    return text && *text ? text : NULL;
}

/* Takes the channel, or says by whom it is held. */
static gboolean claim(Admitting *a, DbTx *tx, GError **error)
{
    ChannelAgent agent = { .version = form_get(a->query, "agentVersion"),
                           .hash = form_get(a->query, "agentHash"),
                           .docker_version = docker_version(a) };
    gboolean taken = FALSE;

    a->out->session = id_uuid();
    if (!channels_claim(tx, a->row, a->world->daemon_id, a->out->session, a->over_session, &agent,
                        &taken, error))
        return FALSE;
    if (taken)
        return TRUE;
    a->out->ci_id = a->row->ci_id;
    a->out->held_here = g_strcmp0(a->row->owner, a->world->daemon_id) == 0;
    a->out->held_session = g_strdup(a->row->session);
    return fail(error, INVALID_INSTANCE,
                "container instance \"%s\" has a channel already: a second session was refused",
                a->row->container_instance_id);
}

static gboolean admit(Admitting *a, GError **error)
{
    if (!prove(a, error) || !allow(a, error))
        return FALSE;
    a->query = form_parse(a->upgrade->query, strlen(a->upgrade->query), error);
    if (!a->query)
        return FALSE;
    g_autoptr(DbTx) tx = db_begin(a->world->region, DB_MODE_READ, error);
    if (!tx || !find_row(a, tx, error))
        return FALSE;
    if (a->kind == CHANNEL_ACS && !claim(a, tx, error))
        return FALSE;
    fill_admitted(a);
    return TRUE;
}

/* Names that agents act on; anything else makes them try again later. */
static void fill_refused(ChannelAdmission *out, const GError *cause)
{
    ErrorCode code = error_code(cause);
    gboolean ours = error_http_status(code, ERROR_DIALECT_JSON) < 500;

    out->admitted = FALSE;
    out->status = ours ? 400 : 503;
    out->code = !ours                             ? "ServerException"
                : code == ERROR_INACTIVE_INSTANCE ? "InactiveInstanceException"
                : code == ERROR_INVALID_INSTANCE  ? "InvalidInstanceException"
                : code == ERROR_INVALID_CLUSTER   ? "InvalidClusterException"
                : code == ERROR_MALFORMED_REQUEST ? "BadRequestException"
                                                  : "AccessDeniedException";
    out->message = g_strdup(ours ? cause->message : "try again");
}

void channel_admit(const ChannelWorld *world, ChannelKind kind, const Upgrade *upgrade,
                   const char *over_session, ChannelAdmission *ret)
{
    g_auto(Admitting) a = {
        .world = world, .kind = kind, .upgrade = upgrade, .over_session = over_session, .out = ret
    };
    g_autoptr(GError) error = NULL;

    *ret = (ChannelAdmission){ 0 };
    if (admit(&a, &error))
        return;
    fill_refused(ret, error);
    if (ret->status >= 500)
        log_line(LOG_ERROR, "channel", "cannot admit an agent: %s", error->message);
}
