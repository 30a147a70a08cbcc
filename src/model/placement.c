#include "model/placement.h"
#include "base/errors.h"
#include "model/placement_internal.h"
#include "model/task_definition.h"

#include <string.h>

static void instance_clear(gpointer data)
{
    PlacementInstance *instance = data;

    g_free(instance->name);
    g_free(instance->ec2_instance_id);
    g_free(instance->agent_version);
    g_clear_pointer(&instance->used_tcp, g_array_unref);
    g_clear_pointer(&instance->used_udp, g_array_unref);
    g_clear_pointer(&instance->attributes, g_hash_table_unref);
}

PlacementCluster *placement_cluster_new(guint64 seed)
{
    PlacementCluster *cluster = g_new0(PlacementCluster, 1);

    cluster->seed = seed;
    cluster->instances = g_array_new(FALSE, TRUE, sizeof(PlacementInstance));
    g_array_set_clear_func(cluster->instances, instance_clear);
    cluster->index = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    cluster->attributes =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
    cluster->groups =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_array_unref);
    return cluster;
}

void placement_cluster_free(PlacementCluster *cluster)
{
    if (!cluster)
        return;
    g_array_unref(cluster->instances);
    g_hash_table_destroy(cluster->index);
    g_hash_table_destroy(cluster->attributes);
    g_hash_table_destroy(cluster->groups);
    g_free(cluster);
}

static GHashTable *parse_attributes(const char *text)
{
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    json_auto_t *list = json_loads(text, 0, NULL);
    const json_t *entry;
    size_t n;

    json_array_foreach(list, n, entry)
    {
        const char *value = tree_text(entry, "value");
        if (tree_text(entry, "name"))
            g_hash_table_replace(table, g_strdup(tree_text(entry, "name")),
                                 g_strdup(value ? value : ""));
    }
    return table;
}

static GHashTable *shared_attributes(PlacementCluster *cluster, const char *text)
{
    GHashTable *table = g_hash_table_lookup(cluster->attributes, text);

    if (!table) {
        table = parse_attributes(text);
        g_hash_table_insert(cluster->attributes, g_strdup(text), table);
    }
    return g_hash_table_ref(table);
}

PlacementInstance *placement_cluster_add(PlacementCluster *cluster, gint64 id, const char *name,
                                         const char *attributes)
{
    PlacementInstance instance = { .id = id, .name = g_strdup(name) };
    gint64 *key = g_new(gint64, 1);

    *key = id;
    instance.attributes = shared_attributes(cluster, attributes ? attributes : "[]");
    g_array_append_val(cluster->instances, instance);
    g_hash_table_insert(cluster->index, key, GUINT_TO_POINTER(cluster->instances->len));
    return placement_instance(cluster, cluster->instances->len - 1);
}

guint placement_cluster_size(const PlacementCluster *cluster)
{
    return cluster->instances->len;
}

PlacementInstance *placement_instance(const PlacementCluster *cluster, guint index)
{
    return &g_array_index(cluster->instances, PlacementInstance, index);
}

gint placement_index(const PlacementCluster *cluster, gint64 id)
{
    return (gint)GPOINTER_TO_UINT(g_hash_table_lookup(cluster->index, &id)) - 1;
}

static GArray *group_counts(PlacementCluster *cluster, const char *group)
{
    GArray *counts = g_hash_table_lookup(cluster->groups, group);

    if (!counts) {
        counts = g_array_new(FALSE, TRUE, sizeof(guint));
        g_hash_table_insert(cluster->groups, g_strdup(group), counts);
    }
    if (counts->len < cluster->instances->len)
        g_array_set_size(counts, cluster->instances->len);
    return counts;
}

void placement_add_group(PlacementCluster *cluster, const char *group, gint64 id, guint count)
{
    gint index = placement_index(cluster, id);

    if (index >= 0)
        g_array_index(group_counts(cluster, group), guint, (guint)index) += count;
}

guint placement_group_count(const PlacementCluster *cluster, const char *group, guint index)
{
    const GArray *counts = g_hash_table_lookup(cluster->groups, group);

    return counts && index < counts->len ? g_array_index(counts, guint, index) : 0;
}

/* -- what an expression may ask */
typedef struct {
    const PlacementCluster *cluster;
    guint index;
} Asked;

static const char *ask_attribute(gpointer asked, const char *name)
{
    const Asked *a = asked;

    return g_hash_table_lookup(placement_instance(a->cluster, a->index)->attributes, name);
}

static gboolean ask_group(gpointer asked, const char *group, const GRegex *pattern)
{
    const Asked *a = asked;
    GHashTableIter iter;
    gpointer name, counts;

    if (group)
        return placement_group_count(a->cluster, group, a->index) > 0;
    g_hash_table_iter_init(&iter, a->cluster->groups);
    while (g_hash_table_iter_next(&iter, &name, &counts))
        if (placement_group_count(a->cluster, name, a->index) > 0 &&
            g_regex_match(pattern, name, 0, NULL))
            return TRUE;
    return FALSE;
}

static gboolean member_of(const PlacementCheck *check, guint index)
{
    const PlacementInstance *i = placement_instance(check->cluster, index);
    Asked asked = { check->cluster, index };
    ClusterQuerySubject subject = {
        .attribute = ask_attribute,
        .runs_group = ask_group,
        .agent_connected = i->connected,
        .agent_version = i->agent_version,
        .ec2_instance_id = i->ec2_instance_id,
        .registered_us = i->registered_us,
        .running_tasks = i->running_tasks,
        .instance = &asked,
    };

    for (guint q = 0; q < check->queries->len; q++)
        if (!cluster_query_matches(g_ptr_array_index(check->queries, q), &subject))
            return FALSE;
    return TRUE;
}

/* -- the rules */
static gboolean add_constraints(PlacementCheck *check, const json_t *constraints, GError **error)
{
    const json_t *constraint;
    size_t n;

    json_array_foreach(constraints, n, constraint)
    {
        if (g_strcmp0(tree_text(constraint, "type"), "distinctInstance") == 0) {
            check->distinct = TRUE;
            continue;
        }
        const char *expression = tree_text(constraint, "expression");
        ClusterQuery *query = cluster_query_parse(expression ? expression : "", error);
        if (!query)
            return FALSE;
        g_ptr_array_add(check->queries, query);
    }
    return TRUE;
}

gboolean placement_check_init(PlacementCheck *check, const PlacementCluster *cluster,
                              const PlacementRequest *request, GError **error)
{
    check->cluster = cluster;
    check->request = request;
    check->queries = g_ptr_array_new_with_free_func((GDestroyNotify)cluster_query_free);
    check->attribute_verdicts = g_hash_table_new(NULL, NULL);
    check->group = g_hash_table_lookup(cluster->groups, request->group);
    return add_constraints(check, request->constraints[0], error) &&
           add_constraints(check, request->constraints[1], error);
}

void placement_check_clear(PlacementCheck *check)
{
    g_clear_pointer(&check->queries, g_ptr_array_unref);
    g_clear_pointer(&check->attribute_verdicts, g_hash_table_destroy);
}

static gboolean has_required(GHashTable *attributes, const json_t *required)
{
    const json_t *entry;
    size_t n;

    json_array_foreach(required, n, entry)
    {
        const char *wanted = tree_text(entry, "value");
        const char *value = g_hash_table_lookup(attributes, tree_text(entry, "name"));
        if (!value || (wanted && *wanted && strcmp(value, wanted) != 0))
            return FALSE;
    }
    return TRUE;
}

static gboolean attributes_fit(PlacementCheck *check, GHashTable *attributes)
{
    guint verdict = GPOINTER_TO_UINT(g_hash_table_lookup(check->attribute_verdicts, attributes));

    if (!verdict) {
        verdict = has_required(attributes, check->request->required) ? 2 : 1;
        g_hash_table_insert(check->attribute_verdicts, attributes, GUINT_TO_POINTER(verdict));
    }
    return verdict == 2;
}

guint placement_check_fixed(PlacementCheck *check, guint index)
{
    const PlacementInstance *instance = placement_instance(check->cluster, index);
    guint failing = 0;

    if (!instance->connected)
        failing |= 1u << RULE_AGENT;
    if (!instance->active)
        failing |= 1u << RULE_INACTIVE;
    if (!attributes_fit(check, instance->attributes))
        failing |= 1u << RULE_ATTRIBUTE;
    if (!member_of(check, index))
        failing |= 1u << RULE_MEMBER_OF;
    return failing;
}

static gboolean any_taken(const GArray *wanted, const GArray *used)
{
    for (guint w = 0; wanted && used && w < wanted->len; w++)
        for (guint u = 0; u < used->len; u++)
            if (g_array_index(wanted, gint64, w) == g_array_index(used, gint64, u))
                return TRUE;
    return FALSE;
}

guint placement_check_room(const PlacementCheck *check, guint index)
{
    const PlacementInstance *instance = placement_instance(check->cluster, index);
    const PlacementRequest *request = check->request;
    guint failing = 0;

    if (request->cpu > instance->cpu)
        failing |= 1u << RULE_CPU;
    if (request->memory_mib > instance->memory_mib)
        failing |= 1u << RULE_MEMORY;
    if (any_taken(request->ports_tcp, instance->used_tcp) ||
        any_taken(request->ports_udp, instance->used_udp))
        failing |= 1u << RULE_PORTS;
    if (check->distinct && placement_group_count(check->cluster, request->group, index) > 0)
        failing |= 1u << RULE_DISTINCT;
    return failing;
}

/* -- placing */
static void take_ports(GArray **used, const GArray *ports)
{
    if (!ports || ports->len == 0)
        return;
    if (!*used)
        *used = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_array_append_vals(*used, ports->data, ports->len);
}

static void take_room(PlacementCluster *cluster, const PlacementRequest *request, GArray *counts,
                      guint index)
{
    PlacementInstance *instance = placement_instance(cluster, index);

    instance->cpu -= request->cpu;
    instance->memory_mib -= request->memory_mib;
    take_ports(&instance->used_tcp, request->ports_tcp);
    take_ports(&instance->used_udp, request->ports_udp);
    g_array_index(counts, guint, index)++;
}

static gint run_pinned(PlacementCluster *cluster, PlacementCheck *check, GArray *counts,
                       gint *ret_placed)
{
    gint index = placement_index(cluster, check->request->pinned);
    guint placed = 0;

    if (index < 0 || placement_check_fixed(check, (guint)index))
        return 0;
    while (placed < check->request->count && !placement_check_room(check, (guint)index)) {
        take_room(cluster, check->request, counts, (guint)index);
        ret_placed[placed++] = index;
    }
    return (gint)placed;
}

gint64 placement_wait_us(gint64 absent_us, gint64 grace_us, gint64 now_us)
{
    if (absent_us == 0)
        return 0;
    return CLAMP(absent_us + grace_us - now_us, 0, grace_us); /* a clock may go back */
}

gint placement_run(PlacementCluster *cluster, const PlacementRequest *request, gint *ret_placed,
                   GError **error)
{
    g_auto(PlacementCheck) check = { 0 };
    GArray *counts = group_counts(cluster, request->group);
    guint placed = 0;

    if (!placement_check_init(&check, cluster, request, error))
        return -1;
    if (request->pinned)
        return run_pinned(cluster, &check, counts, ret_placed);
    g_autoptr(PlacementPicker) picker = placement_picker_new(cluster, &check);
    for (; placed < request->count; placed++) {
        gint best = placement_picker_best(picker);
        if (best < 0)
            break;
        take_room(cluster, request, counts, (guint)best);
        placement_picker_taken(picker, (guint)best);
        ret_placed[placed] = best;
    }
    return (gint)placed;
}
