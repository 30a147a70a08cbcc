/*
 * handlers/filters.h - Filters of the Describe actions, matched against the answer's own trees
 *
 * A table gives each filter the path of the members it compares, so a filter can only mean what
 * the answer shows. Lists on the way are looked into. "^" in front: the path begins at the outer
 * tree (the reservation of an instance). "@" in front: a timestamp, compared in ISO 8601.
 * Within a filter values are alternatives, several filters must all match; a filter without
 * values matches nothing. Booleans are compared in any case.
 * Source: EC2 User Guide "List and filter"; API Reference "Filter".
 */
#pragma once

#include "handlers/request.h"

typedef struct {
    const char *name; /* "instance-state-name" */
    const char *path; /* "State.Name" */
} FilterName;

typedef struct Filters Filters;

/* Reads the request's Filters. names ends with a NULL name; tags: "tag:KEY", "tag-key" and
 * "tag-value" compare member Tags. Errors: INVALID_PARAMETER in EC2's words for an unknown name or
 * too many values. */
Filters *filters_new(const Request *rq, const FilterName *names, gboolean tags, GError **error);
void filters_free(Filters *filters);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Filters, filters_free)

gboolean filters_none(const Filters *filters);
/* outer may be NULL. */
gboolean filters_match(const Filters *filters, const json_t *item, const json_t *outer);
