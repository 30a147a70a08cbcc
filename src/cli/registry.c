#include "base/errors.h"
#include "cli/groups.h"
#include "cli/process.h"
#include "cli/ui.h"

#include <string.h>
#include <unistd.h>

/* A folder with nothing but our CA, in the form that skopeo and Docker read. Caller frees. */
static char *trust_folder(const Install *in, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *folder = g_dir_make_tmp("berth-trust-XXXXXX", &cause);

    if (!folder)
        return fail_null(error, COMMAND, "cannot make a temporary folder: %s", cause->message);
    g_autofree char *link = g_build_filename(folder, "ca.crt", NULL);
    if (symlink(in->ca_cert, link) < 0)
        return fail_null(error, COMMAND, "cannot make \"%s\"", link);
    return g_steal_pointer(&folder);
}

static void trust_folder_remove(const char *folder)
{
    g_autofree char *link = g_build_filename(folder, "ca.crt", NULL);

    unlink(link);
    rmdir(folder);
}

static gboolean push(const Install *in, const char *archive, const char *name, GError **error)
{
    const char *port = strrchr(in->config->registry, ':') + 1;
    g_autofree char *from = g_strconcat("docker-archive:", archive, NULL);
    /* the bridge that the registry's own address lies on may not be there yet */
    gboolean local = g_str_has_prefix(in->config->registry, in->config->advertise);
    g_autofree char *to = local ? g_strdup_printf("docker://127.0.0.1:%s/%s", port, name)
                                : g_strdup_printf("docker://%s/%s", in->config->registry, name);
    g_autofree char *trust = trust_folder(in, error);
    const char *const argv[] = {
        "skopeo", "--insecure-policy", "copy", "--quiet", "--dest-cert-dir", trust, from, to, NULL
    };

    if (!trust)
        return FALSE;
    gboolean pushed = process_run(argv, NULL, NULL, error);
    trust_folder_remove(trust);
    return pushed;
}

static gboolean run_registry_push(Cli *cli, GError **error)
{
    const Config *config = cli_config(cli, error);
    const char *archive = cli_arg(cli, 0), *name = cli_arg(cli, 1);

    if (!config)
        return FALSE;
    if (!g_file_test(archive, G_FILE_TEST_EXISTS))
        return fail(error, USAGE, "there is no \"%s\"; \"docker save -o FILE IMAGE\" makes one",
                    archive);
    if (!strchr(config->registry, ':'))
        return fail(error, CONFIG, "%s: [images] registry is not HOST:PORT", config->file);
    g_autoptr(Install) in = install_new(config);
    g_autofree char *absolute = g_canonicalize_filename(archive, NULL);
    if (!push(in, absolute, name, error))
        return FALSE;
    ui_print("%s/%s", config->registry, name);
    return TRUE;
}

const Command registry_commands[] = {
    { "registry push", "ARCHIVE NAME[:TAG]", 2, 2, "put a container image into the local registry",
      "ARCHIVE is what \"docker save\" writes. Prints the reference for task definitions; every\n"
      "instance trusts this registry.",
      "docker save -o web.tar web:latest\nberth registry push web.tar web:1", NULL,
      run_registry_push, FALSE },
    { 0 },
};
