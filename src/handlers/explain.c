#include "handlers/explain.h"
#include "handlers/table.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "model/capacity.h"
#include "model/instance.h"
#include "store/bootstraps.h"
#include "store/history.h"
#include "store/hosts.h"
#include "store/images.h"
#include "store/instances.h"
#include "store/retries.h"

#include <string.h>

#define HISTORY_SHOWN 20

void explanation_set(Explanation *e, const char *kind, const char *summary)
{
    json_object_set_new(e->answer, "Kind", json_string(kind));
    json_object_set_new(e->answer, "Summary", json_string(summary));
}

void explanation_section(Explanation *e, const char *title)
{
    json_array_append_new(json_object_get(e->answer, "Sections"),
                          json_pack("{s:s, s:[]}", "Title", title, "Facts"));
}

void explanation_fact(Explanation *e, const char *name, const char *value)
{
    json_t *sections = json_object_get(e->answer, "Sections");
    json_t *last = json_array_get(sections, json_array_size(sections) - 1);

    if (value)
        json_array_append_new(json_object_get(last, "Facts"),
                              json_pack("{s:s, s:s}", "Name", name, "Value", value));
}

void explanation_int(Explanation *e, const char *name, gint64 value)
{
    char text[24];

    g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, value);
    explanation_fact(e, name, text);
}

void explanation_time(Explanation *e, const char *name, gint64 us)
{
    char text[CLOCK_ISO_SIZE];

    if (us)
        explanation_fact(e, name, clock_iso_s(us, text));
}

gboolean explanation_add_history(Explanation *e, Request *rq, const char *id, GError **error)
{
    g_autoptr(GPtrArray) past = history_list(rq->tx, id, HISTORY_SHOWN, error);

    if (past && past->len)
        explanation_section(e, "History");
    for (guint n = 0; past && n < past->len; n++) {
        const HistoryEntry *entry = past->pdata[n];
        char at[CLOCK_ISO_SIZE];
        explanation_fact(e, clock_iso_s(entry->at_us, at), entry->what);
    }
    return past != NULL;
}

gboolean explanation_add_past(Explanation *e, Request *rq, const char *kind, const char *id,
                              GError **error)
{
    g_autoptr(Retry) retry = NULL;

    if (!retries_find(rq->tx, kind, id, &retry, error))
        return FALSE;
    if (retry) {
        explanation_section(e, "Retries");
        explanation_int(e, "failures in a row", retry->failures);
        explanation_fact(e, "last error", retry->last_error);
        explanation_time(e, "failed at", retry->failed_us);
        explanation_time(e, "next try at", retry->next_try_us);
    }
    return explanation_add_history(e, rq, id, error);
}

/* -- instances */

/* What to do about a host that will not come back. */
static void lost_fact(Explanation *e, const Host *h)
{
    if (!h->unreachable_us || h->lost_us || !h->instances)
        return;
    g_autofree char *what =
        g_strdup_printf("berth host remove %s --lost: its %d instances end", h->id, h->instances);
    explanation_fact(e, "if it is gone for good", what);
}

/* Hosts are the administrator's to know. */
static void place_facts(Explanation *e, const Instance *i, const Host *host, gboolean admin)
{
    explanation_section(e, "Place");
    explanation_fact(e, "zone", i->zone_name);
    explanation_fact(e, "address", i->private_ip);
    explanation_fact(e, "MAC", i->mac);
    explanation_fact(e, "domain uuid", i->domain_uuid);
    explanation_fact(e, "holds its processors and memory", instance_holds(i) ? "yes" : "no");
    if (g_strcmp0(host->network, "apart") == 0)
        explanation_fact(e, "network",
                         "its host's own: not reached from the control plane, nor is"
                         " metadata from it");
    if (!admin)
        return;
    explanation_fact(e, "host", host->id);
    explanation_fact(e, "host is", host->state);
    explanation_fact(e, "host's fault", host->fault);
    if (!i->terminated_us)
        lost_fact(e, host);
}

static void instance_facts(Explanation *e, const Instance *i)
{
    explanation_section(e, "Wanted");
    explanation_fact(e, "desired", instance_desire_name(i->desired));
    explanation_int(e, "generation", i->generation);
    explanation_fact(e, "reason", *i->transition_reason ? i->transition_reason : NULL);
    explanation_section(e, "Seen");
    explanation_fact(e, "seen", instance_seen_name(i->seen));
    explanation_int(e, "settled generation", i->seen_generation);
    explanation_time(e, "seen at", i->seen_us);
    explanation_time(e, "answers since", i->reachable_us);
    explanation_fact(e, "fault", i->fault);
    explanation_fact(e, "fault message", i->fault_message);
    explanation_section(e, "Rule");
    explanation_fact(e, "row",
                     instance_row(i) == INSTANCE_ROW_FAULT ? "fault"
                                                           : instance_desire_name(instance_row(i)));
    explanation_fact(e, "column", instance_seen_name(i->seen));
    explanation_fact(e, "state", instance_state_name(instance_state(i)));
    explanation_fact(e, "next act", instance_act_name(instance_act(i)));
}

static char *instance_summary(const Instance *i, const Host *host)
{
    InstanceAct act = instance_act(i);
    const char *state = instance_state_name(instance_state(i));

    if (strcmp(host->state, "down") == 0 && !i->terminated_us)
        return g_strdup_printf("%s when last seen: its host does not answer; wanted %s", state,
                               instance_desire_name(i->desired));
    if (i->fault)
        return g_strdup_printf("%s by a fault: %s", state, i->fault_message);
    if (act != ACT_NONE)
        return g_strdup_printf("%s; wanted %s, seen %s: the next act is to %s it", state,
                               instance_desire_name(i->desired), instance_seen_name(i->seen),
                               instance_act_name(act));
    if (instance_row(i) != i->desired)
        return g_strdup_printf("%s: its guest powered itself off", state);
    return g_strdup_printf("%s, as wanted; nothing is left to do", state);
}

static gboolean bootstrap_facts(Explanation *e, Request *rq, const char *id, GError **error)
{
    g_autoptr(GPtrArray) list =
        bootstraps_list(rq->tx, rq->account_id, (const char *const[]){ id, NULL }, NULL, error);

    if (!list || list->len == 0)
        return list != NULL;
    const Bootstrap *b = list->pdata[0];
    explanation_section(e, "Container agent");
    explanation_fact(e, "cluster", b->cluster_name);
    explanation_fact(e, "stage", b->stage);
    explanation_fact(e, "settled", bootstrap_settled(b) ? "yes" : "no");
    explanation_fact(e, "fault", b->fault);
    explanation_fact(e, "last error", b->last_error);
    explanation_time(e, "next try at", b->next_try_us);
    explanation_time(e, "credentials until", b->credentials_until_us);
    explanation_fact(e, "log", *b->log ? b->log : NULL);
    return TRUE;
}

static gboolean explain_instance(Request *rq, const char *id, Explanation *e, gboolean *ret_mine,
                                 GError **error)
{
    *ret_mine = id_is_ec2(id, "i");
    if (!*ret_mine)
        return TRUE;
    g_autoptr(GPtrArray) list =
        instances_get(rq->tx, rq->account_id, (const char *const[]){ id, NULL }, FALSE, error);
    if (!list)
        return FALSE;
    const Instance *i = list->pdata[0];
    g_autoptr(Host) host = hosts_get(rq->tx, i->host_id, FALSE, error);
    if (!host)
        return FALSE;
    g_autofree char *summary = instance_summary(i, host);
    explanation_set(e, "instance", summary);
    instance_facts(e, i);
    place_facts(e, i, host, rq->identity->is_admin);
    return bootstrap_facts(e, rq, id, error) && explanation_add_past(e, rq, "instance", id, error);
}

/* -- images and hosts */

static gboolean explain_image(Request *rq, const char *id, Explanation *e, gboolean *ret_mine,
                              GError **error)
{
    *ret_mine = id_is_ec2(id, "ami");
    if (!*ret_mine)
        return TRUE;
    g_autoptr(Image) m = images_get(rq->tx, rq->account_id, id, FALSE, error);
    if (!m)
        return FALSE;
    g_autofree char *summary =
        g_strdup_printf("%s%s%s", m->state, m->fault ? ": " : "", m->fault ? m->fault : "");
    explanation_set(e, "image", summary);
    explanation_section(e, "Image");
    explanation_fact(e, "name", m->name);
    explanation_fact(e, "comes from", m->location);
    explanation_fact(e, "disk format", m->disk_format);
    explanation_fact(e, "disk SHA-256", m->disk_sha256);
    explanation_int(e, "size as the guest sees it, bytes", m->virtual_bytes);
    explanation_fact(e, "kernel SHA-256", m->kernel_sha256);
    explanation_fact(e, "login user", m->ssh_user);
    return explanation_add_past(e, rq, "image", id, error);
}

static gboolean explain_host(Request *rq, const char *id, Explanation *e, gboolean *ret_mine,
                             GError **error)
{
    *ret_mine = id_is_ec2(id, "h");
    if (!*ret_mine)
        return TRUE;
    g_autoptr(Host) h = hosts_get(rq->tx, id, FALSE, error);
    if (!h)
        return FALSE;
    g_autofree char *summary = g_strdup_printf("%s, wanted %s%s%s", h->state, h->desired,
                                               h->fault ? ": " : "", h->fault ? h->fault : "");
    explanation_set(e, "host", summary);
    explanation_section(e, "Host");
    explanation_fact(e, "uri", h->uri);
    explanation_fact(e, "zone", h->zone_name);
    explanation_int(e, "share, percent", h->share_percent);
    explanation_fact(e, "accelerator", h->accelerator);
    explanation_fact(e, "network of its guests", h->network);
    explanation_time(e, "seen at", h->seen_us);
    explanation_time(e, "not reached since", h->unreachable_us);
    explanation_time(e, "given up as lost at", h->lost_us);
    lost_fact(e, h);
    explanation_section(e, "Room");
    explanation_int(e, "vCPUs it may hold", capacity_vcpus(h));
    explanation_int(e, "vCPUs held", h->used_vcpus);
    explanation_int(e, "MiB it may hold", capacity_memory_mib(h));
    explanation_int(e, "MiB held", h->used_memory_mib);
    explanation_int(e, "instances", h->instances);
    return explanation_add_past(e, rq, "host", id, error);
}

json_t *explain(Request *rq, GError **error)
{
    static const ExplainFunction kinds[] = { explain_instance, explain_image, explain_host,
                                             explain_zone,     explain_type,  explain_ecs };
    const char *id = request_text(rq, "Id");
    json_auto_t *answer = json_pack("{s:s, s:[]}", "Id", id, "Sections");
    Explanation e = { answer };
    gboolean mine = FALSE;

    for (gsize n = 0; n < G_N_ELEMENTS(kinds) && !mine; n++)
        if (kinds[n] && !kinds[n](rq, id, &e, &mine, error))
            return NULL;
    if (!mine)
        return fail_null(error, ADMIN_NOT_FOUND, "\"%s\" is the id of nothing that is known here",
                         id);
    return json_incref(answer);
}
