/* Answers of HTTP servers and of Docker: no bytes crash, and the pieces they come in change nothing. */
#include "drivers/docker_tree.h"
#include "drivers/http.h"
#include "fuzz.h"

static gboolean collect(const char *data, gsize length, gpointer user, GError **error)
{
    (void)error;
    g_string_append_len(user, data, (gssize)length);
    return TRUE;
}

/* How the message ended: bytes used, or -1. */
static gssize parse(const uint8_t *data, size_t size, size_t piece, GString *body)
{
    g_autoptr(HttpParser) parser = http_parser_new(FALSE, collect, body);
    gssize total = 0;

    for (size_t at = 0; at < size && !http_parser_is_done(parser); at += piece) {
        gssize used = http_parser_feed(parser, (const char *)data + at, MIN(piece, size - at), NULL);
        if (used < 0)
            return -1;
        total += used;
    }
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GString) whole = g_string_new(NULL), pieces = g_string_new(NULL);
    g_autofree char *text = g_strndup((const char *)data, size);

    g_assert_cmpint(parse(data, size, size + 1, whole), ==, parse(data, size, 3, pieces));
    g_assert_true(g_string_equal(whole, pieces));
    g_autoptr(HttpUrl) url = http_url_parse(text, NULL);
    json_auto_t *tree = json_loadb(text, size, 0, NULL);
    g_autoptr(DockerContainer) container = tree ? docker_tree_container(tree, NULL) : NULL;
    g_autoptr(GPtrArray) list = tree ? docker_tree_list(tree, NULL) : NULL;
    g_autofree char *path = docker_tree_pull_path(text);
    g_autofree char *digest = docker_tree_digest(tree, text);
    return 0;
}
