/*
 * agent/image_table.h - which images the agent pulled, when each was used last, which one may go;
 * pure
 *
 * Images are known by their one name (image_name.h). What others pulled is listed only when it is
 * to be cleaned up as well: it is foreign, and its age counts from when it was seen first. Times
 * are UTC microseconds.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

typedef struct {
    char *name;
    char *image; /* as it was written: what Docker is told */
    gboolean foreign;
    gint64 since_us; /* pulled last, or seen first */
    gint64 used_us;  /* by a container, last; at least since_us */
    /* for this run only */
    gint64 refused_us; /* Docker would not remove it */
} AgentImage;

typedef struct AgentImageTable AgentImageTable;

AgentImageTable *agent_image_table_new(void);
void agent_image_table_free(AgentImageTable *table);

/* What is not an image's record in tree is passed over. */
void agent_image_table_restore(AgentImageTable *table, const json_t *tree);
json_t *agent_image_table_save(const AgentImageTable *table);

void agent_image_table_pulled(AgentImageTable *table, const char *image, gint64 now_us);
/* Whether it was pulled by this agent and not removed since. */
gboolean agent_image_table_has(const AgentImageTable *table, const char *image);
/* Some container used it until now; FALSE when it is not known. */
gboolean agent_image_table_used(AgentImageTable *table, const char *image, gint64 now_us);
void agent_image_table_refused(AgentImageTable *table, const char *image, gint64 now_us);
void agent_image_table_forget(AgentImageTable *table, const char *image);
/* All images that are here: new ones are foreign, foreign ones that are gone are forgotten. */
void agent_image_table_list(AgentImageTable *table, const GPtrArray *images, gint64 now_us);

typedef struct {
    gint64 now_us;
    gint64 age_us; /* younger ones stay */
    gint64 foreign_age_us;
    gboolean foreign;   /* may foreign ones go? */
    GHashTable *needed; /* names that stay whatever their age */
} AgentImageRule;

/* The image that was not used for the longest time, of those that may go; NULL: none may.
 * Borrowed. */
const AgentImage *agent_image_table_oldest(const AgentImageTable *table,
                                           const AgentImageRule *rule);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentImageTable, agent_image_table_free)
