/*
 * reconcile/kinds.h - the steps of each kind, as kinds.c lists them
 *
 * Each takes its object's id; see reconcile/step.h for what a step may do.
 */
#pragma once

#include "reconcile/step.h"

StepResult host_step(World *world, const char *host_id, gint64 *ret_again_ms, GError **error);
/* id is a libvirt URI: all that lies there is compared with the rows, by one listing. */
StepResult hypervisor_step(World *world, const char *uri, gint64 *ret_again_ms, GError **error);
/* Whether no connection of this process tells what happens there. */
gboolean hypervisor_is_due(World *world, const char *uri);
StepResult image_step(World *world, const char *image_id, gint64 *ret_again_ms, GError **error);
/* id is "HOST_ID/IMAGE_ID": the image's files in the host's pool. */
StepResult base_step(World *world, const char *id, gint64 *ret_again_ms, GError **error);
StepResult instance_step(World *world, const char *instance_id, gint64 *ret_again_ms,
                         GError **error);
/* ECS: ids are the numbers of the rows ("17"). */
StepResult service_step(World *world, const char *service_id, gint64 *ret_again_ms, GError **error);
StepResult cluster_step(World *world, const char *cluster_id, gint64 *ret_again_ms, GError **error);
StepResult container_instance_step(World *world, const char *ci_id, gint64 *ret_again_ms,
                                   GError **error);
/* id is "region" or "identity": the database whose old rows go. */
StepResult janitor_step(World *world, const char *id, gint64 *ret_again_ms, GError **error);
StepResult bootstrap_step(World *world, const char *instance_id, gint64 *ret_again_ms,
                          GError **error);
