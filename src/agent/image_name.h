/*
 * agent/image_name.h - names of images: one form for all ways to write one, and its registry; pure
 *
 * Source: Docker's reference grammar ([host[:port]/]path[:tag][@digest]; the first part is a host
 * when it has a dot or a colon, or is "localhost"; else docker.io, with "library/" before a single
 * word).
 */
#pragma once

#include <glib.h>

/* "host/path:tag" or "host/path@digest" ("busybox" is "docker.io/library/busybox:latest"). Caller
 * frees. */
char *agent_image_name(const char *image);
/* "docker.io", "registry:5000". Caller frees. */
char *agent_image_registry(const char *image);
/* The same of what names a registry: "https://index.docker.io/v1/", "http://registry:5000". */
char *agent_registry_name(const char *address);
