/*
 * handlers/services.h - services as trees
 *
 * Results are new references. Errors are those of the store.
 */
#pragma once

#include "handlers/ecs_common.h"
#include "store/services.h"

/* Many (a GPtrArray of EcsService) with their deployments, events and, where asked, tags: three
 * statements however many they are. */
json_t *services_answer(Request *rq, GPtrArray *services, gboolean with_tags, GError **error);
/* One, as CreateService, UpdateService and DeleteService answer it: {service}. */
json_t *service_answer(Request *rq, gint64 service_id, GError **error);
