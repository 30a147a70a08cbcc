/*
 * cli/explain.h - a call as the line of the stock aws command that makes the same call
 *
 * Pure. Source: botocore's xform_name for names; the AWS CLI's ways of its own (--count,
 * --user-data in clear).
 */
#pragma once

#include <jansson.h>

/* "aws ec2 run-instances --image-id ami-... --count 2", quoted for a shell; NULL when the stock
 * command does not know the service. Caller frees. */
char *explain_aws(const char *service, const char *action, const json_t *params);
