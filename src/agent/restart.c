#include "agent/restart.h"
#include "base/clock.h"
#include "base/errors.h"

static gboolean check_codes(const json_t *codes, GError **error)
{
    const json_t *code;
    gsize n;

    if (!codes || json_is_null(codes))
        return TRUE;
    if (!json_is_array(codes) || json_array_size(codes) > RESTART_CODES_MAX)
        return fail(error, INVALID_PARAMETER, "ignoredExitCodes of a restartPolicy cannot be read");
    json_array_foreach(codes, n, code) if (!json_is_integer(code)) return fail(
        error, INVALID_PARAMETER, "an ignored exit code is not a number");
    return TRUE;
}

gboolean agent_restart_read(AgentContainer *container, const json_t *policy, GError **error)
{
    const json_t *enabled = json_object_get(policy, "enabled");
    const json_t *period = json_object_get(policy, "restartAttemptPeriod");
    gboolean named = period && !json_is_null(period);
    json_int_t seconds = named ? json_integer_value(period) : RESTART_PERIOD_S;

    if (!policy || json_is_null(policy))
        return TRUE;
    if (!json_is_object(policy) || (enabled && !json_is_boolean(enabled)))
        return fail(error, INVALID_PARAMETER, "a restartPolicy cannot be read");
    if ((named && !json_is_integer(period)) || seconds < 0 || seconds > RESTART_PERIOD_MAX)
        return fail(error, INVALID_PARAMETER, "restartAttemptPeriod cannot be read");
    container->restarts = json_is_true(enabled);
    container->restart_period_s = (guint)seconds;
    return check_codes(json_object_get(policy, "ignoredExitCodes"), error);
}

static gboolean is_ignored(const AgentContainer *container, int exit_code)
{
    const json_t *policy = json_object_get(container->spec, "restartPolicy");
    const json_t *code;
    gsize n;

    json_array_foreach(json_object_get(policy, "ignoredExitCodes"), n,
                       code) if (json_integer_value(code) == exit_code) return TRUE;
    return FALSE;
}

gboolean agent_restart_due(const AgentContainer *container, const DockerContainer *seen)
{
    gint64 ran_us = seen->finished_us - seen->started_us;

    return container->restarts && seen->was_started && seen->started_us &&
           ran_us >= (gint64)container->restart_period_s * CLOCK_SECOND_US &&
           !is_ignored(container, seen->exit_code);
}
