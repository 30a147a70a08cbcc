#include "cli/verbs.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define LOOK_MS       500
#define ECS_ID_DIGITS 32 /* of a task or container instance */

const char *verb_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));

    return text ? text : "";
}

json_t *verb_args(const Cli *cli, guint first)
{
    json_t *list = json_array();

    for (guint i = first; cli_arg(cli, i); i++)
        json_array_append_new(list, json_string(cli_arg(cli, i)));
    return list;
}

void verb_set(json_t *params, const char *member, const char *value)
{
    if (value)
        json_object_set_new(params, member, json_string(value));
}

gboolean verb_set_number(const Cli *cli, json_t *params, const char *member, const char *option,
                         gint64 minimum, gint64 maximum, GError **error)
{
    gint64 number = 0;

    if (!cli_number(cli, option, minimum, maximum, 0, &number, error))
        return FALSE;
    if (cli_option(cli, option))
        json_object_set_new(params, member, json_integer(number));
    return TRUE;
}

json_t *verb_pairs(const Cli *cli, const char *option, const char *key, const char *value,
                   GError **error)
{
    const GPtrArray *given = cli_values(cli, option);
    json_auto_t *list = json_array();

    for (guint i = 0; given && i < given->len; i++) {
        const char *text = g_ptr_array_index(given, i), *equals = strchr(text, '=');
        if (!equals || equals == text)
            return fail_null(error, USAGE, "--%s \"%s\" is not NAME=VALUE", option, text);
        g_autofree char *name = g_strndup(text, (gsize)(equals - text));
        json_array_append_new(list, json_pack("{s:s, s:s}", key, name, value, equals + 1));
    }
    return json_incref(list);
}

char *verb_read(const char *file, gsize *ret_length, GError **error)
{
    const char *path = strcmp(file, "-") == 0 ? "/dev/stdin" : file;
    g_autoptr(GError) cause = NULL;
    char *text = NULL;

    if (!g_file_get_contents(path, &text, ret_length, &cause))
        return fail_null(error, USAGE, "cannot read \"%s\": %s", file, cause->message);
    return text;
}

json_t *verb_read_json(const char *file, GError **error)
{
    gsize length = 0;
    g_autofree char *text = verb_read(file, &length, error);
    json_error_t where;

    if (!text)
        return NULL;
    json_t *tree = json_loadb(text, length, 0, &where);
    if (!tree)
        return fail_null(error, USAGE, "\"%s\" is not JSON: line %d: %s", file, where.line,
                         where.text);
    return tree;
}

/* -- calls */
gboolean verb_table(Cli *cli, const char *service, const char *action, json_t *params,
                    const char *member, const Column *columns, GError **error)
{
    json_auto_t *rows = client_pages(cli, service, action, params, member, error);

    if (!rows)
        return FALSE;
    ui_table(columns, rows, cli_flag(cli, "json"));
    return TRUE;
}

gboolean verb_none_failed(const json_t *answer, GError **error)
{
    const json_t *failure = json_array_get(json_object_get(answer, "failures"), 0);

    return !failure || fail(error, NOT_FOUND, "%s: %s", verb_text(failure, "arn"),
                            verb_text(failure, "reason"));
}

gboolean verb_do(Cli *cli, const char *service, const char *action, json_t *params,
                 const char *done, GError **error)
{
    json_auto_t *answer = client_call(cli, service, action, params, error);

    if (!answer || !verb_none_failed(answer, error))
        return FALSE;
    if (cli_flag(cli, "json"))
        ui_json(answer);
    else
        ui_print("%s", done);
    return TRUE;
}

/* -- instances */
json_t *verb_instances(Cli *cli, json_t *params, gboolean all, GError **error)
{
    json_auto_t *reservations =
        client_pages(cli, "ec2", "DescribeInstances", params, "Reservations", error);
    json_auto_t *list = json_array();
    const json_t *reservation;
    json_t *instance;
    size_t r, n;

    if (!reservations)
        return NULL;
    json_array_foreach(reservations, r, reservation)
        json_array_foreach(json_object_get(reservation, "Instances"), n, instance)
    {
        const char *state = verb_text(json_object_get(instance, "State"), "Name");
        if (all || strcmp(state, "terminated") != 0)
            json_array_append(list, instance);
    }
    return json_incref(list);
}

char *verb_instance_id(Cli *cli, const char *name, GError **error)
{
    if (g_str_has_prefix(name, "i-"))
        return g_strdup(name);
    json_auto_t *found = verb_instances(
        cli, json_pack("{s:[{s:s, s:[s]}]}", "Filters", "Name", "tag:Name", "Values", name), FALSE,
        error);
    if (!found)
        return NULL;
    if (json_array_size(found) == 0)
        return fail_null(error, NOT_FOUND,
                         "there is no instance of the name \"%s\"; \"berth "
                         "instances\" lists them",
                         name);
    if (json_array_size(found) > 1)
        return fail_null(error, USAGE, "%zu instances have the name \"%s\"; give the id of one",
                         json_array_size(found), name);
    return g_strdup(verb_text(json_array_get(found, 0), "InstanceId"));
}

char *verb_whole_id(Cli *cli, const char *digits, GError **error)
{
    gsize length = strlen(digits);
    g_autoptr(GError) cause = NULL;

    if (length >= ECS_ID_DIGITS || !id_is_hex(digits, length))
        return g_strdup(digits);
    json_auto_t *answer =
        client_call(cli, "berth", "Explain", json_pack("{s:s}", "Id", digits), &cause);
    if (!answer && !error_is(cause, ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    return g_strdup(answer ? verb_text(answer, "Id") : digits);
}

json_t *verb_whole_ids(Cli *cli, GError **error)
{
    json_auto_t *list = json_array();

    for (guint i = 0; cli_arg(cli, i); i++) {
        g_autofree char *id = verb_whole_id(cli, cli_arg(cli, i), error);
        if (!id)
            return NULL;
        json_array_append_new(list, json_string(id));
    }
    return json_incref(list);
}

/* -- waiting */
gboolean verb_wait(Cli *cli, const char *what, gint64 timeout_s, VerbLook look, gpointer data,
                   GError **error)
{
    gint64 until = clock_mono_ms() + timeout_s * 1000;
    gboolean done = FALSE;

    ui_step(what);
    for (;; cli->hushed = TRUE) {
        if (!look(cli, data, &done, error))
            break;
        if (done) {
            ui_step_done("done");
            cli->hushed = FALSE;
            return TRUE;
        }
        if (clock_mono_ms() >= until) {
            fail(error, GAVE_UP, "%s: not there after %" G_GINT64_FORMAT " s", what, timeout_s);
            break;
        }
        poll(NULL, 0, LOOK_MS);
    }
    ui_step_failed();
    cli->hushed = FALSE;
    return FALSE;
}
