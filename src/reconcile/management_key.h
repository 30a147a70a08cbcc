/*
 * reconcile/management_key.h - the region's own SSH key, by which instances are bootstrapped
 *
 * Made on first need and sealed in table "region_secrets"; every instance's seed disk carries its
 * public half. Errors: UNAVAILABLE, INTERNAL.
 */
#pragma once

#include "reconcile/step.h"

/* One OpenSSH line. Caller frees. */
char *management_key_public(World *world, GError **error);
/* OpenSSH's PEM form; secret. Caller frees with management_key_wipe. */
char *management_key_private(World *world, GError **error);
void management_key_wipe(char *private_key);
