/*
 * model/policy.h - may this principal do this action? Pure: a decision, and the sentence for a "no"
 *
 * An account's root and users may do everything in their account. The admin service takes admin
 * accounts only. Temporary credentials have a fixed scope by what they were made for, until roles
 * have policies: an instance's may make the calls of a container agent; an execution role's may
 * fetch what a task needs to start; a task's may ask for and change the task's own protection.
 * Those of AssumeRole may ask who they are, as anybody may, and nothing else. That a call is about
 * the caller's own instance or task is checked where the row is known. Error: ACCESS_DENIED.
 * Source: IAM User Guide, "Policy evaluation logic".
 */
#pragma once

#include <glib.h>

/* What temporary credentials were made for; SESSION_NONE: they are lasting ones. */
typedef enum {
    SESSION_NONE,
    SESSION_ASSUMED,   /* by AssumeRole */
    SESSION_INSTANCE,  /* an instance, and the container agent on it */
    SESSION_TASK,      /* the containers of a task */
    SESSION_EXECUTION, /* starting a task */
    SESSION__COUNT
} SessionKind;

/* The text of table "sessions"; SESSION_ASSUMED, which may do least, for an unknown one. */
const char *session_kind_name(SessionKind kind);
SessionKind session_kind_from(const char *name);

typedef struct {
    SessionKind session;
    gboolean admin; /* of an account that may call the admin service */
    const char *principal_arn;
} PolicyPrincipal;

/* service and action as in policies ("ecs", "RunTask"); resource is the ARN it is about, or "*". */
gboolean policy_allow(const PolicyPrincipal *who, const char *service, const char *action,
                      const char *resource, GError **error);
