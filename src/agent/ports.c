#include "agent/ports.h"
#include "agent/names.h"
#include "base/errors.h"
#include "base/tree.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Upper part of the kernel's usual range: Docker takes single ports from its beginning. */
#define FIRST_PORT 49153
#define LAST_PORT  60999

static const char *protocol_of(const json_t *mapping)
{
    const char *protocol = text_of(mapping, "protocol");

    return *protocol ? protocol : "tcp";
}

static gboolean is_free(guint port, const char *protocol)
{
    const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((guint16)port) };
    int type = strcmp(protocol, "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    gboolean taken = fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) < 0;

    if (fd >= 0)
        close(fd);
    return !taken;
}

/* The first of count free ports in a row, at or after *next_port and then from the beginning. */
static gboolean find_row(guint count, const char *protocol, guint *next_port, guint *ret_first)
{
    guint in_row = 0, port = *next_port;

    for (guint tried = 0; tried <= LAST_PORT - FIRST_PORT + count; tried++, port++) {
        if (port < FIRST_PORT || port > LAST_PORT) {
            port = FIRST_PORT;
            in_row = 0;
        }
        in_row = is_free(port, protocol) ? in_row + 1 : 0;
        if (in_row < count)
            continue;
        *ret_first = port - count + 1;
        *next_port = port + 1;
        return TRUE;
    }
    return FALSE;
}

gboolean agent_ports_choose(const AgentContainer *c, json_t *create, guint *next_port,
                            GError **error)
{
    json_t *bound = json_object_get(json_object_get(create, "HostConfig"), "PortBindings");
    const json_t *mapping;
    guint first, last, host_port;
    gsize n;

    json_array_foreach(json_object_get(c->spec, "portMappings"), n, mapping)
    {
        const char *range = text_of(mapping, "containerPortRange");
        gboolean ranged = agent_port_range(range, &first, &last);
        if (!ranged)
            first = last = (guint)json_integer_value(json_object_get(mapping, "containerPort"));
        /* Docker would give a container that is started again another port than was reported */
        gboolean kept = c->restarts && !json_integer_value(json_object_get(mapping, "hostPort"));
        if (!bound || (!ranged && !kept))
            continue;
        if (!find_row(last - first + 1, protocol_of(mapping), next_port, &host_port))
            return fail(error, UNAVAILABLE, "there are no free ports in a row for \"%s\"", range);
        for (guint port = first; port <= last; port++) {
            g_autofree char *key = g_strdup_printf("%u/%s", port, protocol_of(mapping));
            g_autofree char *text = g_strdup_printf("%u", host_port + port - first);
            json_object_set_new(bound, key, json_pack("[{s:s}]", "HostPort", text));
        }
    }
    return TRUE;
}

/* The range of the container's mappings that the port is in; FALSE when it is in none. */
static gboolean range_of(const AgentContainer *c, const DockerPort *port, guint *ret_first,
                         guint *ret_last)
{
    const json_t *mapping;
    gsize n;

    json_array_foreach(json_object_get(c->spec, "portMappings"), n,
                       mapping) if (agent_port_range(text_of(mapping, "containerPortRange"),
                                                     ret_first, ret_last) &&
                                    strcmp(protocol_of(mapping), port->protocol) == 0 &&
                                    port->container_port >= *ret_first &&
                                    port->container_port <= *ret_last) return TRUE;
    return FALSE;
}

json_t *agent_ports_bindings(const AgentContainer *c, const GPtrArray *ports)
{
    json_t *list = json_array();
    guint first, last;

    for (guint i = 0; i < ports->len; i++) {
        const DockerPort *port = ports->pdata[i];
        json_t *binding =
            json_pack("{s:s, s:s}", "bindIP", port->bind_ip, "protocol", port->protocol);
        gboolean ranged = range_of(c, port, &first, &last);
        if (ranged && port->container_port != first) {
            json_decref(binding);
            continue;
        }
        if (ranged) {
            json_object_set_new(binding, "containerPortRange", json_sprintf("%u-%u", first, last));
            json_object_set_new(
                binding, "hostPortRange",
                json_sprintf("%u-%u", port->host_port, port->host_port + last - first));
        } else {
            json_object_set_new(binding, "containerPort", json_integer(port->container_port));
            json_object_set_new(binding, "hostPort", json_integer(port->host_port));
        }
        json_array_append_new(list, binding);
    }
    return list;
}
