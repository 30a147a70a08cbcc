/* Images on their way to the containers of tasks that start: telemetry of Berth's agents. */
#include "base/errors.h"
#include "handlers/ecs_common.h"
#include "handlers/table.h"
#include "store/image_pulls.h"

static json_t *pull_json(const Request *rq, const Cluster *cluster, const ImagePull *p)
{
    g_autofree char *arn = ecs_arn(rq, "task", cluster->name, p->task_id);

    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s*, s:I}", "TaskArn", arn,
                     "ContainerName", p->container, "Image", p->image, "Status", p->status,
                     "Percent", (json_int_t)p->percent, "CurrentBytes",
                     (json_int_t)p->current_bytes, "TotalBytes", (json_int_t)p->total_bytes,
                     "Layers", (json_int_t)p->layers, "LayersDone", (json_int_t)p->layers_done,
                     "Reason", p->reason, "ToldAt", (json_int_t)p->told_us);
}

json_t *describe_image_pulls(Request *rq, GError **error)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *name =
        ecs_ref_cluster(rq->region, rq->account_id, request_text(rq, "Cluster"), error);
    g_autoptr(Cluster) cluster =
        name ? clusters_get(rq->tx, rq->account_id, name, CLUSTER_READ, error) : NULL;
    const json_t *item;
    size_t n;

    if (!cluster)
        return NULL;
    json_array_foreach(request_member(rq, "Tasks"), n, item)
    {
        char *id = ecs_ref_in_cluster(rq->region, rq->account_id, "task", cluster->name,
                                      json_string_value(item));
        if (id)
            g_ptr_array_add(ids, id);
    }
    g_autoptr(GPtrArray) pulls =
        image_pulls_of(rq->tx, cluster->id, (const char *const *)ids->pdata, ids->len, error);
    if (!pulls)
        return NULL;
    json_t *list = json_array();
    for (guint i = 0; i < pulls->len; i++)
        json_array_append_new(list, pull_json(rq, cluster, pulls->pdata[i]));
    return json_pack("{s:o}", "ImagePulls", list);
}
