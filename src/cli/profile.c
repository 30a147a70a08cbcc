#include "cli/profile.h"
#include "base/errors.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whoever called sudo; NULL when nobody did. */
static const struct passwd *sudo_user(void)
{
    const char *name = geteuid() == 0 ? g_getenv("SUDO_USER") : NULL;

    return name && strcmp(name, "root") != 0 ? getpwnam(name) : NULL;
}

char *profile_folder(Cli *cli, GError **error)
{
    const char *home = g_getenv("BERTH_HOME"), *root = cli_option(cli, "root");
    const struct passwd *user = sudo_user();
    g_autofree char *named = NULL;

    if (home)
        return g_strdup(home);
    if (!root && (!cli_option(cli, "config") || !*cli_option(cli, "config")))
        root = g_getenv("BERTH_ROOT");
    if (!root && (cli->config || (cli_option(cli, "config") && *cli_option(cli, "config")) ||
                  g_getenv("BERTH_CONFIG"))) {
        const Config *config = cli_config(cli, error);
        if (!config)
            return NULL;
        root = config->root;
    }
    if (root && *root)
        return g_build_filename(root, "root", ".berth", NULL);
    return g_build_filename(user ? user->pw_dir : g_get_home_dir(), ".berth", NULL);
}

/* Gives what lies in a home folder to its user. */
static void give_away(const char *path)
{
    const struct passwd *user = sudo_user();

    if (!user || !g_str_has_prefix(path, user->pw_dir))
        return;
    if (lchown(path, user->pw_uid, user->pw_gid) < 0)
        g_warning("cannot give \"%s\" to %s: %s", path, user->pw_name, g_strerror(errno));
}

static gboolean make_folder(const char *path, GError **error)
{
    if (g_file_test(path, G_FILE_TEST_IS_DIR))
        return TRUE;
    if (g_mkdir_with_parents(path, 0700) < 0)
        return fail(error, CONFIG, "cannot make \"%s\": %s", path, g_strerror(errno));
    give_away(path);
    return TRUE;
}

gboolean profile_write(const char *file, const char *text, int mode, GError **error)
{
    g_autoptr(GError) cause = NULL;

    if (!g_file_set_contents_full(file, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, mode, &cause))
        return fail(error, CONFIG, "cannot write \"%s\": %s", file, cause->message);
    if (chmod(file, (mode_t)mode) < 0)
        return fail(error, CONFIG, "cannot set the mode of \"%s\": %s", file, g_strerror(errno));
    give_away(file);
    return TRUE;
}

char *profile_file(const Profile *p, const char *name, GError **error)
{
    g_autofree char *file = g_build_filename(p->folder, name, NULL);
    g_autofree char *parent = g_path_get_dirname(file);

    if (!make_folder(p->folder, error) || !make_folder(parent, error))
        return NULL;
    return g_steal_pointer(&file);
}

/* -- reading */
static gboolean take(GKeyFile *keys, const char *group, const char *key, char **ret_value,
                     const char *file, GError **error)
{
    *ret_value = g_key_file_get_string(keys, group, key, NULL);
    return *ret_value || fail(error, CONFIG, "%s: [%s] %s is missing; \"sudo berth up\" writes it",
                              file, group, key);
}

static gboolean load_into(Profile *p, GError **error)
{
    g_autofree char *file = g_build_filename(p->folder, "config", NULL);
    g_autofree char *secret_file = g_build_filename(p->folder, "credentials", NULL);
    g_autofree char *group = g_strconcat("profile ", p->name, NULL);
    g_autoptr(GKeyFile) keys = g_key_file_new();
    g_autoptr(GKeyFile) secrets = g_key_file_new();
    g_autoptr(GError) cause = NULL;

    if (!g_key_file_load_from_file(keys, file, G_KEY_FILE_NONE, &cause) ||
        !g_key_file_load_from_file(secrets, secret_file, G_KEY_FILE_NONE, &cause))
        return fail(error, CONFIG,
                    "there are no keys in \"%s\" (%s); \"sudo berth up\" writes them", p->folder,
                    cause->message);
    if (!g_key_file_has_group(secrets, p->name))
        return fail(error, CONFIG, "there is no profile \"%s\" in \"%s\"", p->name, secret_file);
    p->session_token = g_key_file_get_string(secrets, p->name, "aws_session_token", NULL);
    return take(keys, group, "endpoint_url", &p->endpoint, file, error) &&
           take(keys, group, "region", &p->region, file, error) &&
           take(keys, group, "ca_bundle", &p->ca_file, file, error) &&
           take(secrets, p->name, "aws_access_key_id", &p->access_key_id, secret_file, error) &&
           take(secrets, p->name, "aws_secret_access_key", &p->secret, secret_file, error);
}

Profile *profile_load(Cli *cli, GError **error)
{
    const char *name = cli_option(cli, "profile");
    g_autoptr(Profile) p = g_new0(Profile, 1);

    p->folder = profile_folder(cli, error);
    p->name = g_strdup(name ? name : "berth");
    if (!p->folder || !load_into(p, error))
        return NULL;
    return g_steal_pointer(&p);
}

void profile_free(Profile *p)
{
    if (!p)
        return;
    g_free(p->folder);
    g_free(p->name);
    g_free(p->endpoint);
    g_free(p->region);
    g_free(p->ca_file);
    g_free(p->access_key_id);
    g_free(p->secret);
    g_free(p->session_token);
    g_free(p);
}

/* -- writing */
/* Sets the pairs (key, value, ..., NULL) in one group of a file, keeping what else it holds. */
static gboolean file_merge(const char *file, const char *group, const char *const *pairs, int mode,
                           gboolean *changed, GError **error)
{
    g_autoptr(GKeyFile) keys = g_key_file_new();
    gboolean differs = FALSE;

    g_key_file_load_from_file(keys, file, G_KEY_FILE_KEEP_COMMENTS, NULL);
    for (; *pairs; pairs += 2) {
        g_autofree char *now = g_key_file_get_string(keys, group, pairs[0], NULL);
        if (g_strcmp0(now, pairs[1]) == 0)
            continue;
        g_key_file_set_string(keys, group, pairs[0], pairs[1]);
        differs = TRUE;
    }
    if (!differs)
        return TRUE;
    *changed = TRUE;
    g_autofree char *text = g_key_file_to_data(keys, NULL, NULL);
    return profile_write(file, text, mode, error);
}

gboolean profile_save(const Profile *p, gboolean *ret_changed, GError **error)
{
    g_autofree char *file = profile_file(p, "config", error);
    g_autofree char *secret_file = profile_file(p, "credentials", error);
    g_autofree char *group = g_strconcat("profile ", p->name, NULL);
    const char *const settings[] = { "region",   p->region,      "ca_bundle",
                                     p->ca_file, "endpoint_url", p->endpoint,
                                     "output",   "json",         NULL };
    const char *const secrets[] = { "aws_access_key_id", p->access_key_id, "aws_secret_access_key",
                                    p->secret, NULL };

    *ret_changed = FALSE;
    return file && secret_file && file_merge(file, group, settings, 0644, ret_changed, error) &&
           file_merge(secret_file, p->name, secrets, 0600, ret_changed, error);
}
