#include "handlers/secret_values.h"
#include "base/errors.h"

Parameter *secret_values_parameter(DbTx *tx, const char *account_id, const SecretRef *ref,
                                   GError **error)
{
    g_autoptr(GError) cause = NULL;
    Parameter *found = parameters_find(tx, account_id, ref->name, ref->version, &cause);

    if (!found && !cause && ref->by_arn && *ref->name != '/') {
        g_autofree char *name = g_strconcat("/", ref->name, NULL);
        found = parameters_find(tx, account_id, name, ref->version, &cause);
    }
    if (cause)
        g_propagate_error(error, g_steal_pointer(&cause));
    return found;
}

SecretVersion *secret_values_version(DbTx *tx, const Secret *secret, const char *version_id,
                                     const char *stage, GError **error)
{
    const char *wanted = version_id || stage ? stage : "AWSCURRENT";
    g_autoptr(GError) cause = NULL;
    SecretVersion *version = secret_versions_find(tx, secret->id, version_id, wanted, &cause);

    if (version)
        return version;
    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    if (version_id)
        return fail_null(error, SECRET_NOT_FOUND,
                         "Secrets Manager can't find the specified secret value for VersionId: %s",
                         version_id);
    return fail_null(error, SECRET_NOT_FOUND,
                     "Secrets Manager can't find the specified secret value for staging label: %s",
                     wanted);
}
