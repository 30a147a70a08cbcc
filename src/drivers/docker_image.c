#include "drivers/docker_image.h"
#include "base/clock.h"
#include "base/errors.h"
#include "drivers/docker_call.h"
#include "drivers/docker_tree.h"
#include "wire/form.h"

#include <string.h>

#define LAYERS_MAX 1000
#define DIGEST     "Digest: "

typedef struct {
    gint64 current, total; /* total 0: not known yet */
    gboolean here;         /* before the pull */
    gboolean come;
    gboolean done;
} Layer;

struct DockerPullReader {
    GString *line;
    GHashTable *layers; /* id -> Layer */
    char *digest;
    char *refused;
    gint64 heard_ms; /* when something came last */
    DockerWatch watch;
    gpointer user;
};

DockerPullReader *docker_pull_reader_new(DockerWatch watch, gpointer user)
{
    DockerPullReader *reader = g_new0(DockerPullReader, 1);

    reader->line = g_string_new(NULL);
    reader->heard_ms = clock_mono_ms();
    reader->layers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    reader->watch = watch;
    reader->user = user;
    return reader;
}

void docker_pull_reader_free(DockerPullReader *reader)
{
    if (!reader)
        return;
    g_string_free(reader->line, TRUE);
    g_hash_table_unref(reader->layers);
    g_free(reader->digest);
    g_free(reader->refused);
    g_free(reader);
}

static void sum_up(const DockerPullReader *reader, DockerProgress *sum)
{
    GHashTableIter iter;
    gpointer value;
    double parts = 0;
    guint missing = 0;
    gboolean known = TRUE;

    *sum = (DockerProgress){ .unpacking = TRUE };
    g_hash_table_iter_init(&iter, reader->layers);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Layer *layer = value;
        sum->layers++;
        sum->layers_done += layer->done ? 1 : 0;
        sum->unpacking = sum->unpacking && layer->come;
        sum->current_bytes += layer->current;
        sum->total_bytes += layer->total;
        known = known && (layer->come || layer->total > 0);
        missing += layer->here ? 0 : 1;
        if (layer->come)
            parts += layer->here ? 0 : 1;
        else if (layer->total > 0)
            parts += (double)layer->current / (double)layer->total;
    }
    if (known && sum->total_bytes > 0)
        sum->percent = (guint)(100 * sum->current_bytes / sum->total_bytes);
    else if (sum->layers > 0)
        sum->percent = missing > 0 ? (guint)(100 * parts / missing) : 100;
}

/* What a line says of a layer; FALSE when it is about none. */
static gboolean take_status(Layer *layer, const char *status, const json_t *detail)
{
    gint64 current = json_integer_value(json_object_get(detail, "current"));
    gint64 total = json_integer_value(json_object_get(detail, "total"));

    if (strcmp(status, "Downloading") == 0) {
        if (total > 0)
            layer->total = total;
        layer->current = CLAMP(current, 0, layer->total);
        return TRUE;
    }
    if (strcmp(status, "Pulling fs layer") == 0 || strcmp(status, "Waiting") == 0)
        return TRUE;
    gboolean done = strcmp(status, "Pull complete") == 0 || strcmp(status, "Already exists") == 0;
    if (!done && strcmp(status, "Download complete") != 0 &&
        strcmp(status, "Verifying Checksum") != 0 && strcmp(status, "Extracting") != 0)
        return FALSE;
    layer->here = layer->here || strcmp(status, "Already exists") == 0;
    layer->come = TRUE;
    layer->current = layer->total;
    layer->done = layer->done || done;
    return TRUE;
}

static gboolean take_layer(DockerPullReader *reader, const char *id, const char *status,
                           const json_t *detail, GError **error)
{
    Layer *known = g_hash_table_lookup(reader->layers, id);
    Layer layer = known ? *known : (Layer){ 0 };
    DockerProgress progress;

    if (!take_status(&layer, status, detail))
        return TRUE;
    if (!known && g_hash_table_size(reader->layers) >= LAYERS_MAX)
        return fail(error, TOO_LARGE, "the image has more than %d layers", LAYERS_MAX);
    if (known)
        *known = layer;
    else
        g_hash_table_insert(reader->layers, g_strdup(id), g_memdup2(&layer, sizeof layer));
    if (!reader->watch)
        return TRUE;
    sum_up(reader, &progress);
    reader->watch(&progress, reader->user);
    return TRUE;
}

static gboolean take_line(DockerPullReader *reader, GError **error)
{
    json_auto_t *tree = json_loadb(reader->line->str, reader->line->len, 0, NULL);
    const char *words = json_string_value(json_object_get(tree, "error"));
    const char *status = json_string_value(json_object_get(tree, "status"));
    const char *id = json_string_value(json_object_get(tree, "id"));

    g_string_truncate(reader->line, 0);
    if (words && !reader->refused)
        reader->refused = g_strdup(words);
    if (status && g_str_has_prefix(status, DIGEST)) {
        g_free(reader->digest);
        reader->digest = g_strdup(status + strlen(DIGEST));
    }
    return !status || !id ||
           take_layer(reader, id, status, json_object_get(tree, "progressDetail"), error);
}

gboolean docker_pull_reader_feed(const char *data, gsize length, gpointer user, GError **error)
{
    DockerPullReader *reader = user;

    reader->heard_ms = clock_mono_ms();
    for (gsize i = 0; i < length; i++) {
        if (data[i] == '\n') {
            if (!take_line(reader, error))
                return FALSE;
        } else if (reader->line->len < HTTP_HEAD_MAX) {
            g_string_append_c(reader->line, data[i]);
        } else {
            return fail(error, TOO_LARGE, "a line of docker's progress is too long");
        }
    }
    return TRUE;
}

gboolean docker_pull_reader_end(DockerPullReader *reader, char **ret_digest, GError **error)
{
    if (reader->line->len > 0 && !take_line(reader, error))
        return FALSE;
    if (reader->refused)
        return fail(error, DOCKER, "%s", reader->refused);
    *ret_digest = g_steal_pointer(&reader->digest);
    return TRUE;
}

/* The tree as X-Registry-Auth has it: base64 for URLs. */
static char *auth_header(const json_t *auth)
{
    g_autoptr(JsonText) text = json_dumps(auth, JSON_COMPACT);
    char *base64 = g_base64_encode((const guchar *)text, strlen(text));

    return g_strdelimit(g_strdelimit(base64, "+", '-'), "/", '_');
}

/* Says in an error of the connection which time was over. */
static void explain(const DockerPull *pull, const DockerPullReader *reader, gint64 began_ms,
                    GError **error)
{
    gint64 now_ms = clock_mono_ms();

    if (!error_is(*error, ERROR_HTTP_CLIENT))
        return;
    if (pull->timeout_ms && now_ms - began_ms >= pull->timeout_ms) {
        g_clear_error(error);
        fail(error, GAVE_UP, "the pull took longer than %g s", pull->timeout_ms / 1000.0);
    } else if (now_ms - reader->heard_ms >= pull->idle_ms) {
        g_clear_error(error);
        fail(error, HTTP_CLIENT, "the pull stood still for %g s", pull->idle_ms / 1000.0);
    }
}

gboolean docker_pull(Docker *docker, const DockerPull *pull, char **ret_digest, GError **error)
{
    g_autofree char *path = docker_tree_pull_path(pull->image);
    g_autofree char *auth = pull->auth ? auth_header(pull->auth) : NULL;
    g_autoptr(DockerPullReader) reader = docker_pull_reader_new(pull->watch, pull->user);
    g_autoptr(GError) cause = NULL;
    gint64 began_ms = clock_mono_ms();
    const char *headers[] = { "X-Registry-Auth", auth, NULL };
    HttpRequest request = { .method = "POST",
                            .headers = auth ? headers : NULL,
                            .idle_timeout_ms = pull->idle_ms,
                            .timeout_ms = pull->timeout_ms,
                            .cancelled = pull->cancelled,
                            .sink = docker_pull_reader_feed,
                            .user = reader };

    g_autoptr(HttpResponse) response = docker_call(docker, request, path, NULL, &cause);
    if (response && docker_pull_reader_end(reader, ret_digest, &cause))
        return TRUE;
    explain(pull, reader, began_ms, &cause);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

gboolean docker_image(Docker *docker, const char *image, char **ret_digest, GError **error)
{
    g_autofree char *path = docker_object_path("images", image, "/json");
    json_auto_t *tree = docker_get(docker, path, error);

    if (!tree)
        return FALSE;
    *ret_digest = docker_tree_digest(tree, image);
    return TRUE;
}

gboolean docker_image_remove(Docker *docker, const char *image, GError **error)
{
    g_autofree char *path = docker_object_path("images", image, "");

    return docker_delete(docker, path, error);
}

/* Names of one image: its tags, else what else it is known by. */
static void add_names(GPtrArray *names, const json_t *image)
{
    const json_t *lists[] = { json_object_get(image, "RepoTags"),
                              json_object_get(image, "RepoDigests") };
    const char *id = json_string_value(json_object_get(image, "Id"));
    guint before = names->len;
    const json_t *name;
    gsize n;

    for (guint i = 0; i < G_N_ELEMENTS(lists) && names->len == before; i++)
        json_array_foreach(lists[i], n, name)
        {
            const char *text = json_string_value(name);
            if (text && !strstr(text, "<none>"))
                g_ptr_array_add(names, g_strdup(text));
        }
    if (names->len == before && id)
        g_ptr_array_add(names, g_strdup(id));
}

GPtrArray *docker_image_names(Docker *docker, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    json_auto_t *tree = docker_get(docker, "/images/json", error);
    const json_t *image;
    gsize n;

    if (!tree)
        return NULL;
    json_array_foreach(tree, n, image) add_names(names, image);
    return g_steal_pointer(&names);
}

gboolean docker_import(Docker *docker, const char *repo, const char *tag, const char *change,
                       const char *tar, gsize length, GError **error)
{
    const char *headers[] = { "Content-Type", "application/x-tar", NULL };
    HttpRequest request = {
        .method = "POST", .headers = headers, .body = tar, .body_length = length
    };
    g_autoptr(GString) path = g_string_new("/images/create?fromSrc=-&repo=");

    form_escape(path, repo);
    g_string_append_printf(path, "&tag=%s&changes=", tag);
    form_escape(path, change);
    g_autoptr(HttpResponse) response = docker_send(docker, &request, path->str, error);
    if (!response || !docker_check(response, error))
        return FALSE;
    json_auto_t *tree =
        json_loadb(response->body->str, response->body->len, JSON_DISABLE_EOF_CHECK, NULL);
    const char *words = json_string_value(json_object_get(tree, "error"));
    return !words || fail(error, DOCKER, "%s", words);
}
