#include "cli/explain.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

/* "RunInstances" -> "run-instances", "clusterARN" -> "cluster-arn". */
static char *kebab(const char *name)
{
    GString *out = g_string_new(NULL);

    for (const char *c = name; *c; c++) {
        gboolean upper = g_ascii_isupper(*c);
        gboolean starts =
            upper && c > name && (!g_ascii_isupper(c[-1]) || (c[1] && g_ascii_islower(c[1])));
        if (starts)
            g_string_append_c(out, '-');
        g_string_append_c(out, g_ascii_tolower(*c));
    }
    return g_string_free(out, FALSE);
}

static void add_word(GString *line, const char *word)
{
    static const char *const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789-_./:=,@+%";

    if (*word && strspn(word, plain) == strlen(word)) {
        g_string_append_printf(line, " %s", word);
        return;
    }
    g_autofree char *quoted = g_shell_quote(word);
    g_string_append_printf(line, " %s", quoted);
}

static gboolean all_text(const json_t *list)
{
    const json_t *item;
    size_t n;

    json_array_foreach(list, n, item) if (!json_is_string(item)) return FALSE;
    return json_array_size(list) > 0;
}

static void add_value(GString *line, const json_t *value)
{
    const json_t *item;
    size_t n;

    if (json_is_string(value)) {
        add_word(line, json_string_value(value));
    } else if (json_is_array(value) && all_text(value)) {
        json_array_foreach(value, n, item) add_word(line, json_string_value(item));
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        add_word(line, text);
        free(text);
    }
}

static void add_parameter(GString *line, const char *name, const json_t *value)
{
    g_autofree char *option = kebab(name);

    if (json_is_boolean(value)) {
        g_string_append_printf(line, " --%s%s", json_is_true(value) ? "" : "no-", option);
        return;
    }
    g_string_append_printf(line, " --%s", option);
    add_value(line, value);
}

/* What the stock command takes in a form of its own; TRUE when name was one of those. */
static gboolean add_special(GString *line, const json_t *params, const char *name,
                            const json_t *value)
{
    json_int_t least = json_integer_value(json_object_get(params, "MinCount"));
    json_int_t most = json_integer_value(json_object_get(params, "MaxCount"));

    if (strcmp(name, "SecretString") == 0 ||
        (strcmp(name, "Value") == 0 && !json_is_array(value))) {
        g_autofree char *secret = kebab(name);
        /* never shown; the stock command reads it like this */
        g_string_append_printf(line, " --%s file:///dev/stdin", secret);
        return TRUE;
    }
    if (strcmp(name, "MaxCount") == 0)
        return TRUE;
    if (strcmp(name, "MinCount") == 0) {
        if (least == most)
            g_string_append_printf(line, " --count %" JSON_INTEGER_FORMAT, least);
        else
            g_string_append_printf(line, " --count %" JSON_INTEGER_FORMAT ":%" JSON_INTEGER_FORMAT,
                                   least, most);
        return TRUE;
    }
    if (strcmp(name, "UserData") == 0 || strcmp(name, "PublicKeyMaterial") == 0) {
        gsize length = 0;
        g_autofree char *clear = (char *)g_base64_decode(json_string_value(value), &length);
        g_autofree char *text = g_strndup(clear, length);
        g_autofree char *option = kebab(name);
        g_string_append_printf(line, " --%s", option);
        /* the stock command encodes user data itself; key material it takes as it is */
        add_word(line, *name == 'U' ? text : json_string_value(value));
        return TRUE;
    }
    return FALSE;
}

char *explain_aws(const char *service, const char *action, const json_t *params)
{
    g_autoptr(GString) line = g_string_new("aws ");
    g_autofree char *verb = kebab(action);
    const char *name;
    json_t *value;

    if (strcmp(service, "berth") == 0)
        return NULL;
    g_string_append_printf(line, "%s %s", service, verb);
    json_object_foreach((json_t *)params, name, value) if (!add_special(line, params, name, value))
        add_parameter(line, name, value);
    return g_string_free(g_steal_pointer(&line), FALSE);
}
