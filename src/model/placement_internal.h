/*
 * model/placement_internal.h - between placement.c, placement_pick.c and placement_reason.c
 */
#pragma once

#include "model/cluster_query.h"
#include "model/placement.h"

struct PlacementCluster {
    guint64 seed;
    GArray *instances;      /* of PlacementInstance */
    GHashTable *index;      /* id (gint64 *, owned) -> index + 1 */
    GHashTable *attributes; /* JSON text -> GHashTable */
    GHashTable *groups;     /* group -> GArray of guint, one for each instance */
};

/* A request with its expressions parsed and what is equal for equal attributes remembered. */
typedef struct {
    const PlacementCluster *cluster;
    const PlacementRequest *request;
    GPtrArray *queries; /* of ClusterQuery */
    gboolean distinct;
    GHashTable *attribute_verdicts; /* attributes table -> 1 + whether it has what is required */
    const GArray *group;            /* counts of the request's group; NULL: none anywhere */
} PlacementCheck;

gboolean placement_check_init(PlacementCheck *check, const PlacementCluster *cluster,
                              const PlacementRequest *request, GError **error);
void placement_check_clear(PlacementCheck *check);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PlacementCheck, placement_check_clear)

/* Rules that do not change while tasks are placed, and those that do. */
guint placement_check_fixed(PlacementCheck *check, guint index);
guint placement_check_room(const PlacementCheck *check, guint index);

/* placement_pick.c: the best instances one after the other. */
typedef struct PlacementPicker PlacementPicker;
PlacementPicker *placement_picker_new(PlacementCluster *cluster, PlacementCheck *check);
/* The best instance that has room; -1 when none has. Then the caller takes the room and says so. */
gint placement_picker_best(PlacementPicker *picker);
void placement_picker_taken(PlacementPicker *picker, guint index);
void placement_picker_free(PlacementPicker *picker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlacementPicker, placement_picker_free)

/* A number that looks random and is a function of its arguments (splitmix64). */
static inline guint64 placement_mix(guint64 seed, guint64 value)
{
    guint64 z = seed + (value + 1) * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
