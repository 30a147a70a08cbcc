#include "base/errors.h"
#include "cli/groups.h"
#include "cli/verbs.h"

#include <string.h>

/* By id, or by the name of an instance. */
static json_t *explain(Cli *cli, const char *id, GError **error)
{
    g_autoptr(GError) cause = NULL;
    json_t *answer = client_call(cli, "berth", "Explain", json_pack("{s:s}", "Id", id), &cause);
    g_autofree char *named = NULL;

    if (!answer && error_is(cause, ERROR_NOT_FOUND))
        named = verb_instance_id(cli, id, NULL);
    if (named && strcmp(named, id) != 0)
        return client_call(cli, "berth", "Explain", json_pack("{s:s}", "Id", named), error);
    if (!answer)
        g_propagate_error(error, g_steal_pointer(&cause));
    return answer;
}

static gboolean run_why(Cli *cli, GError **error)
{
    json_auto_t *answer = explain(cli, cli_arg(cli, 0), error);
    const json_t *section, *fact;
    size_t s, f;

    if (!answer)
        return FALSE;
    if (cli_flag(cli, "json")) {
        ui_json(answer);
        return TRUE;
    }
    ui_print("%s%s %s%s: %s", ui_bold(), verb_text(answer, "Kind"), verb_text(answer, "Id"),
             ui_plain(), verb_text(answer, "Summary"));
    json_array_foreach(json_object_get(answer, "Sections"), s, section)
    {
        ui_print("\n%s%s%s", ui_bold(), verb_text(section, "Title"), ui_plain());
        json_array_foreach(json_object_get(section, "Facts"), f, fact)
            ui_print("  %-28s %s", verb_text(fact, "Name"), verb_text(fact, "Value"));
    }
    return TRUE;
}

const Command why_commands[] = {
    { "why", "ID", 1, 1, "say why something is as it is",
      "Of an instance, image, host, service, task or container instance: what is wanted, what was\n"
      "seen, the rule that follows, the last error and when it is tried again. For what did not\n"
      "fit: which hosts or machines were looked at and what each lacks. Of a task or container\n"
      "instance its first digits do, eight or more.",
      "berth why i-0123456789abcdef0\nberth why web", NULL, run_why, FALSE },
    { 0 },
};
