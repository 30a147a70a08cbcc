#include "cli/install.h"
#include "base/errors.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static char *below(const char *folder, const char *path)
{
    return g_build_filename(folder, path, NULL);
}

Install *install_new(const Config *config)
{
    Install *in = g_new0(Install, 1);

    in->config = config;
    in->user = strcmp(config->name, "berth") == 0 ? g_strdup("berth")
                                                  : g_strconcat("berth-", config->name, NULL);
    in->etc_dir = g_strconcat(config->root, "/etc/berth", NULL);
    in->postgres_data = below(config->state_dir, "postgresql");
    in->postgres_socket = below(config->run_dir, "postgresql");
    in->tls_dir = below(config->state_dir, "tls");
    in->ca_cert = below(in->tls_dir, "ca.crt");
    in->ca_key = below(in->tls_dir, "ca.key");
    in->server_cert = below(in->tls_dir, "server.crt");
    in->server_key = below(in->tls_dir, "server.key");
    in->channel_cert = below(in->tls_dir, "channel.crt");
    in->channel_key = below(in->tls_dir, "channel.key");
    in->master_key = below(config->state_dir, "master.key");
    in->install_id = below(config->state_dir, "install-uuid");
    in->hosts_file = below(config->state_dir, "hosts");
    in->cache_dir = g_strconcat(config->root, "/var/cache/berth", NULL);
    in->registry_dir = below(config->state_dir, "registry");
    in->endpoint = g_strdup_printf("https://127.0.0.1:%u", config->listen_port);
    return in;
}

void install_free(Install *in)
{
    if (!in)
        return;
    g_free(in->user);
    g_free(in->etc_dir);
    g_free(in->postgres_data);
    g_free(in->postgres_socket);
    g_free(in->tls_dir);
    g_free(in->ca_cert);
    g_free(in->ca_key);
    g_free(in->server_cert);
    g_free(in->server_key);
    g_free(in->channel_cert);
    g_free(in->channel_key);
    g_free(in->master_key);
    g_free(in->install_id);
    g_free(in->hosts_file);
    g_free(in->cache_dir);
    g_free(in->registry_dir);
    g_free(in->endpoint);
    g_free(in);
}

char *install_pid_file(const Install *in, const char *name)
{
    return g_strdup_printf("%s/up-%s.pid", in->config->run_dir, name);
}

char *install_log_file(const Install *in, const char *name)
{
    return g_strdup_printf("%s/%s.log", in->config->log_dir, name);
}

/* The folder of the running program; NULL when /proc does not tell. */
static char *own_folder(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

    return self ? g_path_get_dirname(self) : NULL;
}

char *install_program(const char *name, GError **error)
{
    static const char *const places[] = { ".", "../sbin", "../bin", "../lib/berth" };
    g_autofree char *own = own_folder();

    for (gsize i = 0; i < G_N_ELEMENTS(places) && own; i++) {
        g_autofree char *path = g_build_filename(own, places[i], name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_EXECUTABLE))
            return g_canonicalize_filename(path, "/");
    }
    return fail_null(error, COMMAND,
                     "the program \"%s\" is not beside this one; build it with \"make\"", name);
}

char *install_share(const char *path, GError **error)
{
    static const char *const places[] = { "..", ".", "../share/berth" };
    g_autofree char *own = own_folder();

    for (gsize i = 0; i < G_N_ELEMENTS(places) && own; i++) {
        g_autofree char *full = g_build_filename(own, places[i], path, NULL);
        if (g_file_test(full, G_FILE_TEST_EXISTS))
            return g_canonicalize_filename(full, "/");
    }
    return fail_null(
        error, NOT_FOUND,
        "\"%s\" is neither in the source tree, beside this program, nor below share/berth", path);
}

char *install_gateway(const char *cidr, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(cidr, "/", 2);
    struct in_addr address;
    guint64 prefix = 0;
    char text[INET_ADDRSTRLEN];

    if (!parts[0] || !parts[1] || inet_pton(AF_INET, parts[0], &address) != 1 ||
        !g_ascii_string_to_unsigned(parts[1], 10, 8, 28, &prefix, NULL))
        return fail_null(error, CONFIG,
                         "network_cidr \"%s\" is not an IPv4 network with a prefix from 8 to 28",
                         cidr);
    guint32 mask = ~(guint32)0 << (32 - prefix);
    address.s_addr = htonl((ntohl(address.s_addr) & mask) + 1);
    return g_strdup(inet_ntop(AF_INET, &address, text, sizeof text));
}

char *install_advertise(const Config *config, GError **error)
{
    return *config->advertise ? g_strdup(config->advertise)
                              : install_gateway(config->network_cidr, error);
}

char *install_dsn(const Config *config, const char *database)
{
    return g_strdup_printf("host=%s/postgresql dbname=%s", config->run_dir, database);
}

char *install_region_database(const Config *config)
{
    char *name = g_strconcat("berth_", config->region, NULL);

    return g_strdelimit(name, "-", '_');
}
