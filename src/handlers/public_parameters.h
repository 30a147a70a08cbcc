/*
 * handlers/public_parameters.h - SSM's parameters that every account reads: the newest machine
 * image
 *
 * Stock examples and ecs-cli find the image for container instances by these names. It is the
 * newest image the caller sees whose name is "ecs-optimized", or begins so. Source: ECS Developer
 * Guide, "Retrieving Amazon ECS-optimized Linux AMI metadata".
 */
#pragma once

#include "handlers/request.h"

/* Whether name is one of Amazon's public ones ("/aws/service/..."). */
gboolean public_parameter_is(const char *name);
/* As GetParameter shows it. NULL without an error when there is none. New reference. */
json_t *public_parameter(Request *rq, const char *name, GError **error);
