/* The admin service's BootstrapContainerInstance, DescribeBootstraps, DescribeInstanceAccess. */
#include "handlers/ec2_common.h"
#include "handlers/table.h"
#include "base/errors.h"
#include "store/bootstraps.h"
#include "store/clusters.h"
#include "store/history.h"
#include "store/hosts_seen.h"
#include "store/instances.h"

#include <string.h>

#define DEFAULT_CLUSTER "default"
#define CLUSTER_MAX     255
#define SSH_PORT        22
#define APART           "its host has a network of its own, which is not reached from here"

static json_t *bootstrap_json(const Bootstrap *b)
{
    gboolean settled = bootstrap_settled(b);
    json_t *item = json_pack(
        "{s:s, s:s, s:s, s:i, s:I, s:I}", "InstanceId", b->instance_id, "Cluster", b->cluster_name,
        "State", b->fault ? "quarantined" : b->stage, "Attempts", b->failures, "CreatedAt",
        (json_int_t)b->created_us, "UpdatedAt", (json_int_t)b->updated_us);

    if (b->fault || (!settled && b->last_error))
        json_object_set_new(item, "Detail", json_string(b->fault ? b->fault : b->last_error));
    if (b->next_try_us && !settled)
        json_object_set_new(item, "NextTryAt", json_integer(b->next_try_us));
    return item;
}

static gboolean check_cluster(const char *name, GError **error)
{
    static const char characters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    gsize length = strlen(name);

    if (length < 1 || length > CLUSTER_MAX || strspn(name, characters) != length)
        return fail(error, INVALID_PARAMETER, "\"%s\" is no name of a cluster", name);
    return TRUE;
}

/* The agent registers into it: it is made when it does not exist. */
static gboolean ensure_cluster(Request *rq, const char *name, GError **error)
{
    json_auto_t *details = json_object();
    gboolean made = FALSE;
    g_autoptr(Cluster) cluster =
        clusters_create(rq->tx, rq->account_id, name, details, &made, error);

    return cluster != NULL;
}

/* What can never come about is refused at once. */
static gboolean check_reach(Request *rq, const Instance *i, GError **error)
{
    HostTrouble trouble = HOST_TROUBLE_NONE;

    if (!hosts_trouble(rq->tx, i->host_id, &trouble, error))
        return FALSE;
    return trouble != HOST_TROUBLE_APART ||
           fail(error, UNSUPPORTED, "instance \"%s\" cannot have the agent: " APART, i->id);
}

json_t *bootstrap_container_instance(Request *rq, GError **error)
{
    const char *ids[] = { request_text(rq, "InstanceId"), NULL };
    const char *cluster = request_text(rq, "Cluster");

    cluster = cluster ? cluster : DEFAULT_CLUSTER;
    if (!ec2_check_instance_ids(ids, error) || !check_cluster(cluster, error) ||
        !ensure_cluster(rq, cluster, error))
        return NULL;
    g_autoptr(GPtrArray) list = instances_get(rq->tx, rq->account_id, ids, TRUE, error);
    if (!list)
        return NULL;
    InstanceState state = instance_state(list->pdata[0]);
    if (state == INSTANCE_TERMINATED || state == INSTANCE_SHUTTING_DOWN)
        return fail_null(error, INVALID_PARAMETER, "instance \"%s\" is %s", ids[0],
                         instance_state_name(state));
    if (!check_reach(rq, list->pdata[0], error))
        return NULL;
    g_autofree char *what = g_strdup_printf("bootstrap into cluster \"%s\" asked for by %s",
                                            cluster, rq->identity->principal_arn);
    if (!bootstraps_want(rq->tx, rq->account_id, ids, cluster, error) ||
        !history_add(rq->tx, "bootstrap", ids[0], what, error))
        return NULL;
    g_autoptr(Bootstrap) row = bootstraps_load(rq->tx, ids[0], error);
    return row ? json_pack("{s:o}", "Bootstrap", bootstrap_json(row)) : NULL;
}

json_t *describe_bootstraps(Request *rq, GError **error)
{
    g_autofree const char **ids = request_strings(rq, "InstanceIds");
    g_autoptr(GPtrArray) list =
        bootstraps_list(rq->tx, rq->account_id, ids, request_text(rq, "Cluster"), error);

    if (!list)
        return NULL;
    json_t *items = json_array();
    for (guint n = 0; n < list->len; n++)
        json_array_append_new(items, bootstrap_json(list->pdata[n]));
    return json_pack("{s:o}", "Bootstraps", items);
}

/* -- how to log in */

static json_t *access_json(const Instance *i, GHashTable *tags, GHashTable *troubled)
{
    json_t *item = json_pack("{s:s, s:s, s:s, s:i, s:s, s:[]}", "InstanceId", i->id, "State",
                             instance_state_name(instance_state(i)), "Address", i->private_ip,
                             "Port", SSH_PORT, "User", i->ssh_user, "HostKeys");
    g_auto(GStrv) keys = g_strsplit(i->host_keys ? i->host_keys : "", "\n", -1);
    const json_t *own = g_hash_table_lookup(tags, i->id), *tag;
    size_t n;

    for (char **key = keys; *key; key++)
        if (*g_strstrip(*key))
            json_array_append_new(json_object_get(item, "HostKeys"), json_string(*key));
    if (GPOINTER_TO_UINT(g_hash_table_lookup(troubled, i->host_id)) == HOST_TROUBLE_APART)
        json_object_set_new(item, "Detail", json_string(APART));
    if (i->key_name)
        json_object_set_new(item, "KeyName", json_string(i->key_name));
    json_array_foreach(own, n, tag)
    {
        if (g_strcmp0(json_text_at(tag, "Key"), "Name") == 0)
            json_object_set(item, "Name", json_object_get(tag, "Value"));
    }
    return item;
}

/* The instances asked for, or all that have not ended. */
static GPtrArray *to_access(Request *rq, GError **error)
{
    g_autofree const char **ids = request_strings(rq, "InstanceIds");
    InstancesAfter from_start = { 0 };

    if (ids)
        return ec2_check_instance_ids(ids, error)
                   ? instances_get(rq->tx, rq->account_id, ids, FALSE, error)
                   : NULL;
    g_autoptr(GPtrArray) list =
        instances_page(rq->tx, rq->account_id, &from_start, G_MAXINT, error);
    for (guint n = list ? list->len : 0; n > 0; n--)
        if (instance_state(list->pdata[n - 1]) == INSTANCE_TERMINATED)
            g_ptr_array_remove_index(list, n - 1);
    return g_steal_pointer(&list);
}

json_t *describe_instance_access(Request *rq, GError **error)
{
    g_autoptr(GPtrArray) list = to_access(rq, error);

    if (!list)
        return NULL;
    g_autofree const char **ids = g_new0(const char *, list->len + 1);
    for (guint n = 0; n < list->len; n++)
        ids[n] = ((Instance *)list->pdata[n])->id;
    g_autoptr(GHashTable) tags = ec2_tags_of(rq, ids, error);
    g_autoptr(GHashTable) troubled = tags ? hosts_troubled(rq->tx, error) : NULL;
    if (!troubled)
        return NULL;
    json_t *items = json_array();
    for (guint n = 0; n < list->len; n++)
        json_array_append_new(items, access_json(list->pdata[n], tags, troubled));
    return json_pack("{s:o}", "Access", items);
}
