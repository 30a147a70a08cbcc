#include "model/user_data.h"

#include <string.h>

#define CLUSTER_MAX 255

static gboolean name_character(char c)
{
    return g_ascii_isalnum(c) || c == '_' || c == '-';
}

/* The name after the equals sign, which may be quoted; NULL when it is empty or no cluster name. */
static char *read_name(const char *at)
{
    gsize length = 0;

    if (*at == '"' || *at == '\'')
        at++;
    while (name_character(at[length]))
        length++;
    return length && length <= CLUSTER_MAX ? g_strndup(at, length) : NULL;
}

char *user_data_cluster(const void *data, gsize length)
{
    static const char word[] = "ECS_CLUSTER=";
    g_autofree char *text = g_strndup(data, length);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *found = NULL;

    for (char **line = lines; *line; line++) {
        const char *start = *line + strspn(*line, " \t");
        const char *at = *start == '#' ? NULL : strstr(start, word);
        gboolean whole = at && (at == start || !name_character(at[-1]));
        char *name = whole ? read_name(at + strlen(word)) : NULL;
        if (!name)
            continue;
        g_free(found);
        found = name;
    }
    return g_steal_pointer(&found);
}
