/*
 * agent/config.h - what the agent is told: a file of KEY=VALUE lines, and the environment
 *
 * The table in config.c names each setting once, with its reason. The environment wins over the
 * file; the names of the stock agent (ECS_CLUSTER, ...) are taken in both. Durations are in the
 * form "1h30m", "45s", "200ms".
 * Errors: CONFIG, naming the key and what was expected.
 * Source: agent configuration parameters of the Amazon ECS Developer Guide.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

typedef enum { PULL_DEFAULT, PULL_ALWAYS, PULL_ONCE, PULL_PREFER_CACHED } PullBehavior;

typedef struct {
    char *endpoint; /* URL of the ECS API */
    char *region;
    char *cluster; /* "" when none was configured */
    char *ca_file; /* "" for the system's store */
    char *instance_id;
    char *access_key_id; /* "": the credentials of the instance's role */
    char *secret_access_key;
    char *session_token; /* "" for none */
    char *metadata_url;  /* of the instance metadata service */
    char *docker_socket;
    char *data_dir;
    char *cgroup_dir;
    char *reserved_ports;     /* JSON list */
    char *reserved_ports_udp; /* JSON list */
    char *attributes;         /* JSON map, sent with the first registration */
    char *log_level;
    char *s3_endpoint;      /* of environment files; "" for none */
    char *s3_region;        /* "" for the region */
    char *s3_ca_file;       /* "" for the system's store */
    char *s3_access_key_id; /* "": a task's execution role asks */
    char *s3_secret_access_key;
    char *pull_behavior_name;
    PullBehavior pull_behavior;
    guint reserved_memory_mib;
    guint endpoint_port;      /* of 127.0.0.1: credentials and metadata for containers */
    guint introspection_port; /* on all interfaces */
    char *auth_type;          /* "" for none; else image_auth.h */
    char *auth_data;          /* JSON map */
    guint pull_retry_ms;
    guint pull_idle_ms;
    guint pull_timeout_ms;
    gboolean keep_images;
    guint image_interval_ms;
    guint image_age_ms;
    guint images_per_cycle;
    gboolean clean_foreign; /* images that this agent did not pull */
    char *foreign_kept;     /* names, between commas */
    guint foreign_age_ms;
    guint disk_min_free; /* percent */
    char *disk_path;     /* "": data_dir */
    guint disk_check_ms;
    guint stop_timeout_ms;
    guint cleanup_wait_ms;
    guint batch_min_ms;  /* changes of single containers wait this long to be sent together */
    guint publish_ms;    /* telemetry */
    guint inactivity_ms; /* a channel that is silent for this, up to twice it, is dropped */
    guint rotation_ms;   /* the ACS channel is renewed after this, up to thrice it */
    guint check_ms;      /* running containers are looked at again */
} AgentConfig;

/* file may be missing: then the environment must say it all. Caller frees. */
AgentConfig *agent_config_load(const char *file, GError **error);
void agent_config_free(AgentConfig *config);

/* "1h30m", "90s", "250ms" in milliseconds; FALSE when it is none. */
gboolean agent_config_duration(const char *text, guint *ret_ms);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentConfig, agent_config_free)
