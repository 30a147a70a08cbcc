/*
 * agent/image_pull.h - pulls of images: equal ones shared, each with its progress
 *
 * Whether the registry is asked at all is the configuration's pull behaviour: default and always
 * ask; once asks when this agent has not pulled the image before; prefer-cached when it is not
 * here. Containers that want the same image with the same credentials wait for one pull. The loop's
 * thread owns everything here.
 * Source: ECS Developer Guide, ECS_IMAGE_PULL_BEHAVIOR.
 */
#pragma once

#include "agent/act.h"
#include "agent/engine.h"

AgentPulls *agent_pulls_new(AgentEngine *engine);

/* The act ACT_PULL of a container. Takes job; done(job) is called when it is over, with the outcome
 * for this container. FALSE when it cannot begin yet, for its credentials have not come: then job
 * is not taken. */
gboolean agent_pulls_add(AgentPulls *pulls, const AgentTask *task, const AgentContainer *container,
                         AgentActJob *job, LoopCall done);

/* The container does not need its image any more: its job is handed back (given up), and the pull
 * is cancelled when it was the last that waited. Nothing when it waits for none. */
void agent_pulls_leave(AgentPulls *pulls, const char *task_arn, const char *container);

/* Adds the names of images that are being pulled. */
void agent_pulls_names(const AgentPulls *pulls, GHashTable *names);
/* A name that was being removed is free again. */
void agent_pulls_resume(AgentPulls *pulls);

/* call is called once a second as long as an image is on its way, and once after. */
void agent_pulls_watch(AgentPulls *pulls, LoopCall call, gpointer user);
/* [{taskArn, containers: [{containerName, status, percent, currentBytes, totalBytes, layers,
 * layersDone, reason?}]}]; status is PULLING, EXTRACTING, PULLED or FAILED. Caller owns. */
json_t *agent_pulls_progress(const AgentPulls *pulls);
