/*
 * cli/command.h - a verb of the command line: what it takes, what its help teaches, what it does
 *
 * Every file of verbs ends in one table of Commands; commands.c lists the tables. The parser, the
 * help pages and the bash completion read nothing else. Exit codes: 0 done, 1 failed, 2 wrong
 * usage, 3 not found, 4 gave up waiting.
 */
#pragma once

#include "base/config.h"

#include <jansson.h>

typedef struct Client Client;

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_FOUND = 3, EXIT_TIMEOUT = 4 };

typedef struct {
    const char *name;  /* without dashes */
    const char *value; /* what help calls its value; NULL for a flag */
    const char *help;
} Option;

typedef struct Cli Cli;

/* FALSE with *error set. */
typedef gboolean (*CommandRun)(Cli *cli, GError **error);

#define ANY_NUMBER G_MAXUINT

typedef struct {
    const char *words;     /* "host add" */
    const char *arguments; /* "URI"; "" for none */
    guint least, most;     /* how many of them */
    const char *summary;   /* one line, no full stop */
    const char *details;   /* paragraphs, or NULL */
    const char *examples;  /* lines, or NULL */
    const Option *options; /* ends with a NULL name; or NULL */
    CommandRun run;
    gboolean passes; /* what follows the words goes to another program as it stands */
} Command;

struct Cli {
    const Command *command;
    GPtrArray *args;     /* of char *; NULL-terminated */
    GHashTable *options; /* name -> GPtrArray of char * */
    Config *config;      /* once cli_config was called */
    Client *client;      /* once client_get was called */
    gboolean hushed;     /* calls are not explained: a wait repeats them */
    int status;          /* exit code of a command that ran but has more to say than 0 or 1 */
};

/* All verbs, ended by one whose words are NULL. */
const Command *const *commands_tables(void);

/* The installation's settings: --config FILE, --root DIR, their variables BERTH_CONFIG and
 * BERTH_ROOT, or /etc/berth/berth.conf. Borrowed. Error: CONFIG. */
const Config *cli_config(Cli *cli, GError **error);
/* The file itself, whether it is there or not; *ret_root: the folder it is below, or NULL. Caller
 * frees. */
char *cli_config_file(const Cli *cli, const char **ret_root);

/* The argument or option (its last value), or NULL. Borrowed. */
const char *cli_arg(const Cli *cli, guint index);
const char *cli_option(const Cli *cli, const char *name);
gboolean cli_flag(const Cli *cli, const char *name);
/* Every value of an option that may be repeated; NULL when it was not given. */
const GPtrArray *cli_values(const Cli *cli, const char *name);
/* A number from minimum to maximum, or fallback when the option was not given. Error: USAGE. */
gboolean cli_number(const Cli *cli, const char *name, gint64 minimum, gint64 maximum,
                    gint64 fallback, gint64 *ret_value, GError **error);

/* Options that every command takes. */
extern const Option cli_common_options[];
