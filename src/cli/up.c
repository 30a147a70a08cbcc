#include "cli/up.h"
#include "base/clock.h"
#include "base/errors.h"
#include "cli/groups.h"
#include "cli/process.h"
#include "cli/ui.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_WAIT_MS 120000

static void set_note(Up *up, const char *format, va_list args)
{
    g_free(up->note);
    up->note = g_strdup_vprintf(format, args);
}

void up_found(Up *up, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_note(up, format, args);
    va_end(args);
}

void up_did(Up *up, const char *format, ...)
{
    va_list args;

    up->changed = TRUE;
    va_start(args, format);
    set_note(up, format, args);
    va_end(args);
}

/* -- settings and folders */
static void set_if_empty(char **field, char *value)
{
    if (**field) {
        g_free(value);
        return;
    }
    g_free(*field);
    *field = value;
}

/* Gives every setting that was left empty the value that the others imply. */
static gboolean settings_fill(Config *config, GError **error)
{
    char *advertise = install_advertise(config, error);
    g_autofree char *region = install_region_database(config);

    if (!advertise)
        return FALSE;
    set_if_empty(&config->advertise, advertise);
    set_if_empty(&config->registry, g_strdup_printf("%s:5000", config->advertise));
    if (strcmp(config->database, "embedded") == 0) {
        set_if_empty(&config->identity_dsn, install_dsn(config, "berth_identity"));
        set_if_empty(&config->region_dsn, install_dsn(config, region));
    }
    if (!*config->identity_dsn || !*config->region_dsn)
        return fail(error, CONFIG,
                    "%s: with [database] kind=external, identity and region must be given",
                    config->file);
    return TRUE;
}

static gboolean settings_save(const char *file, const char *text, const Config *config,
                              GError **error)
{
    g_autoptr(GError) cause = NULL;
    /* an administrator's connection string may hold a password */
    int mode = strcmp(config->database, "external") == 0 ? 0600 : 0644;

    if (!g_file_set_contents_full(file, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, mode, &cause))
        return fail(error, CONFIG, "cannot write \"%s\": %s", file, cause->message);
    return TRUE;
}

/* Puts the values of the settings that were empty into the file, keeping the rest of it. */
static gboolean settings_patch(Up *up, GError **error)
{
    const Config *c = up->config;
    const char *const filled[][3] = { { "api", "advertise", c->advertise },
                                      { "database", "identity", c->identity_dsn },
                                      { "database", "region", c->region_dsn },
                                      { "images", "registry", c->registry } };
    g_autoptr(GKeyFile) keys = g_key_file_new();
    gboolean patched = FALSE;

    if (!g_key_file_load_from_file(keys, c->file, G_KEY_FILE_KEEP_COMMENTS, error))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(filled); i++) {
        g_autofree char *now = g_key_file_get_string(keys, filled[i][0], filled[i][1], NULL);
        if (now && *now)
            continue;
        g_key_file_set_string(keys, filled[i][0], filled[i][1], filled[i][2]);
        patched = TRUE;
    }
    if (!patched) {
        up_found(up, "%s", c->file);
        return TRUE;
    }
    g_autofree char *text = g_key_file_to_data(keys, NULL, NULL);
    up_did(up, "completed %s", c->file);
    return settings_save(c->file, text, c, error);
}

static gboolean up_settings(Up *up, GError **error)
{
    if (!settings_fill(up->config, error))
        return FALSE;
    g_autofree char *folder = g_path_get_dirname(up->config->file);
    if (g_mkdir_with_parents(folder, 0755) < 0)
        return fail(error, CONFIG, "cannot make \"%s\": %s", folder, g_strerror(errno));
    if (g_file_test(up->config->file, G_FILE_TEST_EXISTS))
        return settings_patch(up, error);
    g_autofree char *text = config_text(up->config);
    up_did(up, "wrote %s", up->config->file);
    return settings_save(up->config->file, text, up->config, error);
}

static gboolean folder_make(const char *path, const char *user, mode_t mode, GError **error)
{
    struct stat now;
    const struct passwd *owner = user ? getpwnam(user) : NULL;

    if (g_mkdir_with_parents(path, 0755) < 0 || stat(path, &now) < 0)
        return fail(error, CONFIG, "cannot make \"%s\": %s", path, g_strerror(errno));
    if (owner && now.st_uid != owner->pw_uid && chown(path, owner->pw_uid, owner->pw_gid) < 0)
        return fail(error, CONFIG, "cannot give \"%s\" to %s: %s", path, user, g_strerror(errno));
    if ((now.st_mode & 07777) != mode && chmod(path, mode) < 0)
        return fail(error, CONFIG, "cannot set the mode of \"%s\": %s", path, g_strerror(errno));
    return TRUE;
}

static gboolean up_folders(Up *up, GError **error)
{
    const Install *in = up->in;
    const Config *c = up->config;
    const char *const root_owned[] = { c->state_dir, c->run_dir, c->log_dir, in->tls_dir,
                                       c->image_dir };

    for (gsize i = 0; i < G_N_ELEMENTS(root_owned); i++)
        if (!folder_make(root_owned[i], NULL, 0755, error))
            return FALSE;
    up_found(up, "%s", c->state_dir);
    return folder_make(in->postgres_socket, in->user, 0755, error) &&
           folder_make(in->registry_dir, in->user, 0750, error);
}

/* -- the order of things */
static const UpStep steps[] = {
    { "programs", up_programs },
    { "settings", up_settings },
    { "system user", up_user },
    { "folders", up_folders },
    { "certificates", up_certificates },
    { "database files", up_database_files },
    { "database server", up_database_server },
    { "databases", up_databases },
    { "libvirt", up_libvirt },
    { "schema", up_schema },
    { "image registry", up_registry },
    { "berthd", up_berthd },
    { "admin account", up_account },
    { "zones", up_zones },
    { "hosts", up_hosts },
    { 0 },
};

static gboolean run_steps(Up *up, GError **error)
{
    for (const UpStep *step = steps; step->name; step++) {
        gboolean before = up->changed;
        up->changed = FALSE;
        ui_step(step->name);
        if (!step->run(up, error)) {
            ui_step_failed();
            return fail_prefix(error, "%s", step->name);
        }
        ui_step_done("%s%s", up->changed ? "" : "already so: ", up->note);
        up->changed |= before;
    }
    return TRUE;
}

static gboolean lock_taken(gpointer user)
{
    return flock(GPOINTER_TO_INT(user), LOCK_EX | LOCK_NB) == 0;
}

/* One "berth up", "down" or "destroy" at a time; the lock ends with the process. */
gboolean up_lock(const Config *config, GError **error)
{
    g_autofree char *file = g_build_filename(config->state_dir, "berth.lock", NULL);

    if (g_mkdir_with_parents(config->state_dir, 0755) < 0)
        return fail(error, CONFIG, "cannot make \"%s\": %s", config->state_dir, g_strerror(errno));
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(error, CONFIG, "cannot open \"%s\": %s", file, g_strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return TRUE;
    ui_note("another \"berth up\", \"down\" or \"destroy\" is at work; waiting for it");
    if (!process_wait(lock_taken, GINT_TO_POINTER(fd), LOCK_WAIT_MS))
        return fail(error, GAVE_UP, "it holds \"%s\" still", file);
    return TRUE;
}

/* The settings from their file, or the defaults below --root when there is none yet. */
static Config *settings_load(Cli *cli, GError **error)
{
    const char *root = NULL;
    g_autofree char *file = cli_config_file(cli, &root);

    if (g_file_test(file, G_FILE_TEST_EXISTS))
        return config_load(file, error);
    if (!root && (cli_option(cli, "config") || g_getenv("BERTH_CONFIG")))
        return fail_null(error, CONFIG, "there is no \"%s\"", file);
    return config_for_root(root ? root : "", error);
}

static gboolean run_up(Cli *cli, GError **error)
{
    gint64 began = clock_mono_ms();
    Up up = { .cli = cli };

    if (geteuid() != 0)
        return fail(error, COMMAND, "this needs root: sudo berth up");
    cli->config = up.config = settings_load(cli, error);
    if (!up.config || !up_lock(up.config, error))
        return FALSE;
    up.in = install_new(up.config);
    ui_note("berth up: installation \"%s\", region %s", up.config->name, up.config->region);
    gboolean done = run_steps(&up, error);
    if (done)
        ui_note("%s after %.1f s. Next: eval \"$(berth env)\"; berth status",
                up.changed ? "up" : "everything was up already,",
                (double)(clock_mono_ms() - began) / 1000);
    install_free(up.in);
    g_free(up.note);
    return done;
}

const Command up_commands[] = {
    { "up", "", 0, 0, "start Berth here, making what is missing",
      "Starts PostgreSQL of its own, libvirt where none runs, the image registry and berthd;\n"
      "makes region, zones, certificates and an admin account the first time. Safe to repeat.\n"
      "What you set in /etc/berth/berth.conf before is kept (berth help config).",
      "sudo berth up\n"
      "sudo berth up --root /srv/trial      all of it below one folder",
      NULL, run_up, FALSE },
    { 0 },
};
