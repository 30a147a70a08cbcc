/*
 * agent/place.h - where a directory is on the machine, however it is mounted
 *
 * In its container every agent has its data in "/data". The kernel's table of mounts tells which
 * directory of the file system that is, so that the answer is the same in the container and on the
 * machine, and differs for two directories of one file system.
 * Source: proc(5), /proc/[pid]/mountinfo.
 */
#pragma once

#include <glib.h>

/* "/var/lib/berth-agent/data": dir, which must exist, from the root of its file system. Caller
 * frees. Error: CONFIG. */
char *agent_place(const char *dir, GError **error);

/* The same for an absolute path without symbolic links, by the text of a mountinfo; NULL when no
 * mount holds it. Pure. */
char *agent_place_by(const char *mountinfo, const char *path);
