#include "handlers/table.h"

#define ACTION(operation, function, mode, resource) [OP_BERTH_##operation] = function,
static const ActionHandler berth_handlers[OP_BERTH__COUNT] = {
#include "catalog/berth.def"
};
#undef ACTION

#define ACTION(operation, function, mode, resource) [OP_EC2_##operation] = function,
static const ActionHandler ec2_handlers[OP_EC2__COUNT] = {
#include "catalog/ec2.def"
};
#undef ACTION

#define ACTION(operation, function, mode, resource) [OP_ECS_##operation] = function,
static const ActionHandler ecs_handlers[OP_ECS__COUNT] = {
#include "catalog/ecs.def"
};
#undef ACTION

#define ACTION(operation, function, mode, resource) [OP_IAM_##operation] = function,
static const ActionHandler iam_handlers[OP_IAM__COUNT] = {
#include "catalog/iam.def"
};
#undef ACTION

#define ACTION(operation, function, mode, resource) [OP_STS_##operation] = function,
static const ActionHandler sts_handlers[OP_STS__COUNT] = {
#include "catalog/sts.def"
};
#undef ACTION

#define ACTION(operation, function, mode, resource) [OP_SSM_##operation] = function,
static const ActionHandler ssm_handlers[OP_SSM__COUNT] = {
#include "catalog/ssm.def"
};
#undef ACTION

#define ACTION(operation, function, mode, resource) [OP_SECRETSMANAGER_##operation] = function,
static const ActionHandler secretsmanager_handlers[OP_SECRETSMANAGER__COUNT] = {
#include "catalog/secretsmanager.def"
};
#undef ACTION

#define ACTION(operation, function, mode, resource) [OP_CLOUDWATCH_##operation] = function,
static const ActionHandler cloudwatch_handlers[OP_CLOUDWATCH__COUNT] = {
#include "catalog/cloudwatch.def"
};
#undef ACTION

static const ActionHandler *const handlers[SERVICE__COUNT] = {
    [SERVICE_BERTH] = berth_handlers,
    [SERVICE_EC2] = ec2_handlers,
    [SERVICE_ECS] = ecs_handlers,
    [SERVICE_IAM] = iam_handlers,
    [SERVICE_STS] = sts_handlers,
    [SERVICE_SSM] = ssm_handlers,
    [SERVICE_SECRETSMANAGER] = secretsmanager_handlers,
    [SERVICE_CLOUDWATCH] = cloudwatch_handlers,
};

ActionHandler handler_find(const Service *service, const Operation *operation)
{
    return handlers[service->id][catalog_operation_index(service, operation)];
}
