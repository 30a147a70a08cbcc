/* drivers/http_parser, http, docker_tree: bytes of others, in any pieces */
#include "base/errors.h"
#include "drivers/docker_tree.h"
#include "drivers/http.h"

#include <string.h>

static gboolean collect(const char *data, gsize length, gpointer user, GError **error)
{
    GString *body = user;

    if (body->len + length > 1000)
        return fail(error, TOO_LARGE, "too long");
    g_string_append_len(body, data, (gssize)length);
    return TRUE;
}

typedef struct {
    const char *text;
    int status; /* 0: refused */
    const char *body;
    gboolean keeps;
    gboolean ends_by_close;
} ParserCase;

static const ParserCase parser_cases[] = {
    { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", TRUE, FALSE },
    { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", TRUE, FALSE },
    { "HTTP/1.1 200\r\nConnection: Close\r\ncontent-length: 1\r\n\r\nx", 200, "x", FALSE, FALSE },
    { "HTTP/1.0 200 OK\nContent-Length: 1\n\nx", 200, "x", FALSE, FALSE },
    { "HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end", FALSE, TRUE },
    { "HTTP/1.1 204 No Content\r\n\r\n", 204, "", TRUE, FALSE },
    { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", 404, "no", TRUE, FALSE },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n, chunked!\r\n0\r\n"
      "Trailer: t\r\n\r\n", 200, "hello, chunked!", TRUE, FALSE },
    { "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", 101, "", TRUE, FALSE },
    { "HTTP/2 200 OK\r\n\r\n", 0, NULL, FALSE, FALSE },
    { "nonsense\r\n\r\n", 0, NULL, FALSE, FALSE },
    { "HTTP/1.1 2000 OK\r\n\r\n", 0, NULL, FALSE, FALSE },
    { "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", 0, NULL, FALSE, FALSE },
    { "HTTP/1.1 200 OK\r\nName : x\r\n\r\n", 0, NULL, FALSE, FALSE },
    { "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 0, NULL, FALSE, FALSE },
    { "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", 0, NULL, FALSE, FALSE },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 0, NULL, FALSE, FALSE },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 0, NULL, FALSE, FALSE },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n", 0, NULL, FALSE, FALSE },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", 0, NULL, FALSE, FALSE },
    { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", 0, NULL, FALSE, TRUE },
    { "HTTP/1.1 200 OK\r\n", 0, NULL, FALSE, TRUE },
};

/* Whether the whole text was taken as one message, given in pieces of this size. */
static gboolean parse(const ParserCase *k, gsize piece, HttpParser *parser, GError **error)
{
    for (gsize at = 0; at < strlen(k->text);) {
        gsize length = MIN(piece, strlen(k->text) - at);
        gssize used = http_parser_feed(parser, k->text + at, length, error);
        if (used < 0)
            return FALSE;
        g_assert_cmpint(used, ==, length);
        at += length;
    }
    return !k->ends_by_close || http_parser_end(parser, error);
}

static void test_parser(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(parser_cases); i++)
        for (gsize piece = 1; piece < 200; piece += 13) {
            const ParserCase *k = &parser_cases[i];
            g_autoptr(GString) body = g_string_new(NULL);
            g_autoptr(HttpParser) parser = http_parser_new(FALSE, collect, body);
            g_autoptr(GError) error = NULL;
            gboolean good = parse(k, piece, parser, &error);
            g_test_message("%s", k->text);
            g_assert_true(good == (k->status != 0));
            g_assert_true(good == (error == NULL));
            if (!good)
                continue;
            g_assert_true(http_parser_is_done(parser));
            g_assert_cmpint(http_parser_status(parser), ==, k->status);
            g_assert_cmpstr(body->str, ==, k->body);
            g_assert_true(http_parser_keeps(parser) == k->keeps);
        }
}

static void test_what_follows_is_left(void)
{
    static const char text[] = "HTTP/1.1 101 Switching\r\nA: 1\r\na: 2\r\n\r\nframes";
    g_autoptr(HttpParser) parser = http_parser_new(FALSE, NULL, NULL);

    g_assert_cmpint(http_parser_feed(parser, text, strlen(text), NULL), ==,
                    strlen(text) - strlen("frames"));
    g_assert_cmpstr(http_parser_header(parser, "a"), ==, "1");
    g_assert_null(http_parser_header(parser, "b"));
}

static void test_endless_heads_are_refused(void)
{
    g_autoptr(HttpParser) parser = http_parser_new(FALSE, NULL, NULL);
    g_autoptr(GError) error = NULL;
    gssize used = http_parser_feed(parser, "HTTP/1.1 200 OK\r\n", 17, &error);

    for (guint i = 0; i < HTTP_HEAD_MAX && used > 0; i++)
        used = http_parser_feed(parser, "a: b\r\n", 6, &error);
    g_assert_cmpint(used, ==, -1);
    g_assert_true(error_is(error, ERROR_HTTP_CLIENT));
}

static void test_urls(void)
{
    static const struct {
        const char *text, *host, *authority, *target;
        guint port;
    } good[] = {
        { "https://a.b/x?y", "a.b", "a.b", "/x?y", 443 },
        { "http://127.0.0.1:80", "127.0.0.1", "127.0.0.1:80", "/", 80 },
        { "https://[::1]:8444/acs/", "::1", "[::1]:8444", "/acs/", 8444 },
        { "https://h:1?q", "h", "h:1", "/?q", 1 },
    };
    static const char *const bad[] = { "", "h:1", "ws://h", "https://", "https://h:0", "https://h:x",
                                       "https://h:70000", "https://u@h/", "https://h h/", "https:///x" };

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(HttpUrl) url = http_url_parse(good[i].text, NULL);
        g_assert_nonnull(url);
        g_assert_cmpstr(url->host, ==, good[i].host);
        g_assert_cmpstr(url->authority, ==, good[i].authority);
        g_assert_cmpstr(url->target, ==, good[i].target);
        g_assert_cmpuint(url->address.port, ==, good[i].port);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(HttpUrl) url = http_url_parse(bad[i], NULL);
        g_assert_null(url);
    }
}

static void test_headers_cannot_be_smuggled(void)
{
    const char *const headers[] = { "X-Name", "value\r\nEvil: 1", NULL };
    const HttpRequest bad_header = { .method = "GET", .target = "/", .headers = headers };
    const HttpRequest bad_target = { .method = "GET", .target = "/ HTTP/1.1\r\nEvil: 1" };
    const HttpRequest good = { .method = "POST", .target = "/a", .body = "{}", .body_length = 2 };

    g_assert_null(http_request_bytes(&bad_header, "h", NULL));
    g_assert_null(http_request_bytes(&bad_target, "h", NULL));
    g_autoptr(GString) bytes = http_request_bytes(&good, "h:1", NULL);
    g_assert_cmpstr(bytes->str, ==, "POST /a HTTP/1.1\r\nHost: h:1\r\nContent-Length: 2\r\n\r\n{}");
}

static void test_image_names(void)
{
    static const struct {
        const char *image, *path;
    } cases[] = {
        { "bb", "/images/create?fromImage=bb&tag=latest" },
        { "bb:1", "/images/create?fromImage=bb&tag=1" },
        { "h:5000/a/b", "/images/create?fromImage=h%3A5000%2Fa%2Fb&tag=latest" },
        { "h:5000/a/b:2", "/images/create?fromImage=h%3A5000%2Fa%2Fb&tag=2" },
        { "a:1@sha256:ab", "/images/create?fromImage=a&tag=sha256%3Aab" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = docker_tree_pull_path(cases[i].image);
        g_assert_cmpstr(path, ==, cases[i].path);
    }
    json_auto_t *image = json_loads("{\"RepoDigests\": [\"x@sha256:1\", \"h:5000/a@sha256:2\"]}", 0, NULL);
    g_autofree char *digest = docker_tree_digest(image, "h:5000/a:7");
    g_assert_cmpstr(digest, ==, "sha256:2");
    g_assert_null(docker_tree_digest(image, "h:5000/ab"));
}

static void test_containers(void)
{
    json_auto_t *tree = json_loads(
        "{\"Id\": \"abc\", \"Name\": \"/n\", \"State\": {\"Status\": \"exited\", \"ExitCode\": 137,"
        " \"OOMKilled\": true, \"Error\": \"\", \"StartedAt\": \"2026-11-22T09:08:45.123456789Z\","
        " \"FinishedAt\": \"0001-01-01T00:00:00Z\", \"Health\": {\"Status\": \"unhealthy\"}},"
        " \"Config\": {\"Labels\": {\"a\": \"b\"}}, \"NetworkSettings\": {\"Ports\": {"
        "\"80/tcp\": [{\"HostIp\": \"0.0.0.0\", \"HostPort\": \"32768\"},"
        " {\"HostIp\": \"::\", \"HostPort\": \"32768\"}], \"53/udp\": null}}}", 0, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(DockerContainer) c = docker_tree_container(tree, &error);

    g_assert_no_error(error);
    g_assert_cmpint(c->state, ==, DOCKER_EXITED);
    g_assert_true(c->was_started && c->oom_killed);
    g_assert_cmpint(c->started_us % 1000000, ==, 123456);
    g_assert_cmpint(c->finished_us, ==, 0);
    g_assert_cmpint(c->health, ==, DOCKER_UNHEALTHY);
    g_assert_cmpuint(c->ports->len, ==, 1);
    g_assert_cmpuint(((DockerPort *)c->ports->pdata[0])->host_port, ==, 32768);
    json_auto_t *half = json_pack("{s:s}", "Id", "abc");
    g_autoptr(DockerContainer) none = docker_tree_container(half, NULL);
    g_assert_null(none);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/http/parser", test_parser);
    g_test_add_func("/http/what-follows-is-left", test_what_follows_is_left);
    g_test_add_func("/http/endless-heads-are-refused", test_endless_heads_are_refused);
    g_test_add_func("/http/urls", test_urls);
    g_test_add_func("/http/headers-cannot-be-smuggled", test_headers_cannot_be_smuggled);
    g_test_add_func("/docker/image-names", test_image_names);
    g_test_add_func("/docker/containers", test_containers);
    return g_test_run();
}
