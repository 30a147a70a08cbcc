/*
 * cli/session.h - sessions into containers: asked of the control plane, made over ssh
 *
 * Errors: those of client.h and machine.h.
 */
#pragma once

#include "cli/command.h"

#include <jansson.h>

/* StartTaskSession: the control plane checks and keeps it. container may be NULL: the first.
 * command: what to run, taken; NULL for logs. A new reference. */
json_t *session_start(Cli *cli, const char *task, const char *container, json_t *command,
                      GError **error);
/* What to run here for docker with these words, the container's id, and the words from `after` on.
 * after NULL: it reads nothing and is over when its input is. Ends with NULL; caller frees. */
GPtrArray *session_argv(Cli *cli, const json_t *session, const char *const *words,
                        const char *const *after, gboolean tty, GError **error);
