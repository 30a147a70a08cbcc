/*
 * base/id.h - names for new things: never reused, never guessable
 *
 * Random bits come from getrandom(2); running out of them aborts. Callers free the result.
 * Source: EC2 User Guide "Resource IDs" (17 hex digits); ECS ARNs (32 hex digits).
 */
#pragma once

#include <glib.h>

/* length random bytes. */
void id_random(void *buffer, gsize length);
/* "i-0123456789abcdef0": the prefix, a dash and 17 hex digits. */
char *id_ec2(const char *prefix);
/* The same form made from what it stands for: equal words give an equal id. words ends with NULL.
 */
char *id_ec2_derived(const char *prefix, const char *const *words);
/* 32 hex digits: a task or container instance. */
char *id_hex32(void);
/* A random UUID, lower case with dashes. */
char *id_uuid(void);
/* "ecs-svc/" and 19 digits. */
char *id_deployment(void);
/* prefix ("AKIA", "ASIA", "AIDA", "AROA") and upper-case base32 up to length characters in all. */
char *id_iam(const char *prefix, gsize length);
/* length characters of A-Za-z0-9+/ : a secret access key has 40. */
char *id_secret(gsize length);
/* Whether text is prefix, a dash and 8 or 17 lower-case hex digits. */
gboolean id_is_ec2(const char *text, const char *prefix);
/* Whether text is count lower-case hex digits and nothing else. */
gboolean id_is_hex(const char *text, gsize count);
