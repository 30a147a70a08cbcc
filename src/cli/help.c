#include "cli/cli.h"
#include "cli/ui.h"

#include <stdio.h>
#include <string.h>

/* Prints text, each line behind indent spaces. */
static void put_lines(const char *text, int indent)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++)
        printf("%*s%s\n", **line ? indent : 0, "", *line);
}

static void put_options(const char *title, const Option *options)
{
    if (!options || !options->name)
        return;
    printf("\n%s%s%s\n", ui_bold(), title, ui_plain());
    for (const Option *o = options; o->name; o++) {
        g_autofree char *left =
            g_strdup_printf("--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        printf("  %-24s %s\n", left, o->help);
    }
}

static void command_page(const Command *c)
{
    printf("%sberth %s%s%s%s - %s\n", ui_bold(), c->words, *c->arguments ? " " : "", c->arguments,
           ui_plain(), c->summary);
    if (c->details) {
        printf("\n");
        put_lines(c->details, 0);
    }
    put_options("Options", c->options);
    if (c->examples) {
        printf("\n%sExamples%s\n", ui_bold(), ui_plain());
        put_lines(c->examples, 2);
    }
    put_options("With every command", cli_common_options);
}

/* Whether the words begin with the group's name. */
static gboolean in_group(const Command *c, const char *group)
{
    gsize length = strlen(group);

    return length == 0 || (strncmp(c->words, group, length) == 0 &&
                           (c->words[length] == ' ' || c->words[length] == '\0'));
}

static void put_summary(const Command *c)
{
    g_autofree char *left = g_strconcat(c->words, *c->arguments ? " " : "", c->arguments, NULL);

    if (strlen(left) <= 30)
        printf("  %-30s %s\n", left, c->summary);
    else
        printf("  %s\n  %-30s %s\n", left, "", c->summary);
}

static guint group_page(const char *group)
{
    guint count = 0;

    for (const Command *const *table = commands_tables(); *table; table++) {
        guint before = count;
        for (const Command *c = *table; c->words; c++) {
            if (!in_group(c, group))
                continue;
            put_summary(c);
            count++;
        }
        if (count > before && !*group)
            printf("\n");
    }
    return count;
}

gboolean help_page(const char *words)
{
    for (const Command *const *table = commands_tables(); *table; table++)
        for (const Command *c = *table; c->words && *words; c++)
            if (strcmp(c->words, words) == 0) {
                command_page(c);
                return TRUE;
            }
    if (*words)
        return group_page(words) > 0;
    printf("%sberth%s - EC2 and ECS on your own machines\n\n"
           "First steps: sudo berth up; berth image build ecs-optimized; berth launch --help\n\n",
           ui_bold(), ui_plain());
    group_page("");
    printf("berth COMMAND --help teaches one of them, berth help config the settings.\n");
    return TRUE;
}

gboolean help_near(const char *word)
{
    g_autofree char *other = g_str_has_suffix(word, "s") ? g_strndup(word, strlen(word) - 1)
                                                         : g_strconcat(word, "s", NULL);

    return *other && group_page(other) > 0;
}

static void config_row(const char *group, const char *key, const char *value, const char *why,
                       gpointer user)
{
    char **last = user;

    if (g_strcmp0(*last, group) != 0)
        printf("\n%s[%s]%s\n", ui_bold(), group, ui_plain());
    g_free(*last);
    *last = g_strdup(group);
    printf("  %s=%s\n      %s\n", key, value, why);
}

void help_config(void)
{
    g_autofree char *group = NULL;

    printf("/etc/berth/berth.conf, with what holds when a setting is left out. After a change:\n"
           "sudo berth down; sudo berth up\n");
    config_each(config_row, &group);
}

/* -- completion */
/* Prints the word that follows the typed ones in words, once for each. */
static void complete_word(const Command *c, const GPtrArray *typed, GHashTable *seen)
{
    g_auto(GStrv) words = g_strsplit(c->words, " ", -1);
    guint n = 0;

    for (; n < typed->len; n++)
        if (!words[n] || strcmp(words[n], g_ptr_array_index(typed, n)) != 0)
            return;
    if (words[n] && g_hash_table_add(seen, g_strdup(words[n])))
        printf("%s\n", words[n]);
}

static void complete_options(const Option *options)
{
    for (const Option *o = options; o && o->name; o++)
        printf("--%s\n", o->name);
}

/* Whether the first words typed are the command's. */
static gboolean typed_is(const Command *c, const GPtrArray *typed)
{
    g_auto(GStrv) words = g_strsplit(c->words, " ", -1);
    guint n = 0;

    for (; words[n]; n++)
        if (n >= typed->len || strcmp(words[n], g_ptr_array_index(typed, n)) != 0)
            return FALSE;
    return TRUE;
}

void help_complete(const GPtrArray *typed)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (const Command *const *table = commands_tables(); *table; table++)
        for (const Command *c = *table; c->words; c++) {
            complete_word(c, typed, seen);
            if (typed->len && typed_is(c, typed))
                complete_options(c->options);
        }
    complete_options(cli_common_options);
}
