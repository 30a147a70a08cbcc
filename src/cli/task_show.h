/*
 * cli/task_show.h - a task as a person reads it, with how far its images are
 *
 * Images' progress is Berth's own telemetry: a task on an agent of others has none, and who may not
 * call the admin service sees none.
 */
#pragma once

#include "cli/command.h"

#include <jansson.h>

/* Adds "imagePulls" to each of the tasks (rows of DescribeTasks) that has containers waiting for
 * their images; none where they cannot be had. */
void task_add_pulls(Cli *cli, json_t *tasks);
/* How far a task's images are in a few words, "" when there is nothing to tell. Caller frees. */
char *task_pull_words(const json_t *task);
/* All there is to know of each task, in at most 80 columns. */
void task_print(const json_t *tasks);
