/*
 * cli/verbs.h - what the files of verbs share: parameters, resolving names, lists as tables, waits
 */
#pragma once

#include "cli/client.h"
#include "cli/command.h"
#include "cli/ui.h"

/* A member's text, "" when there is none. Borrowed. */
const char *verb_text(const json_t *object, const char *member);
/* Arguments from the first on, as an array. */
json_t *verb_args(const Cli *cli, guint first);
/* Sets member to the option's value (of another name) when it was given. */
void verb_set(json_t *params, const char *member, const char *value);
gboolean verb_set_number(const Cli *cli, json_t *params, const char *member, const char *option,
                         gint64 minimum, gint64 maximum, GError **error);
/* [{key: K, value: V}] of options "K=V"; empty when there is none. Error: USAGE. */
json_t *verb_pairs(const Cli *cli, const char *option, const char *key, const char *value,
                   GError **error);
/* Reads a file, "-" being standard input. Caller frees. Error: USAGE. */
char *verb_read(const char *file, gsize *ret_length, GError **error);
json_t *verb_read_json(const char *file, GError **error);

/* Calls and prints: the rows of member as a table, or with --json the answer. Takes params. */
gboolean verb_table(Cli *cli, const char *service, const char *action, json_t *params,
                    const char *member, const Column *columns, GError **error);
/* An answer about many things is no error, and lists what could not be done: the first of that.
 * Error: NOT_FOUND. */
gboolean verb_none_failed(const json_t *answer, GError **error);
/* Calls and prints one line about it, or with --json the answer. Takes params. */
gboolean verb_do(Cli *cli, const char *service, const char *action, json_t *params,
                 const char *done, GError **error);

/* Every instance (terminated ones only with all set) that the filter lets through: an array. */
json_t *verb_instances(Cli *cli, json_t *params, gboolean all, GError **error);
/* The id of an instance given by id or by its tag "Name". Caller frees. Error: NOT_FOUND. */
char *verb_instance_id(Cli *cli, const char *name, GError **error);
/* The id that begins with these digits, as lists show them, of a task or container instance; all
 * else as it is, what is not known too: whoever is asked for it says so. Caller frees. Error:
 * INVALID_PARAMETER when several begin so. */
char *verb_whole_id(Cli *cli, const char *digits, GError **error);
/* The same of all arguments: an array. */
json_t *verb_whole_ids(Cli *cli, GError **error);

/* Calls look every half second until it says that it is done. look sets *ret_done, and shows where
 * it stands with ui_step_progress. Error: GAVE_UP after timeout_s. */
typedef gboolean (*VerbLook)(Cli *cli, gpointer data, gboolean *ret_done, GError **error);
gboolean verb_wait(Cli *cli, const char *what, gint64 timeout_s, VerbLook look, gpointer data,
                   GError **error);
