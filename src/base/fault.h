/*
 * base/fault.h - fault points: named places where a test makes the process die
 *
 * FAULT_POINT("instance.defined") stands right after an act on the world or a commit. With
 * BERTH_FAULT=instance.defined:2 in the environment the second pass there ends the process as
 * SIGKILL would; with BERTH_FAULT_TRACE=FILE each pass appends its name to FILE, so that a test
 * first counts the points of a journey and then kills at each in turn.
 * Costs one load of a static flag where neither is set.
 */
#pragma once

#include <glib.h>

extern gboolean fault_armed;

/* Reads the two environment variables; call it once, first thing in main. */
void fault_init(void);
void fault_hit(const char *name);

#define FAULT_POINT(name)                                                                          \
    do {                                                                                           \
        if (G_UNLIKELY(fault_armed))                                                               \
            fault_hit(name);                                                                       \
    } while (0)
