/*
 * model/placement.h - where tasks go: pure, over arrays, a whole batch at a time
 *
 * A cluster is an array of container instances with what is free on them; a request is a number of
 * identical tasks. Every instance is scored for every request; the same input and seed give the
 * same answer. Memory is MiB, CPU is units (1024 is one vCPU). Requests are worked on in order and
 * each sees the room that the ones before it left. Source: ECS Developer Guide, "Amazon ECS task
 * placement".
 */
#pragma once

#include <glib.h>
#include <jansson.h>

typedef struct {
    gint64 id;
    char *name;            /* container instance id */
    char *ec2_instance_id; /* NULL: not ours */
    char *agent_version;
    gint64 registered_us;
    gboolean active;    /* status ACTIVE */
    gboolean connected; /* its agent's channel is open */
    gint64 cpu_total, memory_total_mib;
    gint64 cpu, memory_mib;      /* free */
    GArray *used_tcp, *used_udp; /* of gint64: host ports taken; NULL for none */
    gint64 running_tasks;
    GHashTable *attributes; /* name -> value ("" for none); a reference, shared between equals */
} PlacementInstance;

typedef struct PlacementCluster PlacementCluster;

PlacementCluster *placement_cluster_new(guint64 seed);
void placement_cluster_free(PlacementCluster *cluster);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlacementCluster, placement_cluster_free)

/* Adds an instance and returns it to be filled in; valid until the next one is added. attributes is
 * the JSON text of [{name, value}]: equal texts are parsed once. */
PlacementInstance *placement_cluster_add(PlacementCluster *cluster, gint64 id, const char *name,
                                         const char *attributes);
guint placement_cluster_size(const PlacementCluster *cluster);
PlacementInstance *placement_instance(const PlacementCluster *cluster, guint index);
/* The place of the instance with this id; -1 when there is none. */
gint placement_index(const PlacementCluster *cluster, gint64 id);
/* Says that count live tasks of group are on the instance with this id. */
void placement_add_group(PlacementCluster *cluster, const char *group, gint64 id, guint count);
guint placement_group_count(const PlacementCluster *cluster, const char *group, guint index);

typedef struct {
    guint count;
    gint64 cpu, memory_mib;
    const GArray *ports_tcp, *ports_udp; /* of gint64: fixed host ports; NULL for none */
    const char *group;                   /* "service:web": what spreads and keeps its distance */
    const json_t *required;              /* [{name, value?}]: attributes an instance must have */
    const json_t *constraints[2];        /* of the definition and of the call or service */
    const json_t *strategy;              /* [{type, field}]; empty: zones, then fewest of group */
    gint64 pinned;                       /* id of the only instance it may go to; 0: any */
} PlacementRequest;

/* Places as many of the request's tasks as fit and takes their room. ret_placed has room for count
 * indices; the number placed is returned, -1 with INVALID_PARAMETER for a wrong expression. */
gint placement_run(PlacementCluster *cluster, const PlacementRequest *request, gint *ret_placed,
                   GError **error);

/* How long placement waits for agents that lost their daemon, the last of them at absent_us (0: all
 * are back), grace_us at most: microseconds, 0: it does not. */
gint64 placement_wait_us(gint64 absent_us, gint64 grace_us, gint64 now_us);

/* -- why not */
typedef enum {
    RULE_AGENT,
    RULE_INACTIVE,
    RULE_ATTRIBUTE,
    RULE_MEMBER_OF,
    RULE_CPU,
    RULE_MEMORY,
    RULE_PORTS,
    RULE_DISTINCT,
    RULE__COUNT,
} PlacementRule;

typedef struct {
    guint instances;            /* looked at */
    guint failing[RULE__COUNT]; /* how many fail each rule */
    gint closest;               /* index of the instance nearest to fitting; -1: there is none */
    PlacementRule rule;         /* the first one it fails */
} PlacementReason;

/* Why one more task of the request does not fit now. FALSE with INVALID_PARAMETER. */
gboolean placement_explain(const PlacementCluster *cluster, const PlacementRequest *request,
                           PlacementReason *ret_reason, GError **error);
/* The rules the instance fails, as bits 1 << rule; 0: it fits. */
gboolean placement_failing(const PlacementCluster *cluster, const PlacementRequest *request,
                           guint index, guint *ret_rules, GError **error);
/* Indices (guint) of the instances that fail none of these rules (bits 1 << rule). NULL with
 * INVALID_PARAMETER. */
GArray *placement_select(const PlacementCluster *cluster, const PlacementRequest *request,
                         guint rules, GError **error);
/* "RESOURCE:CPU", "AGENT": the reason in failures of RunTask; static. */
const char *placement_rule_reason(PlacementRule rule);
/* What service events say of the closest instance ("has insufficient CPU units available"); static.
 */
const char *placement_rule_event(PlacementRule rule);
/* A word for people ("cpu", "agent not connected"); static. */
const char *placement_rule_word(PlacementRule rule);
/* The smallest change that would make one more task fit: a sentence. Caller frees. */
char *placement_smallest_change(const PlacementCluster *cluster, const PlacementRequest *request,
                                const PlacementReason *reason);
