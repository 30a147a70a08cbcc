/*
 * reconcile/instance.h - parts of the instance's step that have a file of their own
 *
 * A step reads the row, looks at the domain, records what it saw and does the act of the rule's
 * cell (model/instance.h). Every act names what it makes by the row, so that it may be repeated.
 */
#pragma once

#include "drivers/hyper.h"
#include "model/instance.h"
#include "reconcile/step.h"

/* What is seen, from the domain and from what was seen before: a guest that was running and is off
 * without our doing has HALTED; *ret_halt_reason (static) says how, else it is NULL. */
InstanceSeen instance_judge(const Instance *before, const DomainSeen *domain,
                            const char **ret_halt_reason);

/* Volumes, seed, address, domain. */
StepResult instance_define(World *world, Hyper *hyper, const Instance *i, gint64 *ret_again_ms,
                           GError **error);
/* Volumes, address and files of a domain that is gone. */
gboolean instance_clean(Hyper *hyper, const Instance *i, GError **error);
/* A guest that runs: its host keys and whether it answers on its SSH port. */
StepResult instance_watch(World *world, Hyper *hyper, const Instance *i, gint64 *ret_again_ms,
                          GError **error);
/* Stores the console's tail where GetConsoleOutput reads it: when it was asked for, and once more
 * before the domain goes. */
gboolean instance_serve_console(World *world, Hyper *hyper, const Instance *i, GError **error);
/* The lines "type base64" between cloud-init's marks, the newest block; NULL when there is none.
 * Caller frees. */
char *instance_console_keys(const char *console);
/* Lines of known key types, without comments; NULL when there is none. Caller frees. */
char *instance_key_lines(const char *text);
