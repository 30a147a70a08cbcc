/* The admin service's external instances: machines with Docker that are nobody's guests, and the
 * agents of all container instances. */
#include "handlers/external_json.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "handlers/ecs_common.h"
#include "handlers/table.h"
#include "store/agent_list.h"
#include "store/agents.h"
#include "store/bootstraps.h"
#include "store/container_instances.h"
#include "store/history.h"
#include "store/hosts.h"
#include "store/sessions.h"

#include <string.h>

#define SSH_PORT      22
#define DOCKER_SOCKET "/run/docker.sock"
#define FOLDER        "/var/lib/berth-agent"
#define SHA256_DIGITS 64

json_t *external_json(const ExternalInstance *x)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s}", "InstanceId", x->id, "Cluster",
                     x->cluster_name, "ZoneName", x->zone_name, "Address", x->address, "Port",
                     (json_int_t)x->port, "User", x->ssh_user, "DockerSocket", x->docker_socket,
                     "Folder", x->folder);
}

static ExternalInstance *external_get(Request *rq, DbTx *tx, GError **error)
{
    const char *id = request_text(rq, "InstanceId");
    GError *cause = NULL;
    ExternalInstance *x = external_instances_find(tx, rq->account_id, id, &cause);

    if (cause)
        g_propagate_error(error, cause);
    else if (!x)
        fail(error, ADMIN_NOT_FOUND,
             "there is no external instance \"%s\"; \"berth agent status\" shows them", id);
    return x;
}

/* The zone asked for, or the first there is. Caller frees. */
static char *choose_zone(Request *rq, GError **error)
{
    const char *named = request_text(rq, "ZoneName");
    GError *cause = NULL;

    if (named) {
        Zone *zone = zones_get(rq->tx, named, FALSE, error);
        if (!zone)
            return NULL;
        zone_free(zone);
        return g_strdup(named);
    }
    char *zone = agents_any_zone(rq->tx, &cause);
    if (cause)
        g_propagate_error(error, cause);
    else if (!zone)
        fail(error, INVALID_PARAMETER,
             "this region has no availability zone; \"berth zone create\" makes one");
    return zone;
}

static json_t *endpoint_json(const Config *config)
{
    return json_sprintf("https://%s:%u", config->advertise, config->listen_port);
}

/* What later stands in somebody's ssh command: never an option, never several words. */
static gboolean check_way(const ExternalInstance *x, GError **error)
{
    const char *const words[] = { x->address, x->ssh_user };

    for (gsize n = 0; n < G_N_ELEMENTS(words); n++)
        for (const char *p = words[n]; *p; p++)
            if (!g_ascii_isalnum(*p) && !strchr(p == words[n] ? "_:" : "._-:%", *p))
                return fail(error, INVALID_PARAMETER, "\"%s\" is no %s", words[n],
                            n == 0 ? "address" : "user");
    if (*x->docker_socket != '/' || *x->folder != '/')
        return fail(error, INVALID_PARAMETER, "DockerSocket and Folder are absolute paths");
    return TRUE;
}

json_t *create_external_instance(Request *rq, GError **error)
{
    const Config *config = rq->context->config;
    const char *socket = request_text(rq, "DockerSocket"), *folder = request_text(rq, "Folder");
    g_autofree char *cluster =
        ecs_ref_cluster(rq->region, rq->account_id, request_text(rq, "Cluster"), error);
    g_autofree char *zone = cluster ? choose_zone(rq, error) : NULL;
    g_autofree char *id = id_ec2(EXTERNAL_INSTANCE_PREFIX);
    ExternalInstance x = {
        .id = id,
        .cluster_name = cluster,
        .zone_name = zone,
        .address = (char *)request_text(rq, "Address"),
        .port = request_int(rq, "Port", SSH_PORT),
        .ssh_user = (char *)request_text(rq, "User"),
        .docker_socket = (char *)(socket ? socket : DOCKER_SOCKET),
        .folder = (char *)(folder ? folder : FOLDER),
    };

    if (!zone || !check_way(&x, error) ||
        !external_instances_add(rq->tx, rq->account_id, &x, error))
        return NULL;
    g_autofree char *what = g_strdup_printf("made as %s@%s for cluster \"%s\" by %s", x.ssh_user,
                                            x.address, cluster, rq->identity->principal_arn);
    if (!history_add(rq->tx, "external-instance", id, what, error))
        return NULL;
    return json_pack("{s:o, s:s, s:o}", "External", external_json(&x), "RegionName", rq->region,
                     "Endpoint", endpoint_json(config));
}

/* Fresh ones; those that were there are void from now on. The agent's channel renews them before
 * their end (server/channel_keys.h). */
json_t *create_external_credentials(Request *rq, GError **error)
{
    const Config *config = rq->context->config;
    g_autoptr(DbTx) region = db_begin(rq->context->region, DB_MODE_READ, error);
    g_autoptr(ExternalInstance) x = region ? external_get(rq, region, error) : NULL;

    if (!x || !sessions_revoke(rq->tx, (const char *[]){ x->id, NULL }, error))
        return NULL;
    g_autoptr(SessionCredentials) made = sessions_make(
        rq->tx, rq->context->master_key, rq->account_id, SESSION_AGENT_ROLE, x->id, x->id,
        rq->now_us + config->external_session_seconds * CLOCK_SECOND_US, error);
    return made ? json_pack("{s:s, s:o, s:s, s:s, s:s, s:I}", "RegionName", rq->region, "Endpoint",
                            endpoint_json(config), "AccessKeyId", made->access_key_id,
                            "SecretAccessKey", made->secret, "SessionToken", made->token,
                            "ExpiresAt", (json_int_t)made->expires_us)
                : NULL;
}

/* Also of one that was removed: nothing of it may stay behind. */
json_t *delete_external_credentials(Request *rq, GError **error)
{
    const char *id = request_text(rq, "InstanceId");

    if (!id_is_ec2(id, EXTERNAL_INSTANCE_PREFIX))
        return fail_null(error, INVALID_PARAMETER, "\"%s\" is no external instance", id);
    return sessions_revoke(rq->tx, (const char *[]){ id, NULL }, error) ? json_object() : NULL;
}

json_t *remove_external_instance(Request *rq, GError **error)
{
    g_autoptr(ExternalInstance) x = external_get(rq, rq->tx, error);
    GError *cause = NULL;

    if (!x)
        return NULL;
    g_autoptr(AgentRow) row = agents_find_by_ec2(rq->tx, rq->account_id, x->id, &cause);
    if (cause) {
        g_propagate_error(error, cause);
        return NULL;
    }
    if (row && row->live_tasks > 0 && !request_bool(rq, "Force", FALSE))
        return fail_null(error, ADMIN_IN_USE,
                         "%" G_GINT64_FORMAT " tasks are there: drain container instance %s"
                         " first, or force it",
                         row->live_tasks, row->container_instance_id);
    if (row && !container_instances_end(rq->tx, row->ci_id, NULL, "UserInitiated",
                                        "Its external instance was removed.", error))
        return NULL;
    g_autofree char *what = g_strdup_printf("removed by %s", rq->identity->principal_arn);
    if (!external_instances_remove(rq->tx, rq->account_id, x->id, error) ||
        !history_add(rq->tx, "external-instance", x->id, what, error))
        return NULL;
    return json_object();
}

/* -- the agents of a cluster */
static json_t *agent_json(const Agent *a)
{
    static const char said[] = "DockerVersion: "; /* before the version, by every agent */
    const char *docker = a->docker_version;

    if (docker && g_str_has_prefix(docker, said))
        docker += strlen(said);
    json_t *item = json_pack("{s:s*, s:s, s:s, s:b, s:s*, s:s*, s:s*, s:s*, s:s*}", "InstanceId",
                             a->instance_id, "ContainerInstanceId", a->container_instance_id,
                             "Status", a->status, "Connected", a->connected, "Version", a->version,
                             "DockerVersion", docker, "WantedImageSha256", a->wanted_sha256,
                             "SeenImageSha256", a->seen_sha256, "Bootstrap", a->bootstrap);

    if (a->connected_us)
        json_object_set_new(item, "ConnectedAt", json_integer(a->connected_us));
    if (a->external)
        json_object_set_new(item, "External", external_json(a->external));
    return item;
}

json_t *describe_agents(Request *rq, GError **error)
{
    g_autofree char *name =
        ecs_ref_cluster(rq->region, rq->account_id, request_text(rq, "Cluster"), error);
    g_autoptr(Cluster) cluster =
        name ? clusters_get(rq->tx, rq->account_id, name, CLUSTER_READ, error) : NULL;
    g_autoptr(GPtrArray) list = cluster ? agents_of_cluster(rq->tx, cluster->id, error) : NULL;

    if (!list)
        return NULL;
    json_t *items = json_array();
    for (guint n = 0; n < list->len; n++)
        json_array_append_new(items, agent_json(list->pdata[n]));
    return json_pack("{s:o}", "Agents", items);
}

json_t *upgrade_agent(Request *rq, GError **error)
{
    const char *id = request_text(rq, "InstanceId"), *sha256 = request_text(rq, "ImageSha256");
    gboolean found = FALSE;

    if (!id_is_hex(sha256, SHA256_DIGITS))
        return fail_null(error, INVALID_PARAMETER,
                         "ImageSha256 is %d lower-case hexadecimal digits", SHA256_DIGITS);
    if (!bootstraps_want_image(rq->tx, rq->account_id, id, sha256, &found, error))
        return NULL;
    if (!found)
        return fail_null(error, ADMIN_NOT_FOUND,
                         "instance \"%s\" was not made a container instance by Berth", id);
    g_autofree char *what =
        g_strdup_printf("agent %.12s asked for by %s", sha256, rq->identity->principal_arn);
    return history_add(rq->tx, "bootstrap", id, what, error) ? json_object() : NULL;
}
