#include "catalog/catalog.h"

#include <string.h>

#define ROW(row_mode, row_resource)                                                                \
    {                                                                                              \
        .mode = ACTION_##row_mode, .resource = row_resource                                        \
    }

#define ACTION(operation, function, mode, resource) [OP_EC2_##operation] = ROW(mode, resource),
static const Action ec2_actions[OP_EC2__COUNT] = {
#include "catalog/ec2.def"
};
#undef ACTION
#define ACTION(operation, function, mode, resource) [OP_ECS_##operation] = ROW(mode, resource),
static const Action ecs_actions[OP_ECS__COUNT] = {
#include "catalog/ecs.def"
};
#undef ACTION
#define ACTION(operation, function, mode, resource) [OP_IAM_##operation] = ROW(mode, resource),
static const Action iam_actions[OP_IAM__COUNT] = {
#include "catalog/iam.def"
};
#undef ACTION
#define ACTION(operation, function, mode, resource) [OP_STS_##operation] = ROW(mode, resource),
static const Action sts_actions[OP_STS__COUNT] = {
#include "catalog/sts.def"
};
#undef ACTION
#define ACTION(operation, function, mode, resource) [OP_BERTH_##operation] = ROW(mode, resource),
static const Action berth_actions[OP_BERTH__COUNT] = {
#include "catalog/berth.def"
};
#undef ACTION
#define ACTION(operation, function, mode, resource) [OP_SSM_##operation] = ROW(mode, resource),
static const Action ssm_actions[OP_SSM__COUNT] = {
#include "catalog/ssm.def"
};
#undef ACTION
#define ACTION(operation, function, mode, resource)                                                \
    [OP_SECRETSMANAGER_##operation] = ROW(mode, resource),
static const Action secretsmanager_actions[OP_SECRETSMANAGER__COUNT] = {
#include "catalog/secretsmanager.def"
};
#undef ACTION
#define ACTION(operation, function, mode, resource)                                                \
    [OP_CLOUDWATCH_##operation] = ROW(mode, resource),
static const Action cloudwatch_actions[OP_CLOUDWATCH__COUNT] = {
#include "catalog/cloudwatch.def"
};
#undef ACTION

static const Action *const service_actions[SERVICE__COUNT] = {
    [SERVICE_EC2] = ec2_actions,
    [SERVICE_ECS] = ecs_actions,
    [SERVICE_IAM] = iam_actions,
    [SERVICE_STS] = sts_actions,
    [SERVICE_BERTH] = berth_actions,
    [SERVICE_SSM] = ssm_actions,
    [SERVICE_SECRETSMANAGER] = secretsmanager_actions,
    [SERVICE_CLOUDWATCH] = cloudwatch_actions,
};

const Service *catalog_by_target(const char *target, const char **ret_action)
{
    const char *dot = strrchr(target, '.');

    for (guint i = 0; dot && i < SERVICE__COUNT; i++) {
        const char *prefix = catalog_services[i].target_prefix;
        gsize length = prefix ? strlen(prefix) : 0;

        if (!prefix || length != (gsize)(dot - target) || strncmp(prefix, target, length) != 0)
            continue;
        *ret_action = dot + 1;
        return &catalog_services[i];
    }
    return NULL;
}

const Service *catalog_by_version(const char *version)
{
    for (guint i = 0; i < SERVICE__COUNT; i++)
        if (catalog_services[i].protocol != PROTOCOL_JSON &&
            g_str_equal(catalog_services[i].api_version, version))
            return &catalog_services[i];
    return NULL;
}

const Service *catalog_by_signing_name(const char *signing_name, const char *version)
{
    const Service *found = NULL;

    for (guint i = 0; i < SERVICE__COUNT; i++) {
        const Service *service = &catalog_services[i];
        if (!g_str_equal(service->signing_name, signing_name))
            continue;
        if (!version || g_str_equal(service->api_version, version))
            return service;
        if (!found)
            found = service;
    }
    return found;
}

const Operation *catalog_operation(const Service *service, const char *name)
{
    guint low = 0, high = service->operation_count;

    while (low < high) {
        guint middle = (low + high) / 2;
        int order = strcmp(name, operation_name(&service->operations[middle]));
        if (order == 0)
            return &service->operations[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const Action *catalog_action(const Service *service, const Operation *operation)
{
    const Action *action =
        &service_actions[service->id][catalog_operation_index(service, operation)];

    return action->mode ? action : NULL;
}

const Operation *catalog_require(const Service *service, const char *name, GError **error)
{
    const Operation *operation = catalog_operation(service, name);

    if (!operation && service->protocol == PROTOCOL_QUERY)
        return fail_null(error, UNKNOWN_ACTION, "Could not find operation %s for version %s", name,
                         service->api_version);
    if (!operation)
        return fail_null(error, UNKNOWN_ACTION, "The action %s is not valid for this web service.",
                         name);
    if (!catalog_action(service, operation))
        return fail_null(error, UNSUPPORTED,
                         "The functionality you requested is not available in this region: "
                         "action %s is not built",
                         name);
    return operation;
}

ErrorDialect catalog_dialect(const Service *service)
{
    static const ErrorDialect dialects[] = {
        [PROTOCOL_EC2] = ERROR_DIALECT_EC2,
        [PROTOCOL_QUERY] = ERROR_DIALECT_QUERY,
        [PROTOCOL_JSON] = ERROR_DIALECT_JSON,
    };

    return dialects[service->protocol];
}
