/*
 * agent/images.h - images that the agent pulled, kept in mind over restarts, and their clean-up
 *
 * By age: every interval, up to so many images go that no container of a task uses, that were
 * pulled long enough ago, and that were used longest ago. By disk space: as soon as less than the
 * minimum is free, all such images go one by one until it is, whatever their age, and after them
 * the containers of tasks that have stopped, oldest first. What others pulled stays unless the
 * configuration says otherwise. Docker refuses to remove what any container uses.
 * DIR/images.json keeps the table (image_table.h). The loop's thread owns everything here.
 * Source: ECS Developer Guide, "Automated task and image cleanup".
 */
#pragma once

#include "agent/engine.h"

/* Starts the timers. */
AgentImages *agent_images_new(AgentEngine *engine);

void agent_images_pulled(AgentImages *images, const char *image);
/* Whether this agent pulled it and has not removed it since. */
gboolean agent_images_has(const AgentImages *images, const char *image);
/* A container that used it was removed. */
void agent_images_used(AgentImages *images, const char *image);
/* Whether the image of this name (image_name.h) is being removed: a pull of it has to wait. */
gboolean agent_images_is_removing(const AgentImages *images, const char *name);
/* Looks at the disk now. */
void agent_images_check(AgentImages *images);
