/*
 * handlers/external_json.h - an external instance as a tree of the admin service
 */
#pragma once

#include "store/external_instances.h"

#include <jansson.h>

/* A new reference. */
json_t *external_json(const ExternalInstance *instance);
