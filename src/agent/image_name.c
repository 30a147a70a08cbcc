#include "agent/image_name.h"

#include <string.h>

#define HUB "docker.io"

static const char *hub_alias(const char *host)
{
    static const char *const aliases[] = { "index.docker.io", "registry-1.docker.io", NULL };

    return g_strv_contains(aliases, host) ? HUB : host;
}

/* Whether the text before the slash is a host and no part of a path. */
static gboolean is_host(const char *text, gsize length)
{
    static const char local[] = "localhost";

    return memchr(text, '.', length) || memchr(text, ':', length) ||
           (length == strlen(local) && strncmp(text, local, length) == 0);
}

/* The host; ret_path is what stands behind it. Caller frees. */
static char *split_host(const char *image, const char **ret_path)
{
    const char *slash = strchr(image, '/');

    *ret_path = image;
    if (!slash || !is_host(image, (gsize)(slash - image)))
        return g_strdup(HUB);
    g_autofree char *host = g_strndup(image, (gsize)(slash - image));
    *ret_path = slash + 1;
    return g_strdup(hub_alias(host));
}

char *agent_image_name(const char *image)
{
    const char *path = NULL;
    g_autofree char *host = split_host(image, &path);
    const char *at = strchr(path, '@');
    g_autofree char *name = g_strndup(path, at ? (gsize)(at - path) : strlen(path));
    char *slash = strrchr(name, '/');
    char *colon = strchr(slash ? slash : name, ':');
    g_autofree char *tag = g_strdup(colon ? colon + 1 : "latest");

    if (colon)
        *colon = '\0';
    return g_strconcat(host, "/", strcmp(host, HUB) == 0 && !slash ? "library/" : "", name,
                       at ? at : ":", at ? NULL : tag, NULL);
}

char *agent_image_registry(const char *image)
{
    const char *path = NULL;

    return split_host(image, &path);
}

char *agent_registry_name(const char *address)
{
    const char *scheme = strstr(address, "://");
    const char *start = scheme ? scheme + strlen("://") : address;
    g_autofree char *host = g_strndup(start, strcspn(start, "/"));

    return g_strdup(hub_alias(host));
}
