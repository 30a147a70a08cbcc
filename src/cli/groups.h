/*
 * cli/groups.h - the tables of verbs, one for each file, and what those files share
 */
#pragma once

#include "cli/command.h"
#include "cli/install.h"

extern const Command up_commands[];
extern const Command down_commands[];
extern const Command destroy_commands[];
extern const Command status_commands[];
extern const Command env_commands[];
extern const Command where_commands[];
extern const Command who_commands[];
extern const Command image_commands[];
extern const Command key_commands[];
extern const Command instance_commands[];
extern const Command ssh_commands[];
extern const Command cluster_commands[];
extern const Command task_commands[];
extern const Command service_commands[];
extern const Command top_commands[];
extern const Command endpoint_commands[];
extern const Command registry_commands[];
extern const Command why_commands[];
extern const Command session_commands[];
extern const Command logs_commands[];
extern const Command agent_commands[];
extern const Command secret_commands[];

/* One "berth up", "down" or "destroy" at a time. Error: GAVE_UP after two minutes. */
gboolean up_lock(const Config *config, GError **error);
/* Stops one daemon of ours, and libvirt where "berth up" started it and nobody needs it; each is a
 * step of its own. */
gboolean down_daemon(const Install *in, const char *name, GError **error);
gboolean down_libvirt(const Install *in, GError **error);
