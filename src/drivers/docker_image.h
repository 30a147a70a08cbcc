/*
 * drivers/docker_image.h - images of Docker Engine: pulled, looked up, listed, made, removed
 *
 * Images are named as in a task definition: [host[:port]/]name[:tag][@digest]; no tag is "latest".
 * Any thread; a watch is called in the thread that pulls. Callers free results.
 * Errors as in docker.h: HTTP_CLIENT also when a pull stood still or took too long.
 * Source: Docker Engine API v1.41, ImageCreate (by pull and import), ImageInspect, ImageList,
 * ImageDelete.
 */
#pragma once

#include "drivers/docker.h"

/* How far a pull is. Sizes are bytes as they come over the network. */
typedef struct {
    guint layers;
    guint layers_done;    /* unpacked, or here before */
    gboolean unpacking;   /* all that is missing has come */
    gint64 current_bytes; /* of the layers whose size is known, as total_bytes */
    gint64 total_bytes;
    guint percent; /* of what has to come; by layers as long as some size is not known */
} DockerProgress;

typedef void (*DockerWatch)(const DockerProgress *progress, gpointer user);

typedef struct {
    const char *image;
    const json_t *auth;    /* a tree for X-Registry-Auth, or NULL */
    guint idle_ms;         /* without a byte of progress */
    guint timeout_ms;      /* in all; 0: none */
    const gint *cancelled; /* as in http.h */
    DockerWatch watch;     /* or NULL */
    gpointer user;
} DockerPull;

/* Cancelled (GAVE_UP), Docker drops what nobody else pulls. ret_digest: under which the registry
 * has what was pulled; NULL when it did not say. */
gboolean docker_pull(Docker *docker, const DockerPull *pull, char **ret_digest, GError **error);

/* Whether the image is here, and the digest its repository knows it by (NULL: none). */
gboolean docker_image(Docker *docker, const char *image, char **ret_digest, GError **error);

/* Takes the name away, and the image with its last name. One that is gone is success. Error: DOCKER
 * also when a container uses it. */
gboolean docker_image_remove(Docker *docker, const char *image, GError **error);

/* Makes image repo:tag of a tar of its root. change is a line as of a Dockerfile. */
gboolean docker_import(Docker *docker, const char *repo, const char *tag, const char *change,
                       const char *tar, gsize length, GError **error);

/* All names of images that are here: char *. An image without any is listed by its id. */
GPtrArray *docker_image_names(Docker *docker, GError **error);

/* -- pure, for tests: reads the lines of a pull's answer */
typedef struct DockerPullReader DockerPullReader;

DockerPullReader *docker_pull_reader_new(DockerWatch watch, gpointer user);
void docker_pull_reader_free(DockerPullReader *reader);
/* An HttpSink. Error: TOO_LARGE (a line, or too many layers). */
gboolean docker_pull_reader_feed(const char *data, gsize length, gpointer reader, GError **error);
/* The end of the answer. Error: DOCKER, in the words that the answer had for it. */
gboolean docker_pull_reader_end(DockerPullReader *reader, char **ret_digest, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DockerPullReader, docker_pull_reader_free)
