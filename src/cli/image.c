#include "cli/image.h"
#include "base/errors.h"
#include "cli/groups.h"
#include "cli/install.h"
#include "cli/process.h"
#include "cli/verbs.h"

#include <string.h>
#include <unistd.h>

static const Column image_columns[] = {
    { "IMAGE", "ImageId", FORM_TEXT },    { "NAME", "Name", FORM_TEXT },
    { "STATE", "State", FORM_TEXT },      { "ARCH", "Architecture", FORM_TEXT },
    { "MADE", "CreationDate", FORM_DAY }, { 0 },
};

static gboolean run_image_list(Cli *cli, GError **error)
{
    return verb_table(cli, "ec2", "DescribeImages", NULL, "Images", image_columns, error);
}

/* "ecs-optimized" means "ecs-optimized-0123456789ab" too. */
static gboolean name_fits(const char *name, const char *wanted)
{
    gsize length = strlen(wanted);

    return strncmp(name, wanted, length) == 0 && (name[length] == '\0' || name[length] == '-');
}

char *image_resolve(Cli *cli, const char *name, GError **error)
{
    const char *id = NULL, *date = "";
    const json_t *image;
    size_t n;

    if (g_str_has_prefix(name, "ami-"))
        return g_strdup(name);
    json_auto_t *images = client_pages(cli, "ec2", "DescribeImages", NULL, "Images", error);
    if (!images)
        return NULL;
    json_array_foreach(images, n, image)
    {
        if (!name_fits(verb_text(image, "Name"), name) ||
            strcmp(verb_text(image, "State"), "available") != 0 ||
            strcmp(verb_text(image, "CreationDate"), date) < 0)
            continue;
        id = verb_text(image, "ImageId");
        date = verb_text(image, "CreationDate");
    }
    if (!id)
        return fail_null(error, NOT_FOUND,
                         "there is no available image \"%s\"; \"berth image build %s\" or \"berth "
                         "image import FILE\" makes one",
                         name, name);
    return g_strdup(id);
}

/* -- from outside into the image store */
typedef struct {
    const char *id;
    json_t *image;
} ImageWait;

static gboolean look_image(Cli *cli, gpointer data, gboolean *ret_done, GError **error)
{
    ImageWait *wait = data;

    if (!client_look(cli, "ec2", "DescribeImages", json_pack("{s:[s]}", "ImageIds", wait->id),
                     "Images", &wait->image, error))
        return FALSE;
    const char *state = verb_text(wait->image, "State");
    if (strcmp(state, "failed") == 0)
        return fail(error, COMMAND, "the image was refused: %s",
                    verb_text(json_object_get(wait->image, "StateReason"), "Message"));
    ui_step_progress("%s", state);
    *ret_done = strcmp(state, "available") == 0;
    return TRUE;
}

/* Imports, waits until available, shows it. Takes params. */
static gboolean import(Cli *cli, json_t *params, GError **error)
{
    json_auto_t *answer = client_call(cli, "berth", "ImportImage", params, error);

    if (!answer)
        return FALSE;
    ImageWait wait = { .id = verb_text(answer, "ImageId") };
    gboolean there = verb_wait(cli, "importing the image", 600, look_image, &wait, error);
    json_auto_t *image = wait.image;
    if (!there)
        return FALSE;
    json_auto_t *rows = json_pack("[O]", image);
    ui_table(image_columns, rows, cli_flag(cli, "json"));
    return TRUE;
}

static gboolean run_image_import(Cli *cli, GError **error)
{
    g_autofree char *path = g_canonicalize_filename(cli_arg(cli, 0), NULL);
    g_autofree char *base = g_path_get_basename(path);
    const char *name = cli_option(cli, "name"), *format = cli_option(cli, "format");
    gboolean folder = g_file_test(path, G_FILE_TEST_IS_DIR);
    char *dot = strrchr(base, '.');

    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return fail(error, USAGE, "there is no \"%s\"", path);
    if (!format)
        format = folder                              ? "berth"
                 : dot && strcmp(dot, ".qcow2") == 0 ? "qcow2"
                 : dot && strcmp(dot, ".raw") == 0   ? "raw"
                                                     : NULL;
    if (!format)
        return fail(error, USAGE, "say what \"%s\" is: --format qcow2 or --format raw", path);
    if (dot)
        *dot = '\0';
    json_t *params =
        json_pack("{s:s, s:s, s:s}", "Path", path, "Name", name ? name : base, "Format", format);
    verb_set(params, "SshUser", cli_option(cli, "user"));
    verb_set(params, "Sha256", cli_option(cli, "sha256"));
    verb_set(params, "Description", cli_option(cli, "description"));
    if (cli_flag(cli, "public"))
        json_object_set_new(params, "Public", json_true());
    return import(cli, params, error);
}

/* -- our own recipes */
/* The first letters of the digest of the disk that image.json names. Caller frees. */
static char *digest_of(const char *folder, GError **error)
{
    g_autofree char *file = g_build_filename(folder, "image.json", NULL);
    json_auto_t *tree = verb_read_json(file, error);

    if (!tree)
        return NULL;
    const char *digest = verb_text(json_object_get(tree, "disk"), "sha256");
    if (strlen(digest) != 64)
        return fail_null(error, BAD_IMAGE, "\"%s\" has no disk.sha256", file);
    return g_strndup(digest, 12);
}

static gboolean run_recipe(const char *recipe, const char *folder, GError **error)
{
    g_autofree char *script = install_share("images/build.sh", error);
    g_autofree char *agent = script ? install_share("berth-agent.tar", error) : NULL;
    int status = 0;

    if (!script)
        return FALSE;
    if (!agent)
        return fail_prefix(error, "the agent's container image, which \"make container-images\" "
                                  "builds");
    const char *const argv[] = { script, "--agent", agent, recipe, folder, NULL };
    if (!process_run_here(argv, &status, error))
        return FALSE;
    return status == 0 ||
           fail(error, COMMAND, "building \"%s\" failed with status %d", recipe, status);
}

static gboolean run_image_build(Cli *cli, GError **error)
{
    const Config *config = cli_config(cli, error);
    const char *recipe = cli_arg(cli, 0);

    if (!config)
        return FALSE;
    if (geteuid() != 0)
        return fail(error, COMMAND,
                    "making a file system with its owners needs root: sudo berth "
                    "image build %s",
                    recipe);
    g_autofree char *folder = g_build_filename(config->state_dir, "builds", recipe, NULL);
    g_autofree char *cache = g_strconcat(config->root, "/var/cache/berth/images", NULL);
    g_setenv("BERTH_IMAGE_CACHE", cache, FALSE);
    if (!run_recipe(recipe, folder, error))
        return FALSE;
    g_autofree char *digest = digest_of(folder, error);
    if (!digest)
        return FALSE;
    g_autofree char *name = g_strdup_printf("%s-%s", recipe, digest);
    g_autofree char *known = image_resolve(cli, name, NULL);
    if (known) {
        ui_print("%s is %s already", name, known);
        return TRUE;
    }
    return import(cli,
                  json_pack("{s:s, s:s, s:s, s:b}", "Path", folder, "Name", name, "Format", "berth",
                            "Public", 1),
                  error);
}

static gboolean run_image_rm(Cli *cli, GError **error)
{
    g_autofree char *id = image_resolve(cli, cli_arg(cli, 0), error);

    return id && verb_do(cli, "ec2", "DeregisterImage", json_pack("{s:s}", "ImageId", id),
                         "deregistered", error);
}

static const Option import_options[] = {
    { "name", "NAME", "its name; that of the file" },
    { "format", "FORMAT", "qcow2, raw or berth (a folder with image.json)" },
    { "user", "USER", "whom to log in as" },
    { "sha256", "DIGEST", "refuse a file with another one" },
    { "description", "TEXT", "what it is" },
    { "public", NULL, "every account may launch it" },
    { 0 },
};

const Command image_commands[] = {
    { "image list", "", 0, 0, "list machine images", NULL, NULL, NULL, run_image_list, FALSE },
    { "image build", "RECIPE", 1, 1, "build a machine image of ours and register it",
      "Builds from this machine's Debian sources: the same inputs give the same bytes. Does\n"
      "nothing when it is built and registered already.",
      "sudo berth image build ecs-optimized", NULL, run_image_build, FALSE },
    { "image import", "FILE", 1, 1, "register a cloud image: qcow2 or raw",
      "The format is what you say, never guessed; an image with a backing file or data file is\n"
      "refused before any host opens it.",
      "berth image import debian-12-genericcloud-amd64.qcow2 --name debian-12 --user debian",
      import_options, run_image_import, FALSE },
    { "image rm", "IMAGE", 1, 1, "deregister an image; running instances keep it", NULL, NULL, NULL,
      run_image_rm, FALSE },
    { 0 },
};
