#include "model/policy.h"
#include "base/errors.h"

#include <string.h>

static const char *const kind_names[SESSION__COUNT] = {
    [SESSION_NONE] = "none", [SESSION_ASSUMED] = "assumed",     [SESSION_INSTANCE] = "instance",
    [SESSION_TASK] = "task", [SESSION_EXECUTION] = "execution",
};

const char *session_kind_name(SessionKind kind)
{
    return kind_names[kind];
}

SessionKind session_kind_from(const char *name)
{
    for (guint kind = SESSION_ASSUMED; kind < SESSION__COUNT; kind++)
        if (g_strcmp0(kind_names[kind], name) == 0)
            return (SessionKind)kind;
    return SESSION_ASSUMED;
}

/* The scopes are those of Amazon's managed policies AmazonEC2ContainerServiceforEC2Role and
 * AmazonECSTaskExecutionRolePolicy (with what secrets need), as far as there are such calls. */
static const struct {
    SessionKind kind;
    const char *service;
    const char *action;
} scopes[] = {
    { SESSION_INSTANCE, "ecs", "CreateCluster" },
    { SESSION_INSTANCE, "ecs", "DeregisterContainerInstance" },
    { SESSION_INSTANCE, "ecs", "DiscoverPollEndpoint" },
    { SESSION_INSTANCE, "ecs", "ListTagsForResource" },
    { SESSION_INSTANCE, "ecs", "Poll" },
    { SESSION_INSTANCE, "ecs", "RegisterContainerInstance" },
    { SESSION_INSTANCE, "ecs", "StartTelemetrySession" },
    { SESSION_INSTANCE, "ecs", "SubmitAttachmentStateChanges" },
    { SESSION_INSTANCE, "ecs", "SubmitContainerStateChange" },
    { SESSION_INSTANCE, "ecs", "SubmitTaskStateChange" },
    { SESSION_INSTANCE, "ecs", "UpdateContainerInstancesState" },
    { SESSION_EXECUTION, "ecr", "BatchCheckLayerAvailability" },
    { SESSION_EXECUTION, "ecr", "BatchGetImage" },
    { SESSION_EXECUTION, "ecr", "GetAuthorizationToken" },
    { SESSION_EXECUTION, "ecr", "GetDownloadUrlForLayer" },
    { SESSION_EXECUTION, "logs", "CreateLogStream" },
    { SESSION_EXECUTION, "logs", "PutLogEvents" },
    { SESSION_EXECUTION, "secretsmanager", "GetSecretValue" },
    { SESSION_EXECUTION, "ssm", "GetParameters" },
    { SESSION_TASK, "ecs", "GetTaskProtection" },
    { SESSION_TASK, "ecs", "UpdateTaskProtection" },
};

static gboolean session_may(SessionKind kind, const char *service, const char *action)
{
    for (gsize i = 0; i < G_N_ELEMENTS(scopes); i++)
        if (scopes[i].kind == kind && strcmp(scopes[i].service, service) == 0 &&
            strcmp(scopes[i].action, action) == 0)
            return TRUE;
    return FALSE;
}

static gboolean may(const PolicyPrincipal *who, const char *service, const char *action)
{
    if (strcmp(service, "sts") == 0 && strcmp(action, "GetCallerIdentity") == 0)
        return TRUE;
    if (who->session != SESSION_NONE)
        return session_may(who->session, service, action);
    return strcmp(service, "berth") != 0 || who->admin;
}

gboolean policy_allow(const PolicyPrincipal *who, const char *service, const char *action,
                      const char *resource, GError **error)
{
    if (may(who, service, action))
        return TRUE;
    return fail(error, ACCESS_DENIED,
                "User: %s is not authorized to perform: %s:%s on resource: %s because no "
                "identity-based policy allows the %s:%s action",
                who->principal_arn, service, action, resource, service, action);
}
