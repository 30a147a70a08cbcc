#include "base/config.h"
#include "base/errors.h"

#include <stddef.h>
#include <string.h>

typedef enum { KIND_TEXT, KIND_PATH, KIND_NUMBER } Kind;

typedef struct {
    const char *group;
    const char *key;
    Kind kind;
    size_t offset;
    const char *initial; /* a path is below root */
    guint minimum, maximum;
    const char *why;
} Parameter;

#define TEXT(group, key, field, initial, why)                                                      \
    { group, key, KIND_TEXT, offsetof(Config, field), initial, 0, 0, why },
#define PATH(group, key, field, initial, why)                                                      \
    { group, key, KIND_PATH, offsetof(Config, field), initial, 0, 0, why },
#define NUMBER(group, key, field, initial, minimum, maximum, why)                                  \
    { group, key, KIND_NUMBER, offsetof(Config, field), initial, minimum, maximum, why },

static const Parameter parameters[] = {
#include "base/config.def"
};

static char *initial_value(const Parameter *p, const char *root)
{
    if (p->kind == KIND_PATH)
        return g_strconcat(root, p->initial, NULL);
    return g_strdup(p->initial);
}

static gboolean parameter_set(Config *config, const Parameter *p, const char *value, GError **error)
{
    char *field = (char *)config + p->offset;

    if (p->kind != KIND_NUMBER) {
        g_free(*(char **)(void *)field);
        *(char **)(void *)field = g_strdup(value);
        return TRUE;
    }
    guint64 number = 0;
    if (!g_ascii_string_to_unsigned(value, 10, p->minimum, p->maximum, &number, NULL))
        return fail(error, CONFIG, "%s: [%s] %s = \"%s\" is not a number from %u to %u",
                    config->file, p->group, p->key, value, p->minimum, p->maximum);
    *(guint *)(void *)field = (guint)number;
    return TRUE;
}

static gboolean parameters_load(Config *config, GKeyFile *keys, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(parameters); i++) {
        const Parameter *p = &parameters[i];
        g_autofree char *value = g_key_file_get_string(keys, p->group, p->key, NULL);
        if (!value)
            value = initial_value(p, config->root);
        if (!parameter_set(config, p, value, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean known_key(const char *group, const char *key)
{
    if (strcmp(group, "berth") == 0 && strcmp(key, "root") == 0)
        return TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(parameters); i++)
        if (strcmp(parameters[i].group, group) == 0 && strcmp(parameters[i].key, key) == 0)
            return TRUE;
    return FALSE;
}

static gboolean refuse_unknown(const char *file, GKeyFile *keys, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(keys, NULL);

    for (char **group = groups; *group; group++) {
        g_auto(GStrv) names = g_key_file_get_keys(keys, *group, NULL, NULL);
        for (char **key = names; key && *key; key++)
            if (!known_key(*group, *key))
                return fail(error, CONFIG,
                            "%s: [%s] %s is not a setting; \"berth help config\" lists them", file,
                            *group, *key);
    }
    return TRUE;
}

static Config *config_from_keys(const char *file, const char *root, GKeyFile *keys, GError **error)
{
    g_autoptr(Config) config = g_new0(Config, 1);

    config->file = g_strdup(file);
    config->root = g_key_file_get_string(keys, "berth", "root", NULL);
    if (!config->root)
        config->root = g_strdup(root);
    if (!parameters_load(config, keys, error))
        return NULL;
    return g_steal_pointer(&config);
}

Config *config_load(const char *file, GError **error)
{
    g_autoptr(GKeyFile) keys = g_key_file_new();
    g_autoptr(GError) cause = NULL;

    if (file && !g_key_file_load_from_file(keys, file, G_KEY_FILE_NONE, &cause))
        return fail_null(error, CONFIG, "cannot read configuration \"%s\": %s", file,
                         cause->message);
    if (file && !refuse_unknown(file, keys, error))
        return NULL;
    return config_from_keys(file ? file : "(defaults)", "", keys, error);
}

Config *config_for_root(const char *root, GError **error)
{
    g_autoptr(GKeyFile) keys = g_key_file_new();
    g_autofree char *file = g_build_filename(root, "/etc/berth/berth.conf", NULL);

    return config_from_keys(file, root, keys, error);
}

void config_free(Config *config)
{
    if (!config)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(parameters); i++)
        if (parameters[i].kind != KIND_NUMBER)
            g_free(*(char **)(void *)((char *)config + parameters[i].offset));
    g_free(config->file);
    g_free(config->root);
    g_free(config);
}

char *config_text(const Config *config)
{
    g_autoptr(GString) text =
        g_string_new("# Berth's settings; \"berth help config\" explains them.\n");
    const char *group = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(parameters); i++) {
        const Parameter *p = &parameters[i];
        const char *field = (const char *)config + p->offset;
        if (g_strcmp0(group, p->group) != 0) {
            g_string_append_printf(text, "\n[%s]\n", p->group);
            if (strcmp(p->group, "berth") == 0 && *config->root)
                g_string_append_printf(text, "# folder below which all paths lie\nroot=%s\n",
                                       config->root);
        }
        group = p->group;
        g_string_append_printf(text, "# %s\n%s=", p->why, p->key);
        if (p->kind == KIND_NUMBER)
            g_string_append_printf(text, "%u\n", *(const guint *)(const void *)field);
        else
            g_string_append_printf(text, "%s\n", *(char *const *)(const void *)field);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

void config_each(void (*row)(const char *group, const char *key, const char *value, const char *why,
                             gpointer user),
                 gpointer user)
{
    for (gsize i = 0; i < G_N_ELEMENTS(parameters); i++)
        row(parameters[i].group, parameters[i].key, parameters[i].initial, parameters[i].why, user);
}
