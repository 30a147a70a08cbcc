#include "agent/image_table.h"
#include "agent/image_name.h"

#include <string.h>

#define REFUSED_US (60 * G_USEC_PER_SEC) /* then Docker is asked again */

struct AgentImageTable {
    GHashTable *images; /* name -> AgentImage */
};

static void image_free(gpointer data)
{
    AgentImage *image = data;

    g_free(image->name);
    g_free(image->image);
    g_free(image);
}

AgentImageTable *agent_image_table_new(void)
{
    AgentImageTable *table = g_new0(AgentImageTable, 1);

    table->images = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, image_free);
    return table;
}

void agent_image_table_free(AgentImageTable *table)
{
    if (!table)
        return;
    g_hash_table_unref(table->images);
    g_free(table);
}

static AgentImage *find(const AgentImageTable *table, const char *image)
{
    g_autofree char *name = agent_image_name(image);

    return g_hash_table_lookup(table->images, name);
}

static AgentImage *find_or_add(AgentImageTable *table, const char *image)
{
    AgentImage *known = find(table, image);

    if (known)
        return known;
    known = g_new0(AgentImage, 1);
    known->name = agent_image_name(image);
    known->image = g_strdup(image);
    g_hash_table_insert(table->images, known->name, known);
    return known;
}

void agent_image_table_restore(AgentImageTable *table, const json_t *tree)
{
    const json_t *entry;
    gsize n;

    json_array_foreach(json_object_get(tree, "images"), n, entry)
    {
        const char *image = json_string_value(json_object_get(entry, "image"));
        gint64 since_us = json_integer_value(json_object_get(entry, "since_us"));
        gint64 used_us = json_integer_value(json_object_get(entry, "used_us"));
        if (!image || since_us <= 0)
            continue;
        AgentImage *known = find_or_add(table, image);
        known->foreign = json_is_true(json_object_get(entry, "foreign"));
        known->since_us = since_us;
        known->used_us = MAX(used_us, since_us);
    }
}

json_t *agent_image_table_save(const AgentImageTable *table)
{
    json_t *list = json_array();
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, table->images);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const AgentImage *image = value;
        json_array_append_new(list,
                              json_pack("{s:s, s:b, s:I, s:I}", "image", image->image, "foreign",
                                        image->foreign, "since_us", (json_int_t)image->since_us,
                                        "used_us", (json_int_t)image->used_us));
    }
    return json_pack("{s:o}", "images", list);
}

void agent_image_table_pulled(AgentImageTable *table, const char *image, gint64 now_us)
{
    AgentImage *known = find_or_add(table, image);

    known->foreign = FALSE;
    known->since_us = now_us;
    known->used_us = now_us;
}

gboolean agent_image_table_has(const AgentImageTable *table, const char *image)
{
    const AgentImage *known = find(table, image);

    return known && !known->foreign;
}

gboolean agent_image_table_used(AgentImageTable *table, const char *image, gint64 now_us)
{
    AgentImage *known = find(table, image);

    if (known)
        known->used_us = now_us;
    return known != NULL;
}

void agent_image_table_refused(AgentImageTable *table, const char *image, gint64 now_us)
{
    AgentImage *known = find(table, image);

    if (known)
        known->refused_us = now_us;
}

void agent_image_table_forget(AgentImageTable *table, const char *image)
{
    g_autofree char *name = agent_image_name(image);

    g_hash_table_remove(table->images, name);
}

void agent_image_table_list(AgentImageTable *table, const GPtrArray *images, gint64 now_us)
{
    g_autoptr(GHashTable) here = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer value;

    for (guint i = 0; i < images->len; i++) {
        g_hash_table_add(here, agent_image_name(images->pdata[i]));
        AgentImage *image = find_or_add(table, images->pdata[i]);
        if (image->since_us)
            continue;
        image->foreign = TRUE;
        image->since_us = now_us;
        image->used_us = now_us;
    }
    g_hash_table_iter_init(&iter, table->images);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const AgentImage *image = value;
        if (image->foreign && !g_hash_table_contains(here, image->name))
            g_hash_table_iter_remove(&iter);
    }
}

static gboolean may_go(const AgentImage *image, const AgentImageRule *rule)
{
    gint64 age_us = image->foreign ? rule->foreign_age_us : rule->age_us;

    return (!image->foreign || rule->foreign) && rule->now_us - image->since_us >= age_us &&
           (!image->refused_us || rule->now_us - image->refused_us >= REFUSED_US) &&
           !g_hash_table_contains(rule->needed, image->name);
}

const AgentImage *agent_image_table_oldest(const AgentImageTable *table, const AgentImageRule *rule)
{
    const AgentImage *oldest = NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, table->images);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const AgentImage *image = value;
        if (may_go(image, rule) &&
            (!oldest || image->used_us < oldest->used_us ||
             (image->used_us == oldest->used_us && strcmp(image->name, oldest->name) < 0)))
            oldest = image;
    }
    return oldest;
}
