#include "base/errors.h"
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/ui.h"

#include <locale.h>
#include <signal.h>
#include <string.h>

static int no_command(const Cli *cli)
{
    g_autofree char *words = g_strjoinv(" ", (char **)cli->args->pdata);

    if (!*words || cli_flag(cli, "help")) {
        if (help_page(words))
            return EXIT_DONE;
    } else if (cli->args->len == 2 && help_page(words)) {
        return EXIT_USAGE;
    }
    ui_note("berth: there is no command \"%s\"; \"berth help\" lists them", words);
    if (*words)
        help_near(cli->args->pdata[0]);
    return EXIT_USAGE;
}

static int report(const Cli *cli, const GError *error)
{
    ui_note("%sberth%s%s: %s%s", ui_red(), cli->command ? " " : "",
            cli->command ? cli->command->words : "", ui_plain(), error->message);
    if (error_is(error, ERROR_USAGE) && cli->command)
        ui_note("\"berth %s --help\" shows what it takes", cli->command->words);
    return cli_status(error);
}

/* libvirtd finds dnsmasq and iptables there, whoever calls us. */
static void path_complete(void)
{
    const char *path = g_getenv("PATH");
    g_autofree char *all = g_strconcat(path ? path : "/usr/bin:/bin", ":/usr/sbin:/sbin", NULL);

    if (!path || !strstr(path, "/usr/sbin"))
        g_setenv("PATH", all, TRUE);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Cli cli = { 0 };
    int status;

    setlocale(LC_ALL, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN);
    fault_init();
    path_complete();
    if (!cli_parse(&cli, argc, argv, &error))
        status = report(&cli, error);
    else if (!cli.command)
        status = no_command(&cli);
    else if (cli_flag(&cli, "help"))
        status = help_page(cli.command->words) ? EXIT_DONE : EXIT_FAILED;
    else if (!cli.command->run(&cli, &error))
        status = report(&cli, error);
    else
        status = cli.status;
    cli_clear(&cli);
    return status;
}
