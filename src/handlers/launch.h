/*
 * handlers/launch.h - RunInstances: the request, checked and made into rows' words
 *
 * launch_plan.c reads and checks; launch.c admits and writes.
 */
#pragma once

#include "handlers/request.h"
#include "model/default_network.h"
#include "model/image.h"
#include "store/instance_types.h"
#include "store/key_pairs.h"

typedef struct {
    guint minimum, maximum;
    Image *image;
    InstanceType *type;
    KeyPair *key; /* NULL: none */
    DefaultNetwork *net;
    char *zone_name;   /* NULL: any */
    GBytes *user_data; /* NULL: none */
    char *profile;     /* NULL: none */
    char *cluster;     /* that its agent registers in; NULL: no agent is asked for */
    gint root_gib;
    json_t *details; /* given back by Describe */
} LaunchPlan;

void launch_plan_free(LaunchPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaunchPlan, launch_plan_free)

/* Checks every parameter; what is not built is UNSUPPORTED and named. */
LaunchPlan *launch_plan_new(Request *rq, GError **error);
/* User data from its base64 form: USER_DATA_MALFORMED, or INVALID_PARAMETER when too long. */
GBytes *launch_user_data(const char *base64, GError **error);
/* The type of this name; INVALID_PARAMETER in EC2's words when there is none. */
InstanceType *launch_type(Request *rq, const char *name, GError **error);
