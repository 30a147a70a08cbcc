#include "drivers/docker_tree.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/tree.h"
#include "wire/form.h"

#include <stdlib.h>
#include <string.h>

static void port_free(gpointer data)
{
    DockerPort *port = data;

    g_free(port->bind_ip);
    g_free(port->protocol);
    g_free(port);
}

DockerContainer *docker_container_new(const char *id)
{
    DockerContainer *container = g_new0(DockerContainer, 1);

    container->id = g_strdup(id);
    container->state = DOCKER_CREATED;
    return container;
}

void docker_container_free(DockerContainer *container)
{
    if (!container)
        return;
    g_free(container->id);
    g_free(container->name);
    g_free(container->image_id);
    g_free(container->error);
    g_clear_pointer(&container->ports, g_ptr_array_unref);
    json_decref(container->labels);
    free(container->about);
    g_free(container);
}

void docker_listed_free(DockerListed *listed)
{
    if (!listed)
        return;
    g_free(listed->id);
    g_free(listed->name);
    json_decref(listed->labels);
    g_free(listed);
}

/* Docker writes the year 1 for "never". */
static gint64 time_of(const json_t *tree, const char *key)
{
    gint64 us = 0;

    return clock_parse_iso(text_of(tree, key), &us) && us > 0 ? us : 0;
}

static DockerHealth health_of(const json_t *state)
{
    const char *status = text_of(json_object_get(state, "Health"), "Status");

    if (strcmp(status, "healthy") == 0)
        return DOCKER_HEALTHY;
    if (strcmp(status, "unhealthy") == 0)
        return DOCKER_UNHEALTHY;
    return strcmp(status, "starting") == 0 ? DOCKER_HEALTH_STARTING : DOCKER_HEALTH_NONE;
}

static DockerState state_of(const json_t *state)
{
    const char *status = text_of(state, "Status");

    if (strcmp(status, "created") == 0)
        return DOCKER_CREATED;
    if (strcmp(status, "exited") == 0 || strcmp(status, "dead") == 0 ||
        strcmp(status, "removing") == 0)
        return DOCKER_EXITED;
    return DOCKER_RUNNING; /* also paused and restarting */
}

static int port_compare(gconstpointer a, gconstpointer b)
{
    const DockerPort *x = *(DockerPort *const *)a;
    const DockerPort *y = *(DockerPort *const *)b;

    if (x->container_port != y->container_port)
        return x->container_port < y->container_port ? -1 : 1;
    return strcmp(x->protocol, y->protocol);
}

/* "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}, {"HostIp": "::", ...}] */
static void add_ports(GPtrArray *ports, const char *key, const json_t *bindings)
{
    const char *slash = strchr(key, '/');
    guint64 container_port = g_ascii_strtoull(key, NULL, 10);
    const json_t *binding;
    gsize n;

    json_array_foreach(bindings, n, binding)
    {
        const char *ip = text_of(binding, "HostIp");
        guint64 host_port = 0;
        if (strcmp(ip, "::") == 0 || container_port < 1 || container_port > 65535 ||
            !g_ascii_string_to_unsigned(text_of(binding, "HostPort"), 10, 1, 65535, &host_port,
                                        NULL))
            continue;
        DockerPort *port = g_new0(DockerPort, 1);
        port->bind_ip = g_strdup(*ip ? ip : "0.0.0.0");
        port->container_port = (guint)container_port;
        port->host_port = (guint)host_port;
        port->protocol = g_strdup(slash ? slash + 1 : "tcp");
        g_ptr_array_add(ports, port);
    }
}

/* {name: {IPAddress, GlobalIPv6Address}} of the networks it is in. */
static json_t *networks_of(const json_t *tree)
{
    json_t *all = json_object_get(json_object_get(tree, "NetworkSettings"), "Networks");
    json_t *out = json_object();
    const char *name;
    json_t *network;

    json_object_foreach(all, name, network)
        json_object_set_new(out, name,
                            json_pack("{s:s, s:s}", "IPAddress", text_of(network, "IPAddress"),
                                      "GlobalIPv6Address", text_of(network, "GlobalIPv6Address")));
    return out;
}

static json_t *mounts_of(const json_t *tree)
{
    json_t *out = json_array();
    const json_t *mount;
    gsize n;

    json_array_foreach(json_object_get(tree, "Mounts"), n, mount) json_array_append_new(
        out, json_pack("{s:s, s:s, s:s}", "Name", text_of(mount, "Name"), "Source",
                       text_of(mount, "Source"), "Destination", text_of(mount, "Destination")));
    return out;
}

static char *about_of(const json_t *tree)
{
    json_auto_t *about =
        json_pack("{s:s, s:s, s:o, s:o}", "Created", text_of(tree, "Created"), "Image",
                  text_of(tree, "Image"), "Networks", networks_of(tree), "Mounts", mounts_of(tree));

    return json_dumps(about, JSON_COMPACT);
}

DockerContainer *docker_tree_container(const json_t *tree, GError **error)
{
    g_autoptr(DockerContainer) c = g_new0(DockerContainer, 1);
    const json_t *state = json_object_get(tree, "State");
    const json_t *config = json_object_get(tree, "Config");
    json_t *ports = json_object_get(json_object_get(tree, "NetworkSettings"), "Ports");
    const char *name = text_of(tree, "Name");
    const char *key;
    json_t *bindings;

    if (!json_is_object(state) || !*text_of(tree, "Id"))
        return fail_null(error, HTTP_CLIENT, "docker's description of a container is incomplete");
    c->id = g_strdup(text_of(tree, "Id"));
    c->name = g_strdup(*name == '/' ? name + 1 : name);
    c->image_id = g_strdup(text_of(tree, "Image"));
    c->state = state_of(state);
    c->exit_code = (int)json_integer_value(json_object_get(state, "ExitCode"));
    c->oom_killed = json_is_true(json_object_get(state, "OOMKilled"));
    c->error = g_strdup(text_of(state, "Error"));
    c->started_us = time_of(state, "StartedAt");
    c->finished_us = time_of(state, "FinishedAt");
    c->was_started = c->started_us > 0;
    c->health = health_of(state);
    c->about = about_of(tree);
    c->labels = json_incref(json_object_get(config, "Labels"));
    c->stop_timeout_s = (guint)MAX(json_integer_value(json_object_get(config, "StopTimeout")), 0);
    c->ports = g_ptr_array_new_with_free_func(port_free);
    json_object_foreach(ports, key, bindings) add_ports(c->ports, key, bindings);
    g_ptr_array_sort(c->ports, port_compare);
    return g_steal_pointer(&c);
}

GPtrArray *docker_tree_list(const json_t *tree, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)docker_listed_free);
    const json_t *item;
    gsize n;

    if (!json_is_array(tree))
        return fail_null(error, HTTP_CLIENT, "docker's list of containers is not a list");
    json_array_foreach(tree, n, item)
    {
        const char *name = json_string_value(json_array_get(json_object_get(item, "Names"), 0));
        DockerListed *listed = g_new0(DockerListed, 1);
        listed->id = g_strdup(text_of(item, "Id"));
        listed->name = g_strdup(name && *name == '/' ? name + 1 : name);
        listed->labels = json_incref(json_object_get(item, "Labels"));
        g_ptr_array_add(list, listed);
    }
    return g_steal_pointer(&list);
}

/* Splits [host[:port]/]name[:tag][@digest]; tag is the digest when there is one. */
static char *image_split(const char *image, char **ret_tag)
{
    const char *at = strchr(image, '@');
    g_autofree char *name = at ? g_strndup(image, (gsize)(at - image)) : g_strdup(image);
    char *slash = strrchr(name, '/');
    char *colon = strchr(slash ? slash : name, ':');

    *ret_tag = g_strdup(at ? at + 1 : colon ? colon + 1 : "latest");
    if (colon)
        *colon = '\0';
    return g_steal_pointer(&name);
}

char *docker_tree_pull_path(const char *image)
{
    g_autofree char *tag = NULL;
    g_autofree char *name = image_split(image, &tag);
    g_autoptr(GString) path = g_string_new("/images/create?fromImage=");

    form_escape(path, name);
    g_string_append(path, "&tag=");
    form_escape(path, tag);
    return g_string_free(g_steal_pointer(&path), FALSE);
}

char *docker_tree_digest(const json_t *tree, const char *image)
{
    g_autofree char *tag = NULL;
    g_autofree char *name = image_split(image, &tag);
    const json_t *digest;
    gsize n;

    json_array_foreach(json_object_get(tree, "RepoDigests"), n, digest)
    {
        const char *text = json_string_value(digest);
        const char *at = text ? strchr(text, '@') : NULL;
        if (at && strlen(name) == (gsize)(at - text) && g_str_has_prefix(text, name))
            return g_strdup(at + 1);
    }
    return NULL;
}
