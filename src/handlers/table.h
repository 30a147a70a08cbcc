/*
 * handlers/table.h - every handler, declared and found by the catalogue's rows
 *
 * A row ACTION(RunTask, run_task, DB_WRITE, "...") of catalog/ecs.def names the function that
 * serves it; the file that defines run_task includes this header, so the compiler compares them.
 * A row whose function does not exist does not link.
 */
#pragma once

#include "catalog/catalog.h"
#include "handlers/request.h"

#define ACTION(operation, function, mode, resource) json_t *function(Request *rq, GError **error);
#include "catalog/berth.def"
#include "catalog/cloudwatch.def"
#include "catalog/ec2.def"
#include "catalog/ecs.def"
#include "catalog/iam.def"
#include "catalog/secretsmanager.def"
#include "catalog/ssm.def"
#include "catalog/sts.def"
#undef ACTION

/* The handler of an operation; NULL when it has none. */
ActionHandler handler_find(const Service *service, const Operation *operation);
