/*
 * model/secret_ref.h - what may be written for a parameter or a secret: names and ARNs
 *
 * Pure. Callers own results.
 * Source: SSM API Reference, GetParameter; Secrets Manager User Guide, "secret ARN"; ECS Developer
 * Guide, "Specifying sensitive data".
 */
#pragma once

#include <glib.h>

typedef struct {
    gboolean is_secret; /* of Secrets Manager; else a parameter */
    char *name;         /* a secret's may end with its suffix of a dash and six characters */
    gboolean by_arn;    /* "parameter/NAME" stands for NAME and for /NAME */
    gint64 version;     /* parameter: 0 is the newest */
    char *json_key;     /* secret: member of its JSON; NULL: the whole value */
    char *stage;        /* secret: staging label; NULL: AWSCURRENT, or none with version_id */
    char *version_id;   /* secret; NULL: by stage */
} SecretRef;

void secret_ref_free(SecretRef *ref);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SecretRef, secret_ref_free)

/* "NAME", "NAME:VERSION", or the same with the parameter's ARN. NULL when it is an ARN of something
 * else or of another region or account, or the version is no number. */
SecretRef *secret_ref_parameter(const char *region, const char *account_id, const char *text);
/* A secret's name or ARN. NULL as above. */
SecretRef *secret_ref_secret(const char *region, const char *account_id, const char *text);
/* What a container definition's secret may come from: a parameter's name or ARN, or a secret's ARN
 * with ":json-key:stage:version-id" behind it, each of which may be empty. NULL as above. */
SecretRef *secret_ref_value_from(const char *region, const char *account_id, const char *text);
