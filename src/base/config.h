/*
 * base/config.h - settings: one file (GKeyFile), one table of parameters
 *
 * The table in config.c names each setting once: group, key, kind, default, limits and why it
 * exists; berth help config prints it. Paths that the file leaves out derive from "root".
 * Errors: CONFIG, naming the file, group, key and what was expected.
 */
#pragma once

#include <glib.h>

typedef struct {
    char *file;      /* where it was read from */
    char *name;      /* this installation: prefix of everything it makes in libvirt */
    char *root;      /* "" or the folder below which all paths lie */
    char *state_dir; /* keeps: database, images, keys, certificates */
    char *run_dir;   /* sockets and pid files */
    char *log_dir;
    char *listen_address; /* API over HTTPS */
    guint listen_port;
    guint channel_port; /* agents' WebSockets over TLS */
    char *advertise;    /* address or name under which guests and clients reach this machine */
    char *region;       /* the region this daemon serves */
    char *zones;        /* its zones, by comma, where berth up makes them */
    char *identity_dsn; /* accounts, keys, roles: libpq connection string, no user */
    char *region_dsn;   /* everything else of this region */
    char *database;     /* "embedded", or "external": an administrator's own */
    char *libvirt_uri;  /* the host that berth up adds */
    char *network_cidr; /* of the default network */
    char *bridge;       /* its bridge on each host */
    char *registry;     /* HOST:PORT of the local image registry; "" for none */
    char *image_dir;    /* machine images, by digest */
    char *log_level;
    guint api_threads;
    guint reconcile_workers;
    guint database_connections;
    guint sweep_seconds;
    guint reboot_seconds; /* from asking a guest to go down to its reset */
    guint agent_suspect_seconds;
    guint agent_lost_seconds;
    guint external_session_seconds; /* of the agents on machines that are no guests of ours */
    guint agent_return_seconds;
    guint task_history_seconds;
    char *metadata_address; /* of the instance metadata service */
    guint metadata_port;
    guint role_session_seconds; /* of credentials that instances and tasks are handed */
} Config;

/* Reads file, or gives the defaults when it is NULL. Caller frees with config_free. */
Config *config_load(const char *file, GError **error);
/* The same settings with everything below root (a scratch installation). */
Config *config_for_root(const char *root, GError **error);
void config_free(Config *config);
/* The file as config_load reads it, each setting with its reason as a comment. */
char *config_text(const Config *config);

/* base/config's table as rows for help: calls row for each setting. */
void config_each(void (*row)(const char *group, const char *key, const char *value, const char *why,
                             gpointer user),
                 gpointer user);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)
