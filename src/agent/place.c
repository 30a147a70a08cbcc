#include "agent/place.h"
#include "base/errors.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MOUNTINFO "/proc/self/mountinfo"

enum { FIELD_ROOT = 3, FIELD_POINT = 4, FIELDS = 6 };

/* What follows the mount point in path: "" or "/..."; NULL when path is not below it. */
static const char *below(const char *path, const char *point)
{
    gsize length = strcmp(point, "/") == 0 ? 0 : strlen(point);

    if (strncmp(path, point, length) != 0 || (path[length] && path[length] != '/'))
        return NULL;
    return path + length;
}

/* Of nested mounts the longest holds the path; of those on one point the last. */
char *agent_place_by(const char *mountinfo, const char *path)
{
    g_auto(GStrv) lines = g_strsplit(mountinfo, "\n", -1);
    g_autofree char *place = NULL;
    gsize longest = 0;

    for (char **line = lines; *line; line++) {
        g_auto(GStrv) fields = g_strsplit(*line, " ", FIELDS);
        if (g_strv_length(fields) < FIELDS)
            continue;
        /* blanks and backslashes in names are written as octal numbers */
        g_autofree char *root = g_strcompress(fields[FIELD_ROOT]);
        g_autofree char *point = g_strcompress(fields[FIELD_POINT]);
        const char *rest = below(path, point);
        if (!rest || strlen(point) < longest)
            continue;
        longest = strlen(point);
        g_free(place);
        place = g_strconcat(strcmp(root, "/") == 0 ? "" : root, rest, NULL);
    }
    return g_steal_pointer(&place);
}

char *agent_place(const char *dir, GError **error)
{
    char path[PATH_MAX];
    g_autofree char *mountinfo = NULL;
    g_autoptr(GError) cause = NULL;

    if (!realpath(dir, path))
        return fail_null(error, CONFIG, "cannot find \"%s\": %s", dir, g_strerror(errno));
    if (!g_file_get_contents(MOUNTINFO, &mountinfo, NULL, &cause))
        return fail_null(error, CONFIG, "cannot read the mounts: %s", cause->message);
    char *place = agent_place_by(mountinfo, path);
    return place ? place : fail_null(error, CONFIG, "no mount holds \"%s\"", path);
}
