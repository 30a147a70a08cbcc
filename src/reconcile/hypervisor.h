/*
 * reconcile/hypervisor.h - guests on one libvirt host that belong to nobody
 *
 * Errors: those of drivers/hyper.h and store/db.h.
 */
#pragma once

#include "drivers/hyper.h"
#include "reconcile/step.h"

/* Ends and removes every domain of ours there that no living instance owns: of instances that were
 * given up with their host, which has come back. */
gboolean hypervisor_end_strays(World *world, Hyper *hyper, GError **error);
