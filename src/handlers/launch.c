/* RunInstances: admits, gives addresses and writes the rows; reconcile makes the guests. */
#include "handlers/launch.h"
#include "handlers/admission.h"
#include "handlers/ec2_common.h"
#include "handlers/instance_json.h"
#include "handlers/table.h"
#include "base/errors.h"
#include "base/id.h"
#include "store/bootstraps.h"
#include "store/history.h"
#include "store/instances.h"

#include <string.h>

#define UUID_PREFIX "ec2" /* by which guests know where they are (cloud-init's Ec2 datasource) */

/* The texts that differ between the instances of one launch. */
typedef struct {
    guint count;
    char *reservation_id;
    const char **ids;
    const char **host_ids;
    const char **ips;
    const char **macs;
    const char **uuids;
    const char **enis;
    const char **volumes;
    GPtrArray *owned;
} Rows;

static void rows_clear(Rows *rows)
{
    g_free(rows->reservation_id);
    g_free(rows->ids);
    g_free(rows->host_ids);
    g_free(rows->ips);
    g_free(rows->macs);
    g_free(rows->uuids);
    g_free(rows->enis);
    g_free(rows->volumes);
    g_clear_pointer(&rows->owned, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rows, rows_clear)

static const char *own(Rows *rows, char *text)
{
    g_ptr_array_add(rows->owned, text);
    return text;
}

static char *domain_uuid(void)
{
    char *uuid = id_uuid();

    memcpy(uuid, UUID_PREFIX, strlen(UUID_PREFIX));
    return uuid;
}

static void rows_fill(Rows *rows, const Admission *admission, const GPtrArray *ips)
{
    guint count = admission->count;

    rows->count = count;
    rows->owned = g_ptr_array_new_with_free_func(g_free);
    rows->reservation_id = id_ec2("r");
    rows->ids = g_new0(const char *, count + 1);
    rows->host_ids = g_new0(const char *, count + 1);
    rows->ips = g_new0(const char *, count + 1);
    rows->macs = g_new0(const char *, count + 1);
    rows->uuids = g_new0(const char *, count + 1);
    rows->enis = g_new0(const char *, count + 1);
    rows->volumes = g_new0(const char *, count + 1);
    for (guint n = 0; n < count; n++) {
        const Host *host = admission->hosts->pdata[admission->choice[n]];
        rows->ids[n] = own(rows, id_ec2("i"));
        rows->host_ids[n] = own(rows, g_strdup(host->id));
        rows->ips[n] = own(rows, g_strdup(ips->pdata[n]));
        rows->macs[n] = own(rows, default_network_mac(ips->pdata[n]));
        rows->uuids[n] = own(rows, domain_uuid());
        rows->enis[n] = own(rows, id_ec2("eni"));
        rows->volumes[n] = own(rows, id_ec2("vol"));
    }
}

/* Addresses for as many instances as were admitted; fewer, but minimum, when the subnet ends. */
static GPtrArray *addresses(Request *rq, const LaunchPlan *plan, const DefaultSubnet *subnet,
                            Admission *admission, GError **error)
{
    g_autoptr(GPtrArray) ips = instances_free_addresses(rq->tx, subnet->base, subnet->first,
                                                        subnet->last, admission->count, error);

    if (!ips)
        return NULL;
    if (ips->len < plan->minimum)
        return fail_null(error, ADDRESSES_EXHAUSTED,
                         "There are not enough free addresses in subnet '%s' to satisfy the"
                         " requested number of instances.",
                         subnet->id);
    admission->count = ips->len;
    return g_steal_pointer(&ips);
}

static gboolean insert(Request *rq, const LaunchPlan *plan, const DefaultSubnet *subnet,
                       const Rows *rows, GError **error)
{
    const char *user_data = plan->user_data
                                ? db_bytes(rq->tx, g_bytes_get_data(plan->user_data, NULL),
                                           g_bytes_get_size(plan->user_data))
                                : NULL;
    char *details = json_dumps(plan->details, JSON_COMPACT);
    InstanceLaunch launch = {
        .account_id = rq->account_id,
        .reservation_id = rows->reservation_id,
        .image_id = plan->image->id,
        .instance_type = plan->type->name,
        .vcpus = plan->type->vcpus,
        .memory_mib = plan->type->memory_mib,
        .key_name = plan->key ? plan->key->name : NULL,
        .public_key = plan->key ? plan->key->public_key : NULL,
        .zone_name = subnet->zone_name,
        .subnet_id = subnet->id,
        .root_volume_gib = plan->root_gib,
        .root_device_name = plan->image->root_device_name,
        .user_data = user_data,
        .instance_profile = plan->profile,
        .client_token = request_text(rq, "ClientToken"),
        .details = details,
        .disable_api_termination = request_bool(rq, "DisableApiTermination", FALSE),
        .shutdown_terminates =
            g_strcmp0(request_text(rq, "InstanceInitiatedShutdownBehavior"), "terminate") == 0,
    };
    InstanceLaunchRows texts = { .count = rows->count,
                                 .ids = rows->ids,
                                 .host_ids = rows->host_ids,
                                 .private_ips = rows->ips,
                                 .macs = rows->macs,
                                 .domain_uuids = rows->uuids,
                                 .eni_ids = rows->enis,
                                 .root_volume_ids = rows->volumes };
    gboolean done = instances_insert(rq->tx, &launch, &texts, error);

    free(details);
    return done;
}

static gboolean insert_rest(Request *rq, const LaunchPlan *plan, const Rows *rows, GError **error)
{
    g_autofree char *what = g_strdup_printf(
        "launched as %s, one of %u (%u to %u wanted), by %s (request %s)", plan->type->name,
        rows->count, plan->minimum, plan->maximum, rq->identity->principal_arn, rq->request_id);

    if (!ec2_tag_specifications_set(rq, "instance", rows->ids, rows->count, error) ||
        !ec2_tag_specifications_set(rq, "volume", rows->volumes, rows->count, error) ||
        !ec2_tag_specifications_set(rq, "network-interface", rows->enis, rows->count, error) ||
        !history_add_all(rq->tx, "instance", rows->ids, what, error))
        return FALSE;
    return !plan->cluster ||
           bootstraps_want(rq->tx, rq->account_id, rows->ids, plan->cluster, error);
}

/* What was written, as the caller reads it. */
static json_t *answer(Request *rq, const LaunchPlan *plan, const Rows *rows, GError **error)
{
    g_autoptr(GPtrArray) list = instances_get(rq->tx, rq->account_id, rows->ids, FALSE, error);
    g_autoptr(GHashTable) tags = list ? ec2_tags_of(rq, rows->ids, error) : NULL;

    if (!tags)
        return NULL;
    json_t *reservation = reservation_json(list->pdata[0]);
    for (guint n = 0; n < list->len; n++)
        json_array_append_new(json_object_get(reservation, "Instances"),
                              instance_json(rq, list->pdata[n], plan->net, tags));
    return reservation;
}

json_t *run_instances(Request *rq, GError **error)
{
    g_autoptr(LaunchPlan) plan = launch_plan_new(rq, error);
    g_auto(Admission) admission = { 0 };
    g_auto(Rows) rows = { 0 };

    if (!plan)
        return NULL;
    CapacityNeed need = { plan->image->architecture, plan->type->vcpus, plan->type->memory_mib,
                          plan->cluster != NULL };
    if (!admission_find(rq, plan->zone_name, plan->type->name, &need, plan->minimum, plan->maximum,
                        &admission, error))
        return NULL;
    g_autoptr(DefaultSubnet) subnet =
        default_subnet_new(plan->net, rq->account_id, rq->region, admission.zone_name, error);
    g_autoptr(GPtrArray) ips = subnet ? addresses(rq, plan, subnet, &admission, error) : NULL;
    if (!ips)
        return NULL;
    rows_fill(&rows, &admission, ips);
    if (!insert(rq, plan, subnet, &rows, error) || !insert_rest(rq, plan, &rows, error))
        return NULL;
    return answer(rq, plan, &rows, error);
}
