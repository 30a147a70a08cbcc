/*
 * cli/agent_roll.h - another agent on the machines of a cluster, one by one; parts of installing it
 *
 * Errors: COMMAND; NOT_FOUND; GAVE_UP; those of client.h and machine.h.
 */
#pragma once

#include "cli/command.h"

#include <jansson.h>

/* The command of that name. */
gboolean run_agent_upgrade(Cli *cli, GError **error);

/* --image, or the installed archive. Caller frees. */
char *agent_archive(Cli *cli, GError **error);
/* Puts the archive into the folder there. Takes argv (cli/machine.h). */
gboolean agent_place(GPtrArray *argv, const char *archive, const char *folder, GError **error);
/* The agent of an instance in the command's cluster. A new reference. Error: NOT_FOUND. */
json_t *agent_get(Cli *cli, const char *instance_id, GError **error);
/* Waits until it is connected by a channel opened after that time, and (sha256 not NULL) was seen
 * with that archive. */
gboolean agent_wait(Cli *cli, const char *instance_id, gint64 after_us, const char *sha256,
                    gint64 timeout_s, GError **error);
