/*
 * cli/install.h - where the parts of one installation lie, derived from its Config
 *
 * Everything below is made by "berth up" and taken away by "berth destroy".
 */
#pragma once

#include "base/config.h"

typedef struct {
    const Config *config;
    char *user; /* system user of PostgreSQL and the registry */
    char *etc_dir;
    char *postgres_data;
    char *postgres_socket; /* folder */
    char *tls_dir;
    char *ca_cert; /* world-readable */
    char *ca_key;
    char *server_cert;
    char *server_key;
    char *channel_cert; /* of the agents' channels, P-256 */
    char *channel_key;
    char *master_key;
    char *install_id; /* copy of the install_uuid of the region's database */
    char *hosts_file; /* URIs of the hosts, one a line, as "berth up" last saw them */
    char *cache_dir;  /* what building images keeps */
    char *registry_dir;
    char *endpoint; /* "https://127.0.0.1:8443" */
} Install;

/* config must outlive the result. Caller frees. */
Install *install_new(const Config *config);
void install_free(Install *install);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Install, install_free)

/* "RUN_DIR/up-NAME.pid" and "LOG_DIR/NAME.log". Callers free. */
char *install_pid_file(const Install *install, const char *name);
char *install_log_file(const Install *install, const char *name);

/* The program of ours called name: beside this one, or in ../sbin. Error: COMMAND. Caller frees. */
char *install_program(const char *name, GError **error);
/* A file of ours by its path in the source tree ("images/..."): there, or below share/berth.
 * Error: NOT_FOUND. Caller frees. */
char *install_share(const char *path, GError **error);

/* The first address of a network in CIDR notation: its gateway. Error: CONFIG. Caller frees. */
char *install_gateway(const char *cidr, GError **error);

/* Settings that were left empty, as text: advertise, registry, the two databases. Callers free. */
char *install_advertise(const Config *config, GError **error);
char *install_dsn(const Config *config, const char *database);
char *install_region_database(const Config *config);
