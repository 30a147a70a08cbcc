/*
 * drivers/docker_call.h - one call of Docker's API, for the files that know its paths
 *
 * Paths begin behind "/v1.NN". Errors as in docker.h. Callers own results.
 */
#pragma once

#include "base/tree.h"
#include "drivers/docker.h"

#include <pthread.h>

struct Docker {
    char *url;
    gint api; /* minor version of API 1.x; atomic */
    pthread_mutex_t lock;
    char *cgroup_driver; /* as long as Docker runs; guarded by lock, NULL before it was asked for */
};

/* Sends a request as it is but for its target and limits. */
HttpResponse *docker_send(Docker *docker, HttpRequest *request, const char *path, GError **error);
/* Turns an answer that is no success into an error. */
gboolean docker_check(const HttpResponse *response, GError **error);
/* The same with a tree for its body; at most one header of request's own is kept. The answer may be
 * an error of Docker's. */
HttpResponse *docker_exchange(Docker *docker, HttpRequest *request, const char *path,
                              const json_t *body, GError **error);
/* The same, when only success will do. */
HttpResponse *docker_call(Docker *docker, HttpRequest request, const char *path, const json_t *body,
                          GError **error);
json_t *docker_get(Docker *docker, const char *path, GError **error);
/* DELETE of something that may be gone already. */
gboolean docker_delete(Docker *docker, const char *path, GError **error);
/* "/containers/ID/what" with the id escaped. */
char *docker_object_path(const char *kind, const char *id, const char *what);
