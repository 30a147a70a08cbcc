/*
 * The order of instances. A strategy is a list of keys compared one after the other; the first keys
 * that spread over an attribute make levels of buckets, the rest orders instances in a bucket. Each
 * bucket is a heap of the buckets or instances below it, so the best instance is on top all the way
 * down and only that one path changes when it is taken: O(log n) for each task.
 */
#include "model/placement_internal.h"
#include "model/task_definition.h"

#include <string.h>

#define KEYS_MAX 8

typedef enum { KEY_ATTRIBUTE, KEY_COUNT, KEY_CPU, KEY_MEMORY, KEY_RANDOM } KeyKind;

typedef struct {
    KeyKind kind;
    const char *attribute;
    guint *bucket;  /* KEY_ATTRIBUTE: of each instance */
    GArray *counts; /* KEY_ATTRIBUTE: tasks of the group in each bucket */
} Key;

typedef struct {
    guint id;        /* of a bucket on the level above, or an instance on the lowest */
    GArray *members; /* heap of guint: buckets of the next level, or instances */
} Bucket;

struct PlacementPicker {
    PlacementCluster *cluster;
    PlacementCheck *check;
    Key keys[KEYS_MAX];
    guint key_count;
    guint levels;     /* leading KEY_ATTRIBUTE keys */
    gboolean scan;    /* an attribute key stands after others: look at every instance */
    GArray *eligible; /* scan: of guint */
    GPtrArray *bucket[KEYS_MAX + 1]; /* by level; level 0 has one, the root */
    guint64 random;
};

static void add_key(PlacementPicker *p, KeyKind kind, const char *attribute)
{
    if (p->key_count == KEYS_MAX || (p->key_count && p->keys[p->key_count - 1].kind == KEY_RANDOM))
        return;
    p->keys[p->key_count++] = (Key){ .kind = kind, .attribute = attribute };
}

static void compile(PlacementPicker *p, const json_t *strategy)
{
    const json_t *item;
    size_t n;

    json_array_foreach(strategy, n, item)
    {
        const char *type = tree_text(item, "type");
        const char *field = tree_text(item, "field");
        if (g_strcmp0(type, "random") == 0)
            add_key(p, KEY_RANDOM, NULL);
        else if (field && g_ascii_strncasecmp(field, "attribute:", 10) == 0)
            add_key(p, KEY_ATTRIBUTE, field + 10);
        else if (g_strcmp0(type, "binpack") == 0)
            add_key(p, field && g_ascii_strcasecmp(field, "cpu") == 0 ? KEY_CPU : KEY_MEMORY, NULL);
        else
            add_key(p, KEY_COUNT, NULL);
    }
    if (p->key_count == 0) {
        add_key(p, KEY_ATTRIBUTE, "ecs.availability-zone");
        add_key(p, KEY_COUNT, NULL);
    }
    while (p->levels < p->key_count && p->keys[p->levels].kind == KEY_ATTRIBUTE)
        p->levels++;
    for (guint k = p->levels; k < p->key_count; k++)
        p->scan |= p->keys[k].kind == KEY_ATTRIBUTE;
}

static guint group_count(const PlacementPicker *p, guint index)
{
    return p->check->group && index < p->check->group->len
               ? g_array_index(p->check->group, guint, index)
               : 0;
}

/* Numbers the buckets of one attribute key: instances are together when they share this attribute's
 * value and the bucket of the attribute key before it. A missing attribute is a value of its own.
 */
static void number_buckets(PlacementPicker *p, Key *key, const guint *outer)
{
    g_autoptr(GHashTable) numbers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    guint size = placement_cluster_size(p->cluster);

    key->bucket = g_new(guint, size);
    key->counts = g_array_new(FALSE, TRUE, sizeof(guint));
    for (guint i = 0; i < size; i++) {
        const char *value =
            g_hash_table_lookup(placement_instance(p->cluster, i)->attributes, key->attribute);
        g_autofree char *name =
            g_strdup_printf("%u%c%s", outer ? outer[i] : 0, value ? '=' : '-', value ? value : "");
        guint number = GPOINTER_TO_UINT(g_hash_table_lookup(numbers, name));
        if (!number) {
            number = g_hash_table_size(numbers) + 1;
            g_hash_table_insert(numbers, g_steal_pointer(&name), GUINT_TO_POINTER(number));
            g_array_set_size(key->counts, number);
        }
        key->bucket[i] = number - 1;
        g_array_index(key->counts, guint, number - 1) += group_count(p, i);
    }
}

static int compare_numbers(gint64 a, gint64 b)
{
    return a < b ? -1 : a > b;
}

static int compare_by_key(const PlacementPicker *p, const Key *key, guint a, guint b)
{
    switch (key->kind) {
    case KEY_ATTRIBUTE:
        return compare_numbers(g_array_index(key->counts, guint, key->bucket[a]),
                               g_array_index(key->counts, guint, key->bucket[b]));
    case KEY_COUNT:
        return compare_numbers(group_count(p, a), group_count(p, b));
    case KEY_CPU:
        return compare_numbers(placement_instance(p->cluster, a)->cpu,
                               placement_instance(p->cluster, b)->cpu);
    case KEY_MEMORY:
        return compare_numbers(placement_instance(p->cluster, a)->memory_mib,
                               placement_instance(p->cluster, b)->memory_mib);
    case KEY_RANDOM:
        break;
    }
    return 0;
}

/* Two instances by the keys from first on; a seeded order decides between equals. */
static int compare_instances(const PlacementPicker *p, guint first, guint a, guint b)
{
    for (guint k = first; k < p->key_count; k++) {
        int order = compare_by_key(p, &p->keys[k], a, b);
        if (order)
            return order;
    }
    guint64 x = placement_mix(p->cluster->seed, (guint64)placement_instance(p->cluster, a)->id);
    guint64 y = placement_mix(p->cluster->seed, (guint64)placement_instance(p->cluster, b)->id);
    return x < y ? -1 : x > y;
}

static Bucket *bucket_at(const PlacementPicker *p, guint level, guint id)
{
    return g_ptr_array_index(p->bucket[level], id);
}

/* Two members of a heap on this level: instances on the lowest, else buckets, of which the one with
 * fewer tasks is better, then the one whose best member is. */
static int compare_members(const PlacementPicker *p, guint level, guint a, guint b)
{
    while (level < p->levels) {
        const GArray *counts = p->keys[level].counts;
        int order =
            compare_numbers(g_array_index(counts, guint, a), g_array_index(counts, guint, b));
        if (order)
            return order;
        level++;
        a = g_array_index(bucket_at(p, level, a)->members, guint, 0);
        b = g_array_index(bucket_at(p, level, b)->members, guint, 0);
    }
    return compare_instances(p, p->levels, a, b);
}

static void sift_down(const PlacementPicker *p, guint level, GArray *heap, guint at)
{
    guint *item = (guint *)(void *)heap->data;

    for (;;) {
        guint best = at;
        for (guint child = 2 * at + 1; child <= 2 * at + 2 && child < heap->len; child++)
            if (compare_members(p, level, item[child], item[best]) < 0)
                best = child;
        if (best == at)
            return;
        guint swap = item[at];
        item[at] = item[best];
        item[best] = swap;
        at = best;
    }
}

static void heap_build(const PlacementPicker *p, guint level, GArray *heap)
{
    for (guint at = heap->len / 2; at-- > 0;)
        sift_down(p, level, heap, at);
}

static void heap_drop_top(const PlacementPicker *p, guint level, GArray *heap)
{
    g_array_remove_index_fast(heap, 0);
    sift_down(p, level, heap, 0);
}

static gboolean picks_at_random(const PlacementPicker *p)
{
    return p->levels < p->key_count && p->keys[p->levels].kind == KEY_RANDOM;
}

static void bucket_free(gpointer data)
{
    g_array_unref(((Bucket *)data)->members);
    g_free(data);
}

static void make_buckets(PlacementPicker *p)
{
    for (guint level = 0; level <= p->levels; level++) {
        guint count = level ? p->keys[level - 1].counts->len : 1;
        p->bucket[level] = g_ptr_array_new_with_free_func(bucket_free);
        for (guint id = 0; id < count; id++) {
            Bucket *bucket = g_new0(Bucket, 1);
            bucket->id = id;
            bucket->members = g_array_new(FALSE, FALSE, sizeof(guint));
            g_ptr_array_add(p->bucket[level], bucket);
        }
    }
}

/* Puts an instance into its bucket; a bucket's first member puts the bucket into the one above. */
static void add_instance(PlacementPicker *p, guint index)
{
    guint member = index;

    for (guint level = p->levels;; level--) {
        guint id = level ? p->keys[level - 1].bucket[index] : 0;
        GArray *members = bucket_at(p, level, id)->members;
        g_array_append_val(members, member);
        if (members->len > 1 || level == 0)
            return;
        member = id;
    }
}

PlacementPicker *placement_picker_new(PlacementCluster *cluster, PlacementCheck *check)
{
    PlacementPicker *p = g_new0(PlacementPicker, 1);
    const guint *outer = NULL;

    p->cluster = cluster;
    p->check = check;
    p->random = cluster->seed;
    check->group = g_hash_table_lookup(cluster->groups, check->request->group);
    compile(p, check->request->strategy);
    for (guint k = 0; k < p->key_count; k++)
        if (p->keys[k].kind == KEY_ATTRIBUTE) {
            number_buckets(p, &p->keys[k], outer);
            outer = p->keys[k].bucket;
        }
    p->eligible = g_array_new(FALSE, FALSE, sizeof(guint));
    make_buckets(p);
    for (guint i = 0; i < placement_cluster_size(cluster); i++) {
        if (placement_check_room(check, i) || placement_check_fixed(check, i))
            continue;
        if (p->scan)
            g_array_append_val(p->eligible, i);
        else
            add_instance(p, i);
    }
    for (guint level = p->levels + 1; level-- > 0;)
        for (guint id = 0; id < p->bucket[level]->len; id++)
            heap_build(p, level, bucket_at(p, level, id)->members);
    return p;
}

static gint scan_best(const PlacementPicker *p)
{
    gint best = -1;

    for (guint n = 0; n < p->eligible->len; n++) {
        guint index = g_array_index(p->eligible, guint, n);
        if (best < 0 || compare_instances(p, 0, index, (guint)best) < 0)
            best = (gint)index;
    }
    return best;
}

gint placement_picker_best(PlacementPicker *p)
{
    guint member = 0;

    if (p->scan)
        return scan_best(p);
    for (guint level = 0; level <= p->levels; level++) {
        GArray *members = bucket_at(p, level, member)->members;
        if (members->len == 0)
            return -1;
        if (level == p->levels && picks_at_random(p)) {
            p->random = placement_mix(p->random, members->len);
            guint at = (guint)(p->random % members->len);
            guint *item = (guint *)(void *)members->data;
            member = item[at];
            item[at] = item[0];
            item[0] = member;
        }
        member = g_array_index(members, guint, 0);
    }
    return (gint)member;
}

static void scan_taken(PlacementPicker *p, guint index)
{
    if (!placement_check_room(p->check, index))
        return;
    for (guint n = 0; n < p->eligible->len; n++)
        if (g_array_index(p->eligible, guint, n) == index) {
            g_array_remove_index_fast(p->eligible, n);
            return;
        }
}

void placement_picker_taken(PlacementPicker *p, guint index)
{
    gboolean empty = placement_check_room(p->check, index) != 0;

    for (guint k = 0; k < p->key_count; k++)
        if (p->keys[k].kind == KEY_ATTRIBUTE)
            g_array_index(p->keys[k].counts, guint, p->keys[k].bucket[index])++;
    if (p->scan) {
        scan_taken(p, index);
        return;
    }
    for (guint level = p->levels + 1; level-- > 0;) {
        guint id = level ? p->keys[level - 1].bucket[index] : 0;
        GArray *members = bucket_at(p, level, id)->members;
        if (empty)
            heap_drop_top(p, level, members);
        else
            sift_down(p, level, members, 0);
        empty = members->len == 0;
    }
}

void placement_picker_free(PlacementPicker *p)
{
    if (!p)
        return;
    for (guint k = 0; k < p->key_count; k++) {
        g_free(p->keys[k].bucket);
        g_clear_pointer(&p->keys[k].counts, g_array_unref);
    }
    for (guint level = 0; level <= p->levels; level++)
        g_clear_pointer(&p->bucket[level], g_ptr_array_unref);
    g_array_unref(p->eligible);
    g_free(p);
}
