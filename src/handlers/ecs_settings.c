/* Account settings of ECS: what clients ask before they tag or trust long ARNs. */
#include "base/errors.h"
#include "handlers/ecs_common.h"
#include "handlers/table.h"
#include "store/account_settings.h"

#include <string.h>

/* Values that may be set, by comma; the first is the default. ARNs are always long here. */
static const struct {
    const char *name;
    const char *values;
} settings[] = {
    { "serviceLongArnFormat", "enabled" },           { "taskLongArnFormat", "enabled" },
    { "containerInstanceLongArnFormat", "enabled" }, { "awsvpcTrunking", "disabled" },
    { "containerInsights", "disabled,enabled" },
};

static gboolean value_is_allowed(guint n, const char *value)
{
    g_auto(GStrv) allowed = g_strsplit(settings[n].values, ",", -1);

    return g_strv_contains((const char *const *)allowed, value);
}

/* The setting's place in the table; -1 with INVALID_PARAMETER when there is none. */
static gint setting_named(const char *name, GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint n = 0; n < G_N_ELEMENTS(settings); n++) {
        if (g_strcmp0(settings[n].name, name) == 0)
            return (gint)n;
        g_string_append_printf(names, "%s%s", n ? "," : "", settings[n].name);
    }
    return fail_int(error, INVALID_PARAMETER, "%s should be one of [%s]", name ? name : "name",
                    names->str);
}

static char *root_of(const Request *rq)
{
    return g_strdup_printf("arn:aws:iam::%s:root", rq->account_id);
}

static json_t *setting_json(const char *name, const char *value, const char *principal)
{
    return json_pack("{s:s,s:s,s:s}", "name", name, "value", value, "principalArn", principal);
}

json_t *list_account_settings(Request *rq, GError **error)
{
    gboolean effective = request_bool(rq, "effectiveSettings", FALSE);
    const char *name = request_text(rq, "name"), *value = request_text(rq, "value");
    const char *asked = request_text(rq, "principalArn");
    const char *principal = asked ? asked : rq->identity->principal_arn;
    g_autofree char *root = root_of(rq);

    if (name && setting_named(name, error) < 0)
        return NULL;
    g_autoptr(GHashTable) set =
        account_settings_of(rq->tx, rq->account_id, principal, effective ? root : NULL, error);
    if (!set)
        return NULL;
    json_t *list = json_array();
    for (guint n = 0; n < G_N_ELEMENTS(settings); n++) {
        const char *own = g_hash_table_lookup(set, settings[n].name);
        g_auto(GStrv) allowed = g_strsplit(settings[n].values, ",", -1);
        const char *shown = own || !effective ? own : allowed[0];
        if (shown && (!name || strcmp(name, settings[n].name) == 0) &&
            (!value || strcmp(value, shown) == 0))
            json_array_append_new(list, setting_json(settings[n].name, shown, principal));
    }
    return json_pack("{s:o}", "settings", list);
}

static json_t *put_for(Request *rq, const char *principal, GError **error)
{
    const char *name = request_text(rq, "name"), *value = request_text(rq, "value");
    gint n = setting_named(name, error);

    if (n < 0)
        return NULL;
    if (!value_is_allowed((guint)n, value))
        return fail_null(error, INVALID_PARAMETER, "The value of %s should be one of [%s]", name,
                         settings[n].values);
    if (!account_settings_set(rq->tx, rq->account_id, principal, name, value, error))
        return NULL;
    return json_pack("{s:o}", "setting", setting_json(name, value, principal));
}

json_t *put_account_setting(Request *rq, GError **error)
{
    const char *asked = request_text(rq, "principalArn");

    return put_for(rq, asked ? asked : rq->identity->principal_arn, error);
}

json_t *put_account_setting_default(Request *rq, GError **error)
{
    g_autofree char *root = root_of(rq);

    return put_for(rq, root, error);
}
