/*
 * model/policy.h - may this principal do this action? Pure: a decision, and the sentence for a "no"
 *
 * An account's root and users may do everything in their account. The admin service takes admin
 * accounts only. A session of the agent's role may make the calls of a container agent, nothing
 * else; that they are about its own instance is checked where the row is known. Any other session
 * may do nothing but ask who it is.
 * Error: ACCESS_DENIED. Source: IAM User Guide, "Policy evaluation logic".
 */
#pragma once

#include <glib.h>

typedef struct {
    gboolean session; /* temporary credentials of a role */
    gboolean agent;   /* ... of the role of container agents */
    gboolean admin;   /* of an account that may call the admin service */
    const char *principal_arn;
} PolicyPrincipal;

/* service and action as in policies ("ecs", "RunTask"); resource is the ARN it is about, or "*". */
gboolean policy_allow(const PolicyPrincipal *who, const char *service, const char *action,
                      const char *resource, GError **error);
