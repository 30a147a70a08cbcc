/*
 * agent/role.h - the instance's own credentials, from its metadata service: no key on its disk
 *
 * Version 2 only: a token first. Blocks for some seconds at worst: not for the loop's thread.
 * Errors: HTTP_CLIENT (nobody answers), CONFIG (the instance has no role, or what came is none).
 * Source: EC2 User Guide "Use the Instance Metadata Service", "Retrieve security credentials".
 */
#pragma once

#include <glib.h>

typedef struct {
    char *access_key_id, *secret, *token;
    gint64 expires_us; /* UTC */
} RoleKeys;

void role_keys_clear(RoleKeys *keys);
/* url is the service's, "http://169.254.169.254". Caller clears ret_keys. */
gboolean role_keys_fetch(const char *url, RoleKeys *ret_keys, GError **error);
/* When to ask again for credentials that were got at now_us: the service makes new ones in their
 * last sixth. */
gint64 role_keys_renew_us(const RoleKeys *keys, gint64 now_us);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RoleKeys, role_keys_clear)
