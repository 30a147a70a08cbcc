#include "cli/cli.h"
#include "base/errors.h"
#include "cli/client.h"

#include <stdlib.h>
#include <string.h>

const Option cli_common_options[] = {
    { "root", "DIR", "the installation below this folder (or BERTH_ROOT)" },
    { "config", "FILE", "its settings; /etc/berth/berth.conf (or BERTH_CONFIG)" },
    { "profile", "NAME", "whose keys to use, of ~/.berth/credentials; \"berth\"" },
    { "json", NULL, "print what was answered as JSON" },
    { "explain", NULL, "show each API call as the stock aws command" },
    { "help", NULL, "show the command's help page" },
    { 0 },
};

/* How many of the words at args spell command; 0 when they do not. */
static guint words_match(const Command *command, char **args)
{
    g_auto(GStrv) words = g_strsplit(command->words, " ", -1);
    guint n = 0;

    for (; words[n]; n++)
        if (!args[n] || strcmp(words[n], args[n]) != 0)
            return 0;
    return n;
}

static const Command *command_find(char **args, guint *ret_words)
{
    const Command *best = NULL;

    *ret_words = 0;
    for (const Command *const *table = commands_tables(); *table; table++)
        for (const Command *c = *table; c->words; c++) {
            guint n = words_match(c, args);
            if (n > *ret_words) {
                best = c;
                *ret_words = n;
            }
        }
    return best;
}

static const Option *option_in(const Option *options, const char *name, gsize length)
{
    for (const Option *o = options; o && o->name; o++)
        if (strlen(o->name) == length && strncmp(o->name, name, length) == 0)
            return o;
    return NULL;
}

static void option_add(Cli *cli, const char *name, const char *value)
{
    GPtrArray *values = g_hash_table_lookup(cli->options, name);

    if (!values) {
        values = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(cli->options, (gpointer)name, values);
    }
    g_ptr_array_add(values, g_strdup(value));
}

/* Takes the option at *arg ("--name", "--name=value" or "--name" and the argument behind it). */
static gboolean option_parse(Cli *cli, char ***arg, GError **error)
{
    const char *name = **arg + 2, *equals = strchr(name, '=');
    gsize length = equals ? (gsize)(equals - name) : strlen(name);
    /* a command's own come first: ssh's --config is a flag */
    const Option *option = cli->command ? option_in(cli->command->options, name, length) : NULL;

    if (!option)
        option = option_in(cli_common_options, name, length);
    if (!option)
        return fail(error, USAGE, "there is no option \"%s\"", **arg);
    if (!option->value && equals)
        return fail(error, USAGE, "option \"--%s\" takes no value", option->name);
    if (option->value && !equals && !(*arg)[1])
        return fail(error, USAGE, "option \"--%s\" needs a value: %s", option->name, option->value);
    if (option->value && !equals)
        (*arg)++;
    option_add(cli, option->name, !option->value ? "" : equals ? equals + 1 : **arg);
    return TRUE;
}

/* Options that stand before the command's words ("berth --root DIR up"). */
static gboolean parse_leading(Cli *cli, char ***arg, GError **error)
{
    for (; **arg && g_str_has_prefix(**arg, "--") && strlen(**arg) > 2; (*arg)++)
        if (!option_parse(cli, arg, error))
            return FALSE;
    return TRUE;
}

/* "-f" is the command's first option that begins with "f"; NULL when it has none. */
static const Option *option_letter(const Cli *cli, const char *word)
{
    if (word[0] != '-' || !g_ascii_isalpha(word[1]) || word[2])
        return NULL;
    for (const Option *o = cli->command->options; o && o->name; o++)
        if (o->name[0] == word[1])
            return o;
    return NULL;
}

static gboolean letter_parse(Cli *cli, const Option *option, char ***arg, GError **error)
{
    if (option->value && !(*arg)[1])
        return fail(error, USAGE, "option \"%s\" needs a value: %s", **arg, option->value);
    if (option->value)
        (*arg)++;
    option_add(cli, option->name, option->value ? **arg : "");
    return TRUE;
}

static gboolean parse_rest(Cli *cli, char **arg, GError **error)
{
    gboolean all = cli->command->passes;

    for (; *arg; arg++) {
        const Option *letter = all ? NULL : option_letter(cli, *arg);
        if (!all && strcmp(*arg, "--") == 0) {
            all = TRUE;
        } else if (letter) {
            if (!letter_parse(cli, letter, &arg, error))
                return FALSE;
        } else if (!all && strcmp(*arg, "-h") == 0) {
            option_add(cli, "help", "");
        } else if (!all && **arg == '-' && (*arg)[1] == '-') {
            if (!option_parse(cli, &arg, error))
                return FALSE;
        } else {
            g_ptr_array_add(cli->args, g_strdup(*arg));
        }
    }
    g_ptr_array_add(cli->args, NULL);
    return TRUE;
}

static gboolean check_count(const Cli *cli, GError **error)
{
    const Command *c = cli->command;
    guint count = cli->args->len - 1;

    if (cli_flag(cli, "help") || (count >= c->least && count <= c->most))
        return TRUE;
    return fail(error, USAGE, "%s: usage: berth %s%s%s",
                count < c->least ? "something is missing" : "there are too many words", c->words,
                *c->arguments ? " " : "", c->arguments);
}

gboolean cli_parse(Cli *cli, int argc, char **argv, GError **error)
{
    char **arg = argv + (argc > 0);
    guint words = 0;

    cli->args = g_ptr_array_new_with_free_func(g_free);
    cli->options =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
    if (!parse_leading(cli, &arg, error))
        return FALSE;
    cli->command = command_find(arg, &words);
    if (!cli->command) {
        for (; *arg && strcmp(*arg, "--help") != 0 && strcmp(*arg, "-h") != 0; arg++)
            g_ptr_array_add(cli->args, g_strdup(*arg));
        if (*arg)
            option_add(cli, "help", "");
        g_ptr_array_add(cli->args, NULL);
        return TRUE;
    }
    return parse_rest(cli, arg + words, error) && check_count(cli, error);
}

void cli_clear(Cli *cli)
{
    g_clear_pointer(&cli->args, g_ptr_array_unref);
    g_clear_pointer(&cli->options, g_hash_table_unref);
    g_clear_pointer(&cli->config, config_free);
    g_clear_pointer(&cli->client, client_free);
}

int cli_status(const GError *error)
{
    switch (error_code(error)) {
    case ERROR_USAGE:
        return EXIT_USAGE;
    case ERROR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case ERROR_GAVE_UP:
        return EXIT_TIMEOUT;
    default:
        return EXIT_FAILED;
    }
}

/* -- what commands ask for */
const char *cli_arg(const Cli *cli, guint index)
{
    return index < cli->args->len ? g_ptr_array_index(cli->args, index) : NULL;
}

const GPtrArray *cli_values(const Cli *cli, const char *name)
{
    return g_hash_table_lookup(cli->options, name);
}

const char *cli_option(const Cli *cli, const char *name)
{
    const GPtrArray *values = cli_values(cli, name);

    return values ? g_ptr_array_index(values, values->len - 1) : NULL;
}

gboolean cli_flag(const Cli *cli, const char *name)
{
    return cli_values(cli, name) != NULL;
}

gboolean cli_number(const Cli *cli, const char *name, gint64 minimum, gint64 maximum,
                    gint64 fallback, gint64 *ret_value, GError **error)
{
    const char *text = cli_option(cli, name);

    *ret_value = fallback;
    if (text && !g_ascii_string_to_signed(text, 10, minimum, maximum, ret_value, NULL))
        return fail(error, USAGE,
                    "--%s \"%s\" is not a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                    name, text, minimum, maximum);
    return TRUE;
}

char *cli_config_file(const Cli *cli, const char **ret_root)
{
    const char *file = cli_option(cli, "config"), *root = cli_option(cli, "root");
    gboolean named = root || (file && *file);

    if (!named) {
        file = g_getenv("BERTH_CONFIG");
        root = g_getenv("BERTH_ROOT");
    }
    *ret_root = root;
    if (file && *file)
        return g_strdup(file);
    return g_build_filename(root ? root : "/", "etc/berth/berth.conf", NULL);
}

const Config *cli_config(Cli *cli, GError **error)
{
    const char *root = NULL;
    g_autofree char *file = cli_config_file(cli, &root);

    if (cli->config)
        return cli->config;
    if (!g_file_test(file, G_FILE_TEST_EXISTS))
        return fail_null(
            error, CONFIG,
            "there is no \"%s\": this machine has no Berth yet; \"sudo berth up\" makes one", file);
    cli->config = config_load(file, error);
    return cli->config;
}
