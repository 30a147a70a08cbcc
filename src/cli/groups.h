/*
 * cli/groups.h - the tables of verbs, one for each file, and what those files share
 */
#pragma once

#include "cli/command.h"

extern const Command up_commands[];
extern const Command env_commands[];

/* One "berth up", "down" or "destroy" at a time. Error: COMMAND when another is at work. */
gboolean up_lock(const Config *config, GError **error);
