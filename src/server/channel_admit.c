#include "server/channel_admit.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "base/log.h"
#include "model/ecs_arn.h"
#include "model/policy.h"
#include "server/auth.h"
#include "store/channels.h"
#include "store/external_instances.h"
#include "store/sessions.h"
#include "store/task_credentials.h"
#include "wire/form.h"

#include <string.h>

typedef struct {
    const ChannelWorld *world;
    const ChannelAsk *ask;
    Form *query;
    KeyEntry *caller;
    const char *arn; /* of the container instance, as the agent gave it */
    ChannelRow *row;
    ChannelAdmission *out;
    GError *error; /* refused */
} Admitting;

static void admitting_clear(gpointer data)
{
    Admitting *a = data;

    form_free(a->query);
    key_entry_unref(a->caller);
    channel_row_free(a->row);
    g_clear_error(&a->error);
}

void channel_admission_clear(ChannelAdmission *admission)
{
    g_free(admission->message);
    g_free(admission->held_session);
    g_free(admission->external);
    g_free(admission->access_key_id);
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
                             .path = a->ask->upgrade->path,
                             .query = a->ask->upgrade->query,
                             .headers = a->ask->upgrade->headers,
                             .header_count = a->ask->upgrade->header_count,
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
                        a->ask->kind == CHANNEL_ACS ? "Poll" : "StartTelemetrySession", "*", error);
}

/* ACS and TCS call the same two parameters differently. */
static const char *parameter(const Admitting *a, const char *acs, const char *tcs)
{
    return form_get(a->query, a->ask->kind == CHANNEL_ACS ? acs : tcs);
}

static gboolean know(Admitting *a, GError **error)
{
    const char *query = a->ask->upgrade->query;

    if (!prove(a, error) || !allow(a, error))
        return FALSE;
    a->query = form_parse(query, strlen(query), error);
    if (!a->query)
        return FALSE;
    a->arn = parameter(a, "containerInstanceArn", "containerInstance");
    return TRUE;
}

/* Whether the row may be this caller's. */
static gboolean check_row(Admitting *a, GError **error)
{
    const Identity *who = &a->caller->identity;
    const char *cluster = parameter(a, "clusterArn", "cluster");

    if (!a->row)
        return fail(error, INVALID_INSTANCE, "container instance \"%s\" does not exist",
                    a->arn ? a->arn : "");
    if (who->kind == PRINCIPAL_SESSION && g_strcmp0(who->subject, a->row->ec2_instance_id) != 0)
        return fail(error, ACCESS_DENIED, "%s may not connect as container instance \"%s\"",
                    who->principal_arn, a->arn);
    if (!a->row->active)
        return fail(error, INACTIVE_INSTANCE, "container instance \"%s\" is deregistered", a->arn);
    g_autofree char *name = ecs_ref_cluster(a->world->config->region, who->account_id,
                                            cluster && *cluster ? cluster : NULL, NULL);
    if (g_strcmp0(name, a->row->cluster_name) != 0)
        return fail(error, INVALID_CLUSTER, "container instance \"%s\" is not in cluster \"%s\"",
                    a->arn, cluster ? cluster : "default");
    return TRUE;
}

static void fill_keys(Admitting *a)
{
    const Identity *who = &a->caller->identity;

    if (a->ask->kind != CHANNEL_ACS || who->session != SESSION_INSTANCE ||
        !id_is_ec2(who->subject, EXTERNAL_INSTANCE_PREFIX))
        return;
    a->out->external = g_strdup(who->subject);
    a->out->access_key_id = g_strdup(who->access_key_id);
    a->out->expires_us = a->caller->expires_us;
}

static void fill_admitted(Admitting *a)
{
    const char *region = a->world->config->region;
    const ChannelRow *row = a->row;

    a->out->admitted = TRUE;
    fill_keys(a);
    a->out->ci_id = row->ci_id;
    a->out->account_id = g_strdup(row->account_id);
    a->out->cluster_name = g_strdup(row->cluster_name);
    a->out->container_instance_id = g_strdup(row->container_instance_id);
    a->out->cluster_arn = ecs_arn_cluster(region, row->account_id, row->cluster_name);
    a->out->container_instance_arn =
        ecs_arn_in_cluster(region, row->account_id, "container-instance", row->cluster_name,
                           row->container_instance_id);
}

/* -- all at once */

static GArray *begin_all(const ChannelWorld *world, ChannelAsk *const *asks, guint count)
{
    GArray *all = g_array_sized_new(FALSE, TRUE, sizeof(Admitting), count);

    g_array_set_clear_func(all, admitting_clear);
    for (guint i = 0; i < count; i++) {
        Admitting a = { .world = world, .ask = asks[i], .out = &asks[i]->admission };
        *a.out = (ChannelAdmission){ 0 };
        know(&a, &a.error);
        g_array_append_val(all, a);
    }
    return all;
}

/* Those that are not refused so far. */
static GPtrArray *remaining(GArray *all, gboolean acs_only)
{
    GPtrArray *some = g_ptr_array_sized_new(all->len);

    for (guint i = 0; i < all->len; i++) {
        Admitting *a = &g_array_index(all, Admitting, i);
        if (!a->error && (!acs_only || a->ask->kind == CHANNEL_ACS))
            g_ptr_array_add(some, a);
    }
    return some;
}

static gboolean find_all(GArray *all, DbTx *tx, GError **error)
{
    g_autoptr(GPtrArray) some = remaining(all, FALSE);
    g_autofree ChannelLookup *lookups = g_new0(ChannelLookup, some->len);

    for (guint i = 0; i < some->len; i++) {
        const Admitting *a = some->pdata[i];
        const char *slash = a->arn ? strrchr(a->arn, '/') : NULL;
        lookups[i].account_id = a->caller->identity.account_id;
        lookups[i].container_instance_id = slash ? slash + 1 : a->arn ? a->arn : "";
    }
    if (some->len && !channels_find(tx, lookups, some->len, error))
        return FALSE;
    for (guint i = 0; i < some->len; i++) {
        Admitting *a = some->pdata[i];
        a->row = lookups[i].row;
        check_row(a, &a->error);
    }
    return TRUE;
}

/* "DockerVersion: 20.10.24" as ACS has it. */
static const char *docker_version(const Admitting *a)
{
    const char *text = form_get(a->query, "dockerVersion");

    return text && *text ? text : NULL;
}

/* Takes note of the channel that was taken, or says by whom it is held. */
static void settle_claim(Admitting *a, const ChannelClaim *claim)
{
    gboolean asked = g_strcmp0(form_get(a->query, "sendCredentials"), "true") == 0;

    a->out->work = claim->work;
    a->out->credentials = claim->credentials;
    a->out->send_credentials = asked && claim->credentials;
    if (claim->taken)
        return;
    a->out->ci_id = a->row->ci_id;
    a->out->held_here = g_strcmp0(a->row->owner, a->world->daemon_id) == 0;
    a->out->held_session = g_strdup(a->row->session);
    fail(&a->error, INVALID_INSTANCE,
         "container instance \"%s\" has a channel already: a second session was refused",
         a->row->container_instance_id);
}

/* An agent that has lost its memory says so in one session only: the rows remember it. */
static gboolean note_forgotten(const GPtrArray *some, DbTx *tx, GError **error)
{
    for (guint i = 0; i < some->len; i++) {
        const Admitting *a = some->pdata[i];
        if (a->out->send_credentials && !task_credentials_forgotten(tx, a->row->ci_id, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean claim_all(const ChannelWorld *world, GArray *all, DbTx *tx, GError **error)
{
    g_autoptr(GPtrArray) some = remaining(all, TRUE);
    g_autofree ChannelClaim *claims = g_new0(ChannelClaim, some->len);

    for (guint i = 0; i < some->len; i++) {
        const Admitting *a = some->pdata[i];
        a->out->session = id_uuid();
        claims[i] = (ChannelClaim){ .ci_id = a->row->ci_id,
                                    .session = a->out->session,
                                    .over_session = a->ask->over_session,
                                    .agent = { .version = form_get(a->query, "agentVersion"),
                                               .hash = form_get(a->query, "agentHash"),
                                               .docker_version = docker_version(a) } };
    }
    if (some->len && !channels_claim(tx, world->daemon_id, claims, some->len, error))
        return FALSE;
    for (guint i = 0; i < some->len; i++)
        settle_claim(some->pdata[i], &claims[i]);
    return note_forgotten(some, tx, error);
}

static gboolean admit_all(const ChannelWorld *world, GArray *all, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);

    return tx && find_all(all, tx, error) && claim_all(world, all, tx, error);
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

void channel_admit(const ChannelWorld *world, ChannelAsk *const *asks, guint count)
{
    g_autoptr(GArray) all = begin_all(world, asks, count);
    g_autoptr(GError) broke = NULL;

    if (!admit_all(world, all, &broke))
        log_line(LOG_ERROR, "channel", "cannot admit agents: %s", broke->message);
    for (guint i = 0; i < all->len; i++) {
        Admitting *a = &g_array_index(all, Admitting, i);
        if (a->error || broke)
            fill_refused(a->out, a->error ? a->error : broke);
        else
            fill_admitted(a);
        if (a->error && a->out->status >= 500)
            log_line(LOG_ERROR, "channel", "cannot admit an agent: %s", a->error->message);
    }
}
