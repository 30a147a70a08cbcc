#include "base/errors.h"
#include "model/placement_internal.h"
#include "model/task_definition.h"

#include <string.h>

/* In the order in which placement looks; the first that fails is the one told. */
static const struct {
    const char *reason; /* in failures of RunTask */
    const char *event;  /* in service events, after "(container-instance ...) " */
    const char *word;
} rules[RULE__COUNT] = {
    [RULE_AGENT] = { "AGENT", "encountered error \"AGENT\"", "agent not connected" },
    [RULE_INACTIVE] = { "INACTIVE", "encountered error \"INACTIVE\"", "not active" },
    [RULE_ATTRIBUTE] = { "ATTRIBUTE", "is missing an attribute required by your task",
                         "missing attribute" },
    [RULE_MEMBER_OF] = { "MemberOf placement constraint unsatisfied.",
                         "encountered error \"MemberOf placement constraint unsatisfied.\"",
                         "memberOf constraint" },
    [RULE_CPU] = { "RESOURCE:CPU", "has insufficient CPU units available", "cpu" },
    [RULE_MEMORY] = { "RESOURCE:MEMORY", "has insufficient memory available", "memory" },
    [RULE_PORTS] = { "RESOURCE:PORTS", "is already using a port required by your task", "ports" },
    [RULE_DISTINCT] = { "DistinctInstance placement constraint unsatisfied.",
                        "encountered error \"DistinctInstance placement constraint unsatisfied.\"",
                        "distinctInstance constraint" },
};

const char *placement_rule_reason(PlacementRule rule)
{
    return rules[rule].reason;
}

const char *placement_rule_event(PlacementRule rule)
{
    return rules[rule].event;
}

const char *placement_rule_word(PlacementRule rule)
{
    return rules[rule].word;
}

static guint all_failing(PlacementCheck *check, guint index)
{
    gint64 pinned = check->request->pinned;
    guint failing = placement_check_fixed(check, index) | placement_check_room(check, index);

    if (pinned && placement_instance(check->cluster, index)->id != pinned)
        failing |= 1u << RULE_MEMBER_OF;
    return failing;
}

/* How much is missing, as a share of what the instance has in all. */
static double shortfall(const PlacementCheck *check, guint index)
{
    const PlacementInstance *i = placement_instance(check->cluster, index);
    gint64 cpu = MAX(check->request->cpu - i->cpu, 0);
    gint64 memory = MAX(check->request->memory_mib - i->memory_mib, 0);

    return (double)cpu / (double)MAX(i->cpu_total, 1) +
           (double)memory / (double)MAX(i->memory_total_mib, 1);
}

gboolean placement_explain(const PlacementCluster *cluster, const PlacementRequest *request,
                           PlacementReason *ret_reason, GError **error)
{
    g_auto(PlacementCheck) check = { 0 };
    guint best = 0, fewest = RULE__COUNT + 1;
    double least = 0;

    memset(ret_reason, 0, sizeof *ret_reason);
    ret_reason->closest = -1;
    ret_reason->instances = placement_cluster_size(cluster);
    if (!placement_check_init(&check, cluster, request, error))
        return FALSE;
    for (guint i = 0; i < ret_reason->instances; i++) {
        guint failing = all_failing(&check, i);
        guint count = (guint)__builtin_popcount(failing);
        double missing = shortfall(&check, i);
        for (guint rule = 0; rule < RULE__COUNT; rule++)
            ret_reason->failing[rule] += failing >> rule & 1;
        if (count < fewest || (count == fewest && missing < least)) {
            ret_reason->closest = (gint)i;
            fewest = count;
            least = missing;
            best = failing;
        }
    }
    ret_reason->rule = best ? (PlacementRule)__builtin_ctz(best) : RULE_AGENT;
    return TRUE;
}

gboolean placement_failing(const PlacementCluster *cluster, const PlacementRequest *request,
                           guint index, guint *ret_rules, GError **error)
{
    g_auto(PlacementCheck) check = { 0 };

    if (!placement_check_init(&check, cluster, request, error))
        return FALSE;
    *ret_rules = all_failing(&check, index);
    return TRUE;
}

GArray *placement_select(const PlacementCluster *cluster, const PlacementRequest *request,
                         guint wanted, GError **error)
{
    g_auto(PlacementCheck) check = { 0 };

    if (!placement_check_init(&check, cluster, request, error))
        return NULL;
    GArray *selected = g_array_new(FALSE, FALSE, sizeof(guint));
    for (guint i = 0; i < placement_cluster_size(cluster); i++)
        if ((all_failing(&check, i) & wanted) == 0)
            g_array_append_val(selected, i);
    return selected;
}

static const char *first_missing(GHashTable *attributes, const json_t *required)
{
    const json_t *entry;
    size_t n;

    json_array_foreach(
        required, n,
        entry) if (!g_hash_table_contains(attributes,
                                          tree_text(entry, "name"))) return tree_text(entry,
                                                                                      "name");
    return "with another value";
}

static gint64 first_taken(const GArray *wanted, const GArray *used)
{
    for (guint w = 0; wanted && used && w < wanted->len; w++)
        for (guint u = 0; u < used->len; u++)
            if (g_array_index(wanted, gint64, w) == g_array_index(used, gint64, u))
                return g_array_index(wanted, gint64, w);
    return 0;
}

static void say_port(GString *text, const PlacementRequest *request, const PlacementInstance *i)
{
    gint64 tcp = first_taken(request->ports_tcp, i->used_tcp);
    gint64 udp = first_taken(request->ports_udp, i->used_udp);

    g_string_append_printf(text, "host port %" G_GINT64_FORMAT "/%s must come free",
                           tcp ? tcp : udp, tcp ? "tcp" : "udp");
}

static void say_room(GString *text, const PlacementRequest *request, const PlacementInstance *i,
                     guint failing)
{
    gint64 cpu = request->cpu - i->cpu, memory = request->memory_mib - i->memory_mib;

    if (failing & 1u << RULE_CPU)
        g_string_append_printf(text, "%" G_GINT64_FORMAT " more CPU units must come free", cpu);
    if (failing & 1u << RULE_CPU && failing & 1u << RULE_MEMORY)
        g_string_append(text, " and ");
    if (failing & 1u << RULE_MEMORY)
        g_string_append_printf(text, "%" G_GINT64_FORMAT " MiB more memory must come free", memory);
    if (request->cpu > i->cpu_total || request->memory_mib > i->memory_total_mib)
        g_string_append(text, " (the task is larger than the whole instance: make the task smaller"
                              " or add a larger instance)");
}

static void say_rule(GString *text, const PlacementRequest *request, const PlacementInstance *i,
                     PlacementRule rule, guint failing)
{
    switch (rule) {
    case RULE_AGENT:
        g_string_append(text, "its agent must connect");
        return;
    case RULE_INACTIVE:
        g_string_append(text, "it must be set ACTIVE");
        return;
    case RULE_ATTRIBUTE:
        g_string_append_printf(text, "it must get the attribute %s",
                               first_missing(i->attributes, request->required));
        return;
    case RULE_MEMBER_OF:
        g_string_append(text, "it must satisfy the memberOf constraint");
        return;
    case RULE_PORTS:
        say_port(text, request, i);
        return;
    case RULE_DISTINCT:
        g_string_append_printf(text, "its task of group %s must stop", request->group);
        return;
    case RULE_CPU:
    case RULE_MEMORY:
    case RULE__COUNT:
        break;
    }
    say_room(text, request, i, failing);
}

char *placement_smallest_change(const PlacementCluster *cluster, const PlacementRequest *request,
                                const PlacementReason *reason)
{
    guint failing = 0;

    if (reason->closest < 0)
        return g_strdup_printf("register a container instance with %" G_GINT64_FORMAT
                               " CPU units and %" G_GINT64_FORMAT " MiB free",
                               request->cpu, request->memory_mib);
    const PlacementInstance *i = placement_instance(cluster, (guint)reason->closest);
    if (!placement_failing(cluster, request, (guint)reason->closest, &failing, NULL) || !failing)
        return g_strdup_printf("none: it fits on container instance %s now", i->name);
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_printf(text, "on container instance %s ", i->name);
    gsize start = text->len;
    for (guint rule = 0; rule < RULE__COUNT; rule++) {
        if (!(failing >> rule & 1) || (rule == RULE_MEMORY && failing & 1u << RULE_CPU))
            continue;
        if (text->len > start)
            g_string_append(text, ", and ");
        say_rule(text, request, i, (PlacementRule)rule, failing);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}
