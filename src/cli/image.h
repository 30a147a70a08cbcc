/*
 * cli/image.h - what other verbs ask about images and agents
 */
#pragma once

#include "cli/command.h"

#include <jansson.h>

/* An image's id from its id, its name, or the beginning of its name up to a dash: the newest of
 * those. Error: NOT_FOUND. Caller frees. */
char *image_resolve(Cli *cli, const char *name, GError **error);
/* Waits until the container agent of every instance (an array of ids) has registered. */
gboolean agents_wait(Cli *cli, const json_t *ids, const char *cluster, GError **error);
