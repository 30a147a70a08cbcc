#include "base/errors.h"
#include "server/upgrade.h"

#include <string.h>

#define KEY "Sec-WebSocket-Key: /6gdaEOkXQ2p/+W94hN88g==\r\n"
#define WS  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY

static void test_takes_an_agents_request(void)
{
    static const char text[] = "GET /acs/ws?a=b+c&d=%20 HTTP/1.1\r\nHost: h:1\r\nX-Odd:  a  b \r\n" WS
                               "\r\nrest";
    g_autoptr(Upgrade) upgrade = NULL;
    g_autoptr(GError) error = NULL;
    gsize used = 0;

    g_assert_true(upgrade_parse(text, strlen(text), &upgrade, &used, &error));
    g_assert_nonnull(upgrade);
    g_assert_cmpuint(used, ==, strlen(text) - strlen("rest"));
    g_assert_cmpstr(upgrade->path, ==, "/acs/ws");
    g_assert_cmpstr(upgrade->query, ==, "a=b+c&d=%20");
    g_assert_cmpstr(upgrade->key, ==, "/6gdaEOkXQ2p/+W94hN88g==");
    g_assert_cmpstr(upgrade_header(upgrade, "host"), ==, "h:1");
    g_assert_cmpstr(upgrade_header(upgrade, "x-odd"), ==, "a  b");
}

static void test_waits_for_the_whole(void)
{
    static const char text[] = "GET / HTTP/1.1\r\n" WS "\r\n";

    for (gsize length = 0; length < strlen(text); length++) {
        g_autoptr(Upgrade) upgrade = NULL;
        gsize used = 0;
        g_assert_true(upgrade_parse(text, length, &upgrade, &used, NULL));
        g_assert_null(upgrade);
    }
}

static void test_refuses(void)
{
    static const char *const bad[] = {
        "POST / HTTP/1.1\r\n" WS "\r\n",
        "GET / HTTP/1.0\r\n" WS "\r\n",
        "GET /a b HTTP/1.1\r\n" WS "\r\n",
        "GET http://h/ HTTP/1.1\r\n" WS "\r\n",
        "GET / HTTP/1.1\r\n" WS " folded: x\r\n\r\n",
        "GET / HTTP/1.1\r\n" WS "no colon\r\n\r\n",
        "GET / HTTP/1.1\r\n" WS "Content-Length: 5\r\n\r\nhello",
        "GET / HTTP/1.1\r\n" WS "Transfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY "\r\n",
        "GET / HTTP/1.1\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" KEY "\r\n",
        "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n" KEY
        "\r\n",
        "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: short\r\n\r\n",
        "\r\n\r\n",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(Upgrade) upgrade = NULL;
        g_autoptr(GError) error = NULL;
        gsize used = 0;
        g_test_message("%s", bad[i]);
        g_assert_false(upgrade_parse(bad[i], strlen(bad[i]), &upgrade, &used, &error));
        g_assert_true(error_is(error, ERROR_MALFORMED_REQUEST));
        g_assert_null(upgrade);
    }
}

static void test_has_bounds(void)
{
    g_autoptr(GString) many = g_string_new("GET / HTTP/1.1\r\n" WS);
    g_autoptr(GString) endless = g_string_new("GET / HTTP/1.1\r\nX: ");
    g_autoptr(Upgrade) upgrade = NULL;
    g_autoptr(GError) error = NULL;
    gsize used = 0;

    for (guint i = 0; i < UPGRADE_HEADERS_MAX; i++)
        g_string_append_printf(many, "X-%u: y\r\n", i);
    g_string_append(many, "\r\n");
    g_assert_false(upgrade_parse(many->str, many->len, &upgrade, &used, &error));
    g_assert_true(error_is(error, ERROR_TOO_LARGE));
    g_clear_error(&error);
    while (endless->len < UPGRADE_BYTES_MAX)
        g_string_append_c(endless, 'x');
    g_assert_false(upgrade_parse(endless->str, endless->len, &upgrade, &used, &error));
    g_assert_true(error_is(error, ERROR_TOO_LARGE));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/upgrade/takes-an-agents-request", test_takes_an_agents_request);
    g_test_add_func("/upgrade/waits-for-the-whole", test_waits_for_the_whole);
    g_test_add_func("/upgrade/refuses", test_refuses);
    g_test_add_func("/upgrade/has-bounds", test_has_bounds);
    return g_test_run();
}
