/*
 * model/trust.h - a role's trust policy: is it one, and whom does it let take the role
 *
 * Pure. A statement with a condition lets nobody in (conditions are not evaluated yet), and keeps
 * out whom it names. Error: MALFORMED_POLICY, in IAM's words. Source: IAM User Guide "JSON policy
 * elements: Principal"; STS API Reference "AssumeRole".
 */
#pragma once

#include <glib.h>

#define TRUST_POLICY_MAX 2048 /* characters, white space not counted */

gboolean trust_check(const char *policy, GError **error);

/* Whether it lets in a service ("ec2.amazonaws.com"). */
gboolean trust_allows_service(const char *policy, const char *service);
/* Whether it lets in a caller: by ARN, by its account's root or number, or everybody of AWS. */
gboolean trust_allows_caller(const char *policy, const char *account_id, const char *arn);
