/*
 * reconcile/seed.h - what a guest is told at its first boot: NoCloud's files on a small disk
 *
 * Public keys, names and user data; never a secret of Berth's.
 * Source: cloud-init "NoCloud" data source; "Networking config Version 2".
 */
#pragma once

#include "model/instance.h"

/* The disk's bytes. management_key is a public line; user_data may be NULL. Caller frees. */
guint8 *seed_build(const Instance *instance, const char *region, const char *management_key,
                   GBytes *user_data, gsize *ret_length);
