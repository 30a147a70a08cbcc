/*
 * drivers/docker_tree.h - Docker's answers read into records; pure
 *
 * For drivers/docker.c and its tests. Errors: HTTP_CLIENT (an answer of another form).
 * Source: Docker Engine API v1.41, ContainerInspect, ContainerList, ImageInspect, ImageCreate.
 */
#pragma once

#include "drivers/docker.h"

DockerContainer *docker_tree_container(const json_t *tree, GError **error);
GPtrArray *docker_tree_list(const json_t *tree, GError **error);
/* The digest under which the image's repository has it, or NULL. Caller frees. */
char *docker_tree_digest(const json_t *tree, const char *image);
/* "/images/create?fromImage=NAME&tag=TAG". Caller frees. */
char *docker_tree_pull_path(const char *image);
