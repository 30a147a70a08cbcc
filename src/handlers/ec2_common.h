/*
 * handlers/ec2_common.h - what the EC2 actions share: ids, tags, parameters that are not built
 *
 * Callers own results. Errors are in EC2's words.
 */
#pragma once

#include "handlers/request.h"
#include "model/default_network.h"
#include "store/tags.h"

/* The strings of a list parameter, ended by NULL; NULL when it is absent or empty. Free the array
 * only: the strings are the request's. */
const char **request_strings(const Request *rq, const char *name);
/* The same of any list. */
const char **json_strings(const json_t *list);
/* Text at a path of objects below tree ("Placement.AvailabilityZone"); NULL when absent. */
const char *json_text_at(const json_t *tree, const char *path);

/* Refuses, with UNSUPPORTED and its name, every parameter that is not in supported (ended by NULL);
 * DryRun and ClientToken are always taken. */
gboolean ec2_refuse_others(const json_t *params, const char *inside, const char *const *supported,
                           GError **error);
#define EC2_ONLY(rq, error, ...)                                                                   \
    ec2_refuse_others((rq)->params, "", (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL },  \
                      (error))

/* Whether each is an instance id by its form; else INSTANCE_ID_MALFORMED. */
gboolean ec2_check_instance_ids(const char *const *ids, GError **error);
/* MISSING_PARAMETER naming the wire's parameter. */
gboolean ec2_missing(const char *wire_name, GError **error);

/* The caller's default network. */
DefaultNetwork *ec2_network(const Request *rq, GError **error);

/* -- tags */

/* The tags of these ids: id -> json array of {Key, Value}. ids ends with NULL. */
GHashTable *ec2_tags_of(Request *rq, const char *const *ids, GError **error);
/* Adds member Tags when the resource has any. */
void ec2_tags_add(GHashTable *tags, const char *id, json_t *item);
/* Checks a list of {Key, Value}: lengths, reserved prefix, number. */
gboolean ec2_tags_check(const json_t *tags, GError **error);
/* Checks TagSpecifications: types must be among allowed (ended by NULL). */
gboolean ec2_tag_specifications_check(const Request *rq, const char *const *allowed,
                                      GError **error);
/* Writes the tags that TagSpecifications has for this type on each of ids, count of them. */
gboolean ec2_tag_specifications_set(Request *rq, const char *type, const char *const *ids,
                                    guint count, GError **error);
/* The tags given for a type as a list of {Key, Value}; NULL for none. Borrowed. */
json_t *ec2_tag_specification(const Request *rq, const char *type);
