#include "agent/names.h"
#include "base/crypto.h"

#include <string.h>

#define HEX_DIGITS     20
#define PORT_RANGE_MAX 100
#define PART_MAX       255

/* Appends what Docker takes in a name. */
static void append_safe(GString *name, const char *part, gboolean dashes)
{
    gsize end = name->len + PART_MAX;

    for (const char *c = part; *c && name->len < end; c++)
        if (g_ascii_isalnum(*c) || (dashes && (*c == '-' || *c == '_')))
            g_string_append_c(name, *c);
}

static char *name_of(const AgentTask *task, const char *kind, const char *part)
{
    g_autoptr(GString) name = g_string_new("ecs-");
    g_autoptr(GString) source = g_string_new(task->arn);
    char digest[CRYPTO_SHA256_HEX_SIZE];

    /* A NUL between the words: no two of them run together into one source. */
    g_string_append_c(source, '\0');
    g_string_append(source, kind);
    g_string_append_c(source, '\0');
    g_string_append(source, part);
    crypto_sha256_hex(source->str, source->len, digest);
    append_safe(name, task->family, TRUE);
    g_string_append_c(name, '-');
    append_safe(name, task->version, FALSE);
    g_string_append_c(name, '-');
    append_safe(name, part, FALSE);
    g_string_append_printf(name, "-%.*s", HEX_DIGITS, digest);
    return g_string_free(g_steal_pointer(&name), FALSE);
}

char *agent_name_container(const AgentTask *task, const char *container)
{
    return name_of(task, "container", container);
}

char *agent_name_volume(const AgentTask *task, const char *volume)
{
    return name_of(task, "volume", volume);
}

gboolean agent_port_range(const char *text, guint *ret_first, guint *ret_last)
{
    g_auto(GStrv) ends = g_strsplit(text, "-", 2);
    guint64 first = 0, last = 0;

    if (g_strv_length(ends) != 2 ||
        !g_ascii_string_to_unsigned(ends[0], 10, 1, 65535, &first, NULL) ||
        !g_ascii_string_to_unsigned(ends[1], 10, first, 65535, &last, NULL) ||
        last - first >= PORT_RANGE_MAX)
        return FALSE;
    *ret_first = (guint)first;
    *ret_last = (guint)last;
    return TRUE;
}
