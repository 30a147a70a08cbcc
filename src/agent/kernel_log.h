/*
 * agent/kernel_log.h - what the kernel's log says of a container that Docker did not see
 *
 * containerd asks for notices of memory running out once a container runs. One that has run out
 * by then is killed without Docker learning why; the kernel has written it down before the kill.
 * It writes ten such lines in five seconds at most (its rate limit), and its log is a ring.
 * Source: syslog(2), CAP_SYSLOG; Linux mm/oom_kill.c for the line's form.
 */
#pragma once

#include <glib.h>

/* Whether the kernel killed a process of this container because memory ran out: its own, its
 * task's or the machine's. FALSE as well when the log may not be read. Takes milliseconds: not for
 * each end of a container. */
gboolean agent_kernel_log_killed(const char *docker_id);

/* The same, by the text of a log. Pure. */
gboolean agent_kernel_log_tells(const char *text, const char *docker_id);
