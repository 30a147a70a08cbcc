/*
 * drivers/docker.h - Docker Engine by its API on a unix socket
 *
 * Every call opens its own connection, so threads may share a Docker. Acts are repeatable: what is
 * already as asked is success, and a create finds the container of that name it made before.
 * Times are UTC microseconds, sizes bytes, timeouts seconds; callers free results.
 * Errors: HTTP_CLIENT (Docker cannot be reached or broke off: try again); NOT_FOUND; DOCKER (Docker
 * refused, in its own words); UNAVAILABLE (Docker answers 503: it is going down or coming up).
 * Source: Docker Engine API v1.41.
 */
#pragma once

#include "drivers/http.h"

#include <glib.h>
#include <jansson.h>

typedef struct Docker Docker;

/* socket is a path, or DOCKER_HOST's "unix:///path". Nothing is connected yet. */
Docker *docker_new(const char *socket);
void docker_free(Docker *docker);

/* Asks for Docker's version, and settles on an API version both sides speak. */
gboolean docker_connect(Docker *docker, char **ret_version, GError **error);

/* How Docker keeps control groups: "cgroupfs" or "systemd"; asked for once per docker_connect, as
 * Docker takes long to tell all about itself. Caller frees. */
char *docker_cgroup_driver(Docker *docker, GError **error);

typedef enum { DOCKER_CREATED, DOCKER_RUNNING, DOCKER_EXITED } DockerState;
typedef enum {
    DOCKER_HEALTH_NONE, /* no health check */
    DOCKER_HEALTH_STARTING,
    DOCKER_HEALTHY,
    DOCKER_UNHEALTHY
} DockerHealth;

typedef struct {
    char *bind_ip;
    guint container_port;
    guint host_port;
    char *protocol; /* "tcp" or "udp" */
} DockerPort;

typedef struct {
    char *id;
    char *name; /* without the slash in front */
    char *image_id;
    DockerState state;
    gboolean was_started; /* ever */
    int exit_code;
    gboolean oom_killed;
    char *error;          /* why the start failed, or "" */
    guint stop_timeout_s; /* 0: Docker's own */
    gint64 started_us;    /* 0: never */
    gint64 finished_us;   /* 0: never */
    DockerHealth health;
    GPtrArray *ports; /* DockerPort, of a running container; IPv6 wildcards left out */
    json_t *labels;
    char *about; /* JSON: Created, Image, Networks and Mounts of the inspection, nothing else */
} DockerContainer;

/* What Docker would say of a container that it has just made; without name, image, labels, about.
 */
DockerContainer *docker_container_new(const char *id);
void docker_container_free(DockerContainer *container);

/* By id or name. */
DockerContainer *docker_inspect(Docker *docker, const char *id, GError **error);

typedef struct {
    char *id;
    char *name;
    json_t *labels;
} DockerListed;

void docker_listed_free(DockerListed *listed);
/* All containers, stopped ones too, that have the label ("name" or "name=value"): DockerListed. */
GPtrArray *docker_list(Docker *docker, const char *label, GError **error);

/* The id of a new container (*ret_new), or of the one that has this name already and the same value
 * of label. */
char *docker_create(Docker *docker, const char *name, const json_t *spec, const char *label,
                    gboolean *ret_new, GError **error);
gboolean docker_start(Docker *docker, const char *id, GError **error);
/* The container's stop signal, then SIGKILL after timeout_s. */
gboolean docker_stop(Docker *docker, const char *id, guint timeout_s, GError **error);
/* With its anonymous volumes. A container that is gone is success. */
gboolean docker_remove(Docker *docker, const char *id, GError **error);

/* Makes a named volume, or finds it. spec is the body of VolumeCreate. */
gboolean docker_volume_create(Docker *docker, const json_t *spec, GError **error);
gboolean docker_volume_exists(Docker *docker, const char *name, GError **error);
/* A volume that is gone is success. */
gboolean docker_volume_remove(Docker *docker, const char *name, GError **error);

/* One reading of a running container's counters, as Docker gives it. */
json_t *docker_stats(Docker *docker, const char *id, GError **error);
/* The same beside the reading of a second before (precpu_stats): takes that second. */
json_t *docker_stats_compared(Docker *docker, const char *id, GError **error);

/* A connection on which container events with the label come as an endless answer: one JSON tree
 * a line, read with stream_read_now and an HttpParser. since_us 0: from now. */
Stream *docker_events_open(Docker *docker, const char *label, gint64 since_us, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Docker, docker_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DockerContainer, docker_container_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DockerListed, docker_listed_free)
