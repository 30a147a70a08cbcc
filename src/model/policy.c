#include "model/policy.h"
#include "base/errors.h"

#include <string.h>

/* Amazon's managed policy AmazonEC2ContainerServiceforEC2Role, as far as there are such calls. */
static const char *const agent_actions[] = {
    "CreateCluster",
    "DeregisterContainerInstance",
    "DiscoverPollEndpoint",
    "ListTagsForResource",
    "Poll",
    "RegisterContainerInstance",
    "StartTelemetrySession",
    "SubmitAttachmentStateChanges",
    "SubmitContainerStateChange",
    "SubmitTaskStateChange",
    "UpdateContainerInstancesState",
};

static gboolean agent_may(const char *service, const char *action)
{
    if (strcmp(service, "ecs") != 0)
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(agent_actions); i++)
        if (strcmp(agent_actions[i], action) == 0)
            return TRUE;
    return FALSE;
}

static gboolean may(const PolicyPrincipal *who, const char *service, const char *action)
{
    if (strcmp(service, "sts") == 0 && strcmp(action, "GetCallerIdentity") == 0)
        return TRUE;
    if (who->session)
        return who->agent && agent_may(service, action);
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
