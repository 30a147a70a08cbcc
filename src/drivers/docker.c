#include "drivers/docker.h"
#include "base/clock.h"
#include "base/errors.h"
#include "drivers/docker_call.h"
#include "drivers/docker_tree.h"
#include "wire/form.h"

#include <pthread.h>
#include <string.h>

#define SPEAKS_API        41 /* we use 1.41 unless Docker is older or has given it up */
#define BODY_MAX          (8 * 1024 * 1024) /* a listing of many containers */
#define CALL_TIMEOUT_MS   60000
#define START_TIMEOUT_MS  180000
#define CREATE_TIMEOUT_MS 240000
#define STOP_MARGIN_S     120

Docker *docker_new(const char *socket)
{
    Docker *docker = g_new0(Docker, 1);

    docker->url = g_str_has_prefix(socket, "unix://") ? g_strdup(socket)
                                                      : g_strconcat("unix://", socket, NULL);
    docker->api = SPEAKS_API;
    pthread_mutex_init(&docker->lock, NULL);
    return docker;
}

void docker_free(Docker *docker)
{
    if (!docker)
        return;
    pthread_mutex_destroy(&docker->lock);
    g_free(docker->cgroup_driver);
    g_free(docker->url);
    g_free(docker);
}

gboolean docker_check(const HttpResponse *response, GError **error)
{
    if (response->status < 400)
        return TRUE;
    json_auto_t *tree = json_loadb(response->body->str, response->body->len, 0, NULL);
    const char *message = json_string_value(json_object_get(tree, "message"));
    g_autofree char *words = g_strndup(message ? message : response->body->str, 2000);

    if (response->status == 404)
        return fail(error, NOT_FOUND, "%s", words);
    if (response->status == 503)
        return fail(error, UNAVAILABLE, "%s", words);
    return fail(error, DOCKER, "%s", words);
}

HttpResponse *docker_send(Docker *docker, HttpRequest *request, const char *path, GError **error)
{
    g_autoptr(HttpClient) client = http_client_new(docker->url, NULL, error);
    g_autofree char *target = g_strdup_printf("/v1.%d%s", g_atomic_int_get(&docker->api), path);

    if (!client)
        return NULL;
    request->target = target;
    if (!request->timeout_ms && !request->idle_timeout_ms)
        request->timeout_ms = CALL_TIMEOUT_MS;
    request->max_body = BODY_MAX;
    return http_client_send(client, request, error);
}

HttpResponse *docker_exchange(Docker *docker, HttpRequest *request, const char *path,
                              const json_t *body, GError **error)
{
    g_autoptr(JsonText) text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    const char *headers[] = { "Content-Type", "application/json", NULL, NULL, NULL };

    if (request->headers) {
        headers[2] = request->headers[0];
        headers[3] = request->headers[1];
    }
    request->headers = headers;
    request->body = text;
    request->body_length = text ? strlen(text) : 0;
    return docker_send(docker, request, path, error);
}

HttpResponse *docker_call(Docker *docker, HttpRequest request, const char *path, const json_t *body,
                          GError **error)
{
    g_autoptr(HttpResponse) response = docker_exchange(docker, &request, path, body, error);

    if (!response || !docker_check(response, error))
        return NULL;
    return g_steal_pointer(&response);
}

json_t *docker_get(Docker *docker, const char *path, GError **error)
{
    g_autoptr(HttpResponse) response =
        docker_call(docker, (HttpRequest){ .method = "GET" }, path, NULL, error);
    if (!response)
        return NULL;
    json_t *tree = json_loadb(response->body->str, response->body->len, 0, NULL);
    return tree ? tree : fail_null(error, HTTP_CLIENT, "docker's answer is not JSON");
}

static gboolean docker_post(Docker *docker, const char *path, const json_t *body, guint timeout_ms,
                            GError **error)
{
    HttpRequest request = { .method = "POST", .timeout_ms = timeout_ms };
    g_autoptr(HttpResponse) response = docker_call(docker, request, path, body, error);

    return response != NULL;
}

char *docker_object_path(const char *kind, const char *id, const char *what)
{
    g_autoptr(GString) path = g_string_new(NULL);

    g_string_append_printf(path, "/%s/", kind);
    form_escape(path, id);
    g_string_append(path, what);
    return g_string_free(g_steal_pointer(&path), FALSE);
}

/* "?filters=..." for a map of lists of one word each: name, value, ..., NULL. Caller frees. */
static char *filter_query(const char *const *words)
{
    json_auto_t *filters = json_object();
    g_autoptr(GString) query = g_string_new("filters=");

    for (; *words; words += 2)
        json_object_set_new(filters, words[0], json_pack("[s]", words[1]));
    g_autoptr(JsonText) text = json_dumps(filters, JSON_COMPACT);
    form_escape(query, text);
    return g_string_free(g_steal_pointer(&query), FALSE);
}

/* The minor number of "1.41", or fallback. */
static gint api_minor(const json_t *version, const char *key, gint fallback)
{
    const char *text = json_string_value(json_object_get(version, key));
    guint64 minor = 0;

    if (!text || !g_str_has_prefix(text, "1.") ||
        !g_ascii_string_to_unsigned(text + 2, 10, 0, 999, &minor, NULL))
        return fallback;
    return (gint)minor;
}

static void docker_keep_driver(Docker *docker, const char *driver)
{
    pthread_mutex_lock(&docker->lock);
    g_free(docker->cgroup_driver);
    docker->cgroup_driver = g_strdup(driver);
    pthread_mutex_unlock(&docker->lock);
}

gboolean docker_connect(Docker *docker, char **ret_version, GError **error)
{
    g_autoptr(HttpClient) client = http_client_new(docker->url, NULL, error);
    HttpRequest request = { .method = "GET", .target = "/version", .timeout_ms = CALL_TIMEOUT_MS };

    g_autoptr(HttpResponse) response = client ? http_client_send(client, &request, error) : NULL;
    if (!response || !docker_check(response, error))
        return FALSE;
    json_auto_t *tree = json_loadb(response->body->str, response->body->len, 0, NULL);
    const char *version = json_string_value(json_object_get(tree, "Version"));
    if (!version)
        return fail(error, HTTP_CLIENT, "what listens on %s is not docker", docker->url);
    gint newest = api_minor(tree, "ApiVersion", SPEAKS_API);
    gint oldest = api_minor(tree, "MinAPIVersion", 12);
    g_atomic_int_set(&docker->api, MAX(oldest, MIN(newest, SPEAKS_API)));
    docker_keep_driver(docker, NULL);
    *ret_version = g_strdup(version);
    return TRUE;
}

char *docker_cgroup_driver(Docker *docker, GError **error)
{
    pthread_mutex_lock(&docker->lock);
    char *known = g_strdup(docker->cgroup_driver);
    pthread_mutex_unlock(&docker->lock);
    if (known)
        return known;
    json_auto_t *tree = docker_get(docker, "/info", error);
    const char *driver = json_string_value(json_object_get(tree, "CgroupDriver"));
    if (!tree)
        return NULL;
    docker_keep_driver(docker, driver ? driver : "");
    return g_strdup(driver ? driver : "");
}

DockerContainer *docker_inspect(Docker *docker, const char *id, GError **error)
{
    g_autofree char *path = docker_object_path("containers", id, "/json");
    json_auto_t *tree = docker_get(docker, path, error);

    return tree ? docker_tree_container(tree, error) : NULL;
}

GPtrArray *docker_list(Docker *docker, const char *label, GError **error)
{
    g_autofree char *filters = filter_query((const char *const[]){ "label", label, NULL });
    g_autofree char *path = g_strconcat("/containers/json?all=1&", filters, NULL);
    json_auto_t *tree = docker_get(docker, path, error);

    return tree ? docker_tree_list(tree, error) : NULL;
}

/* The container that has the name already, when it carries the label the new one would. */
static char *adopt(Docker *docker, const char *name, const json_t *spec, const char *label,
                   GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(DockerContainer) there = docker_inspect(docker, name, &cause);
    if (!there) /* gone between two calls: creating it again will do */
        return fail_null(error, UNAVAILABLE, "the name \"%s\" is taken: %s", name, cause->message);
    const char *ours = json_string_value(json_object_get(json_object_get(spec, "Labels"), label));
    const char *theirs = json_string_value(json_object_get(there->labels, label));
    if (!ours || g_strcmp0(ours, theirs) != 0)
        return fail_null(error, DOCKER, "the container name \"%s\" is taken by another", name);
    return g_steal_pointer(&there->id);
}

char *docker_create(Docker *docker, const char *name, const json_t *spec, const char *label,
                    gboolean *ret_new, GError **error)
{
    HttpRequest request = { .method = "POST", .timeout_ms = CREATE_TIMEOUT_MS };
    g_autoptr(GString) path = g_string_new("/containers/create?name=");

    form_escape(path, name);
    *ret_new = FALSE;
    g_autoptr(HttpResponse) response = docker_exchange(docker, &request, path->str, spec, error);
    if (!response)
        return NULL;
    if (response->status == 409)
        return adopt(docker, name, spec, label, error);
    if (!docker_check(response, error))
        return NULL;
    json_auto_t *tree = json_loadb(response->body->str, response->body->len, 0, NULL);
    const char *id = json_string_value(json_object_get(tree, "Id"));
    *ret_new = id != NULL;
    return id ? g_strdup(id) : fail_null(error, HTTP_CLIENT, "docker's answer has no Id");
}

gboolean docker_start(Docker *docker, const char *id, GError **error)
{
    g_autofree char *path = docker_object_path("containers", id, "/start");

    return docker_post(docker, path, NULL, START_TIMEOUT_MS, error);
}

gboolean docker_stop(Docker *docker, const char *id, guint timeout_s, GError **error)
{
    g_autofree char *query = g_strdup_printf("/stop?t=%u", timeout_s);
    g_autofree char *path = docker_object_path("containers", id, query);

    return docker_post(docker, path, NULL, (timeout_s + STOP_MARGIN_S) * 1000, error);
}

gboolean docker_delete(Docker *docker, const char *path, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(HttpResponse) response =
        docker_call(docker, (HttpRequest){ .method = "DELETE" }, path, NULL, &cause);

    if (response || error_is(cause, ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

gboolean docker_remove(Docker *docker, const char *id, GError **error)
{
    g_autofree char *path = docker_object_path("containers", id, "?v=1");

    return docker_delete(docker, path, error);
}

gboolean docker_volume_create(Docker *docker, const json_t *spec, GError **error)
{
    return docker_post(docker, "/volumes/create", spec, 0, error);
}

gboolean docker_volume_exists(Docker *docker, const char *name, GError **error)
{
    g_autofree char *path = docker_object_path("volumes", name, "");
    json_auto_t *tree = docker_get(docker, path, error);

    return tree != NULL;
}

gboolean docker_volume_remove(Docker *docker, const char *name, GError **error)
{
    g_autofree char *path = docker_object_path("volumes", name, "");

    return docker_delete(docker, path, error);
}

json_t *docker_stats(Docker *docker, const char *id, GError **error)
{
    g_autofree char *path = docker_object_path("containers", id, "/stats?stream=0&one-shot=1");

    return docker_get(docker, path, error);
}

json_t *docker_stats_compared(Docker *docker, const char *id, GError **error)
{
    g_autofree char *path = docker_object_path("containers", id, "/stats?stream=0");

    return docker_get(docker, path, error);
}

Stream *docker_events_open(Docker *docker, const char *label, gint64 since_us, GError **error)
{
    const char *const words[] = { "type", "container", "label", label, NULL };
    g_autofree char *filters = filter_query(words);
    g_autoptr(HttpUrl) url = http_url_parse(docker->url, error);
    gint64 deadline_ms = clock_mono_ms() + CALL_TIMEOUT_MS;

    if (!url)
        return NULL;
    g_autoptr(GString) target = g_string_new(NULL);
    g_string_printf(target, "/v1.%d/events?%s", g_atomic_int_get(&docker->api), filters);
    if (since_us)
        g_string_append_printf(target, "&since=%" G_GINT64_FORMAT ".%06d",
                               since_us / CLOCK_SECOND_US, (int)(since_us % CLOCK_SECOND_US));
    HttpRequest request = { .method = "GET", .target = target->str };
    g_autoptr(GString) bytes = http_request_bytes(&request, url->authority, error);
    g_autoptr(Stream) stream = bytes ? stream_open(&url->address, NULL, deadline_ms, error) : NULL;
    if (!stream || !stream_write(stream, bytes->str, bytes->len, deadline_ms, error))
        return NULL;
    return g_steal_pointer(&stream);
}
