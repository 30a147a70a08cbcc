/*
 * catalog/catalog.h - what is served: services, their operations, and which of them are built
 *
 * Services and operations are generated (modelc); the rows of *.def say which operations have a
 * handler, how it uses the database, and on which resource it is authorised:
 *
 *     ACTION(StopInstances, stop_instances, DB_WRITE, "instance/${InstanceId}")
 *
 * A row's operation must exist in the model, or the compiler refuses OP_EC2_StopInstances.
 * handlers/ includes the same files to build its tables, indexed by the same enums:
 *
 *     #define ACTION(operation, function, mode, resource) [OP_EC2_##operation] = function,
 *     static const Handler ec2_handlers[OP_EC2__COUNT] = {
 *     #include "catalog/ec2.def"
 *     };
 */
#pragma once

#include "catalog/operations.h" /* generated: ServiceId, OP_EC2_..., OP_ECS_... */
#include "base/errors.h"
#include "shape/shape.h"

typedef enum {
    ACTION_DB_READ = 1, /* reads the region's database */
    ACTION_DB_WRITE,
    ACTION_ID_READ, /* reads the identity database */
    ACTION_ID_WRITE,
} ActionMode;

typedef struct {
    ActionMode mode;      /* 0: not built */
    const char *resource; /* tail of the ARN it is authorised on; ${Member} from the request; "*" */
} Action;

extern const Service catalog_services[SERVICE__COUNT];

/* The service whose JSON target this is ("AmazonEC2ContainerServiceV20141113.RunTask"), and the
 * action's name inside target; NULL when no service has the prefix. */
const Service *catalog_by_target(const char *target, const char **ret_action);
/* The service with this API version date, which Query requests carry; NULL for none. */
const Service *catalog_by_version(const char *version);
/* The service with this name in the credential scope; version (may be NULL) decides between several
 * that share one. NULL for none. */
const Service *catalog_by_signing_name(const char *signing_name, const char *version);
/* The operation of this name; NULL when the model has none. */
const Operation *catalog_operation(const Service *service, const char *name);
/* Its number: OP_EC2_... and so on. */
static inline guint catalog_operation_index(const Service *service, const Operation *operation)
{
    return (guint)(operation - service->operations);
}
/* How it is built; NULL when it has no handler. */
const Action *catalog_action(const Service *service, const Operation *operation);
/* What a request names, or why it cannot be served: UNKNOWN_ACTION (not in the model), UNSUPPORTED
 * (in the model, no handler). */
const Operation *catalog_require(const Service *service, const char *name, GError **error);
/* The dialect in which the service's errors are written. */
ErrorDialect catalog_dialect(const Service *service);
