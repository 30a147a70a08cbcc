/*
 * handlers/explain.h - the facts behind an object, for "berth why"
 *
 * Explain finds the kind by the form of the id and lets its function write sections. ECS kinds
 * (tasks, services, container instances, clusters) are written by handlers/explain_ecs.c.
 */
#pragma once

#include "handlers/request.h"

/* An answer of Explain as it grows. */
typedef struct {
    json_t *answer; /* {Id, Kind, Summary, Sections} */
} Explanation;

void explanation_set(Explanation *e, const char *kind, const char *summary);
/* Begins a section; facts go to the last one begun. */
void explanation_section(Explanation *e, const char *title);
/* A fact of the section; one without a value is left out. */
void explanation_fact(Explanation *e, const char *name, const char *value);
void explanation_int(Explanation *e, const char *name, gint64 value);
/* UTC microseconds; 0 is left out. */
void explanation_time(Explanation *e, const char *name, gint64 us);
/* Sections "Retries" and "History" of the object, as far as there is anything to tell. */
gboolean explanation_add_past(Explanation *e, Request *rq, const char *kind, const char *id,
                              GError **error);
/* Its history alone. */
gboolean explanation_add_history(Explanation *e, Request *rq, const char *id, GError **error);

/* Whether this id is of a kind it knows; *ret_mine says so, and then e is filled. */
typedef gboolean (*ExplainFunction)(Request *rq, const char *id, Explanation *e, gboolean *ret_mine,
                                    GError **error);

/* handlers/explain_capacity.c: instance types and zones, by name. */
gboolean explain_type(Request *rq, const char *id, Explanation *e, gboolean *ret_mine,
                      GError **error);
gboolean explain_zone(Request *rq, const char *id, Explanation *e, gboolean *ret_mine,
                      GError **error);

/* handlers/explain_ecs.c: tasks, services, container instances and clusters, by id or ARN. */
gboolean explain_ecs(Request *rq, const char *id, Explanation *e, gboolean *ret_mine,
                     GError **error);
