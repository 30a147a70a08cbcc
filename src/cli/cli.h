/*
 * cli/cli.h - from argv to a command: parsing, help pages, bash completion
 *
 * Errors: USAGE.
 */
#pragma once

#include "cli/command.h"

/* Fills cli from argv: the command is the longest run of words that names one. */
gboolean cli_parse(Cli *cli, int argc, char **argv, GError **error);
void cli_clear(Cli *cli);
/* The exit code that goes with an error. */
int cli_status(const GError *error);

/* The page of one command, of a group ("host"), or of everything when words is "". FALSE when
 * there is no such thing. */
gboolean help_page(const char *words);
/* One line for each command of the group that word means but for its "s": "tasks", "instance".
 * FALSE when there is none. */
gboolean help_near(const char *word);
void help_config(void);
/* What may follow the words typed so far, one a line. */
void help_complete(const GPtrArray *words);
