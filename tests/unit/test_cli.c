/* The command table: how words become a command, and that every help page keeps its form. */
#include "cli/cli.h"
#include "base/errors.h"
#include "cli/install.h"
#include "cli/ui.h"

#include <string.h>

static gboolean parse(Cli *cli, const char *line, GError **error)
{
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);

    return cli_parse(cli, (int)g_strv_length(argv), argv, error);
}

static void test_the_longest_words_name_the_command(void)
{
    static const struct {
        const char *line, *words, *first;
    } cases[] = {
        { "berth up", "up", NULL },
        { "berth host add qemu:///system --zone z", "host add", "qemu:///system" },
        { "berth service update web --count 3", "service update", "web" },
        { "berth --root /srv/x service events web", "service events", "web" },
        { "berth ssh i-1 -- ls --all", "ssh", "i-1" },
        { "berth aws ec2 describe-instances --output json", "aws", "ec2" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        Cli cli = { 0 };
        g_assert_true(parse(&cli, cases[i].line, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(cli.command->words, ==, cases[i].words);
        g_assert_cmpstr(cli_arg(&cli, 0), ==, cases[i].first);
        cli_clear(&cli);
    }
}

static void test_options_in_both_forms(void)
{
    g_autoptr(GError) error = NULL;
    Cli cli = { 0 };
    gint64 count = 0;

    g_assert_true(parse(&cli, "berth launch --count=3 --tag a=1 --tag b=2 --wait", &error));
    g_assert_true(cli_number(&cli, "count", 1, 10, 1, &count, &error));
    g_assert_cmpint(count, ==, 3);
    g_assert_cmpuint(cli_values(&cli, "tag")->len, ==, 2);
    g_assert_true(cli_flag(&cli, "wait"));
    g_assert_false(cli_number(&cli, "count", 5, 10, 1, &count, &error));
    g_assert_cmpint(cli_status(error), ==, EXIT_USAGE);
    cli_clear(&cli);
}

static void test_a_word_off_by_its_s(void)
{
    g_assert_true(help_near("tasks"));
    g_assert_true(help_near("instance"));
    g_assert_false(help_near("s"));
    g_assert_false(help_near("frobnicate"));
}

static void test_ssh_has_a_config_of_its_own(void)
{
    g_autoptr(GError) error = NULL;
    const char *root = NULL;
    Cli cli = { 0 };

    g_assert_true(parse(&cli, "berth ssh --config", &error));
    g_assert_true(cli_flag(&cli, "config"));
    g_unsetenv("BERTH_CONFIG");
    g_unsetenv("BERTH_ROOT");
    g_autofree char *file = cli_config_file(&cli, &root);
    g_assert_cmpstr(file, ==, "/etc/berth/berth.conf");
    cli_clear(&cli);
}

static void test_wrong_usage_is_refused(void)
{
    static const char *const lines[] = {
        "berth launch --colour red", "berth launch --count", "berth launch --wait=yes",
        "berth host add",            "berth key rm a b",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GError) error = NULL;
        Cli cli = { 0 };
        g_assert_false(parse(&cli, lines[i], &error));
        g_assert_cmpint(cli_status(error), ==, EXIT_USAGE);
        cli_clear(&cli);
    }
}

static void test_unknown_words_are_no_command(void)
{
    g_autoptr(GError) error = NULL;
    Cli cli = { 0 };

    g_assert_true(parse(&cli, "berth dance", &error));
    g_assert_null(cli.command);
    cli_clear(&cli);
}

/* Every line of help fits, every table entry is whole, no two are the same. */
static void test_the_table_is_sound(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (const Command *const *table = commands_tables(); *table; table++)
        for (const Command *c = *table; c->words; c++) {
            g_assert_true(g_hash_table_add(seen, (gpointer)c->words));
            g_assert_nonnull(c->run);
            g_assert_cmpuint(c->least, <=, c->most);
            g_assert_cmpuint(strlen(c->summary), <=, 60);
            g_assert_false(g_str_has_suffix(c->summary, "."));
            g_auto(GStrv) lines = g_strsplit(c->details ? c->details : "", "\n", -1);
            for (char **line = lines; *line; line++)
                g_assert_cmpuint(strlen(*line), <=, 100);
        }
}

static void test_cells(void)
{
    json_auto_t *row = json_pack("{s:{s:s}, s:i, s:i, s:[s, s], s:s, s:b}", "State", "Name",
                                 "running", "Used", 1, "All", 4, "List", "a", "b", "Arn",
                                 "arn:aws:ecs:home-1:1:task/default/0123456789abcdef", "On", 1);
    static const struct {
        const char *path;
        ColumnForm form;
        const char *text;
    } cases[] = {
        { "State.Name", FORM_TEXT, "running" }, { "Used/All", FORM_TEXT, "1/4" },
        { "List", FORM_TEXT, "a,b" },           { "List.1", FORM_TEXT, "b" },
        { "List.#", FORM_TEXT, "2" },           { "Arn", FORM_TAIL, "0123456789abcdef" },
        { "Arn", FORM_SHORT, "0123456789ab" },  { "On", FORM_TEXT, "yes" },
        { "None.At.All", FORM_TEXT, "-" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *cell = ui_cell(row, cases[i].path, cases[i].form);
        g_assert_cmpstr(cell, ==, cases[i].text);
    }
}

static void test_the_gateway_is_the_first_address(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *gateway = install_gateway("172.31.0.0/16", &error);
    g_autofree char *inside = install_gateway("10.1.2.3/20", &error);

    g_assert_cmpstr(gateway, ==, "172.31.0.1");
    g_assert_cmpstr(inside, ==, "10.1.0.1");
    g_assert_null(install_gateway("172.31.0.0", NULL));
    g_assert_null(install_gateway("fd00::/64", NULL));
    g_assert_null(install_gateway("10.0.0.0/30", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/a word off by its s", test_a_word_off_by_its_s);
    g_test_add_func("/cli/words", test_the_longest_words_name_the_command);
    g_test_add_func("/cli/options", test_options_in_both_forms);
    g_test_add_func("/cli/ssh-config", test_ssh_has_a_config_of_its_own);
    g_test_add_func("/cli/usage", test_wrong_usage_is_refused);
    g_test_add_func("/cli/unknown", test_unknown_words_are_no_command);
    g_test_add_func("/cli/table", test_the_table_is_sound);
    g_test_add_func("/cli/cells", test_cells);
    g_test_add_func("/cli/gateway", test_the_gateway_is_the_first_address);
    return g_test_run();
}
