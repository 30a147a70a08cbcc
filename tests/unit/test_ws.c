/* wire/ws: what one side sends the other receives, however it is cut; a peer that breaks the rules is closed. */
#include "wire/ws.h"

#include <string.h>

typedef struct {
    GPtrArray *texts;
    guint pongs;
} Heard;

static void hear_text(Ws *ws G_GNUC_UNUSED, const char *text, gsize length, gpointer user)
{
    Heard *heard = user;

    g_assert_cmpuint(strlen(text), ==, length);
    g_ptr_array_add(heard->texts, g_strdup(text));
}

static void hear_pong(Ws *ws G_GNUC_UNUSED, gpointer user)
{
    ((Heard *)user)->pongs++;
}

static void answer_text(Ws *ws, const char *text, gsize length, gpointer user)
{
    hear_text(ws, text, length, user);
    g_assert_true(ws_send_text(ws, "ack", 3));
}

static Heard heard_new(void)
{
    return (Heard){ .texts = g_ptr_array_new_with_free_func(g_free) };
}

/* Carries all that from has to say over to to, at most step bytes a time. */
static void carry(Ws *from, Ws *to, gsize step)
{
    gsize length;

    for (const guint8 *bytes = ws_output(from, &length); length > 0;
         bytes = ws_output(from, &length)) {
        gsize count = MIN(length, step);
        ws_feed(to, bytes, count);
        ws_output_done(from, count);
    }
}

static void test_accept_is_that_of_the_rfc(void)
{
    char accept[WS_ACCEPT_SIZE], key[WS_KEY_SIZE], other[WS_KEY_SIZE];

    ws_make_accept("dGhlIHNhbXBsZSBub25jZQ==", accept);
    g_assert_cmpstr(accept, ==, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    ws_make_key(key);
    ws_make_key(other);
    g_assert_true(ws_check_key(key));
    g_assert_cmpstr(key, !=, other);
    g_assert_false(ws_check_key("c2hvcnQ="));
    g_assert_false(ws_check_key("dGhlIHNhbXBsZSBub25jZ!=="));
    g_assert_false(ws_check_key(""));
}

static void test_messages_arrive_whole_however_cut(void)
{
    static const gsize lengths[] = { 0, 1, 125, 126, 127, 65535, 65536, 200000 };
    static const gsize steps[] = { 1, 7, 4096, 1000000 };

    for (gsize s = 0; s < G_N_ELEMENTS(steps); s++) {
        Heard at_server = heard_new(), at_client = heard_new();
        g_autoptr(Ws) server = ws_new(WS_SERVER, 1 << 20, hear_text, hear_pong, &at_server);
        g_autoptr(Ws) client = ws_new(WS_CLIENT, 1 << 20, hear_text, hear_pong, &at_client);

        for (gsize i = 0; i < G_N_ELEMENTS(lengths); i++) {
            g_autofree char *text = g_strnfill(lengths[i], 'a' + (char)i);
            g_assert_true(ws_send_text(client, text, lengths[i]));
            g_assert_true(ws_send_text(server, text, lengths[i]));
        }
        carry(client, server, steps[s]);
        carry(server, client, steps[s]);
        for (gsize i = 0; i < G_N_ELEMENTS(lengths); i++) {
            g_autofree char *text = g_strnfill(lengths[i], 'a' + (char)i);
            g_assert_cmpstr(at_server.texts->pdata[i], ==, text);
            g_assert_cmpstr(at_client.texts->pdata[i], ==, text);
        }
        g_ptr_array_unref(at_server.texts);
        g_ptr_array_unref(at_client.texts);
    }
}

static void test_a_handler_may_answer(void)
{
    Heard at_server = heard_new(), at_client = heard_new();
    g_autoptr(Ws) server = ws_new(WS_SERVER, 1024, answer_text, NULL, &at_server);
    g_autoptr(Ws) client = ws_new(WS_CLIENT, 1024, hear_text, NULL, &at_client);

    ws_send_text(client, "payload", 7);
    carry(client, server, 1024);
    carry(server, client, 1024);
    g_assert_cmpuint(at_client.texts->len, ==, 1);
    g_assert_cmpstr(at_client.texts->pdata[0], ==, "ack");
    g_ptr_array_unref(at_server.texts);
    g_ptr_array_unref(at_client.texts);
}

static void test_ping_is_answered(void)
{
    Heard at_server = heard_new(), at_client = heard_new();
    g_autoptr(Ws) server = ws_new(WS_SERVER, 1024, hear_text, hear_pong, &at_server);
    g_autoptr(Ws) client = ws_new(WS_CLIENT, 1024, hear_text, hear_pong, &at_client);

    g_assert_true(ws_send_ping(server));
    carry(server, client, 1024);
    g_assert_cmpuint(at_client.pongs, ==, 1);
    carry(client, server, 1024);
    g_assert_cmpuint(at_server.pongs, ==, 1);
    g_ptr_array_unref(at_server.texts);
    g_ptr_array_unref(at_client.texts);
}

static void test_close_ends_both(void)
{
    Heard heard = heard_new();
    g_autoptr(Ws) server = ws_new(WS_SERVER, 1024, hear_text, NULL, &heard);
    g_autoptr(Ws) client = ws_new(WS_CLIENT, 1024, hear_text, NULL, &heard);

    g_assert_cmpuint(ws_peer_close_code(client), ==, 0);
    g_assert_true(ws_send_text(server, "last", 4));
    g_assert_true(ws_send_close(server, WS_CLOSE_AWAY, "going"));
    g_assert_false(ws_send_text(server, "late", 4));
    carry(server, client, 1024);
    g_assert_cmpuint(heard.texts->len, ==, 1);
    g_assert_cmpuint(ws_peer_close_code(client), ==, WS_CLOSE_AWAY);
    g_assert_false(ws_is_closed(client));
    carry(client, server, 1024);
    g_assert_true(ws_is_closed(client));
    g_assert_true(ws_is_closed(server));
    g_ptr_array_unref(heard.texts);
}

static void test_a_long_reason_is_cut_between_characters(void)
{
    Heard heard = heard_new();
    g_autoptr(Ws) server = ws_new(WS_SERVER, 1024, hear_text, NULL, &heard);
    g_autoptr(Ws) client = ws_new(WS_CLIENT, 1024, hear_text, NULL, &heard);
    g_autofree char *ascii = g_strnfill(122, 'x');
    g_autofree char *reason = g_strconcat(ascii, "\xc3\xa9\xc3\xa9", NULL);

    g_assert_true(ws_send_close(server, WS_CLOSE_POLICY, reason));
    carry(server, client, 1024);
    g_assert_cmpuint(ws_peer_close_code(client), ==, WS_CLOSE_POLICY);
    g_ptr_array_unref(heard.texts);
}

/* Frames that must end the connection, and the close code they earn (RFC 6455 section 7.4.1). */
static void test_a_peer_that_breaks_the_rules_is_closed(void)
{
    static const struct {
        const char *what;
        guint8 bytes[16];
        gsize length;
        guint16 code;
    } cases[] = {
        { "no mask", { 0x81, 0x01, 'x' }, 3, 1002 },
        { "reserved bit", { 0xc1, 0x81, 0, 0, 0, 0, 'x' }, 7, 1002 },
        { "unknown opcode", { 0x83, 0x81, 0, 0, 0, 0, 'x' }, 7, 1002 },
        { "continuation of nothing", { 0x80, 0x81, 0, 0, 0, 0, 'x' }, 7, 1002 },
        { "text that is not UTF-8", { 0x81, 0x81, 0, 0, 0, 0, 0xff }, 7, 1007 },
        { "binary", { 0x82, 0x81, 0, 0, 0, 0, 'x' }, 7, 1003 },
        { "length not in its shortest form", { 0x81, 0xfe, 0, 1, 0, 0, 0, 0, 'x' }, 9, 1005 },
        { "too large", { 0x81, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'x' }, 15, 1009 },
        { "fragmented ping", { 0x09, 0x80, 0, 0, 0, 0 }, 6, 1005 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        Heard heard = heard_new();
        g_autoptr(Ws) server = ws_new(WS_SERVER, 1024, hear_text, NULL, &heard);
        g_autoptr(Ws) client = ws_new(WS_CLIENT, 1024, hear_text, NULL, &heard);

        g_test_message("%s", cases[i].what);
        g_assert_false(ws_feed(server, cases[i].bytes, cases[i].length));
        g_assert_cmpuint(heard.texts->len, ==, 0);
        carry(server, client, 1024);
        g_assert_cmpuint(ws_peer_close_code(client), ==, cases[i].code);
        g_assert_true(ws_is_closed(server));
        g_ptr_array_unref(heard.texts);
    }
}

static void test_fragments_are_joined_and_bounded(void)
{
    static const guint8 first[] = { 0x01, 0x82, 0, 0, 0, 0, 'a', 'b' };
    static const guint8 last[] = { 0x80, 0x82, 0, 0, 0, 0, 'c', 'd' };
    Heard heard = heard_new();
    g_autoptr(Ws) wide = ws_new(WS_SERVER, 4, hear_text, NULL, &heard);
    g_autoptr(Ws) narrow = ws_new(WS_SERVER, 3, hear_text, NULL, &heard);

    g_assert_true(ws_feed(wide, first, sizeof first));
    g_assert_cmpuint(heard.texts->len, ==, 0);
    g_assert_true(ws_feed(wide, last, sizeof last));
    g_assert_cmpuint(heard.texts->len, ==, 1);
    g_assert_cmpstr(heard.texts->pdata[0], ==, "abcd");
    g_assert_true(ws_feed(narrow, first, sizeof first));
    g_assert_false(ws_feed(narrow, last, sizeof last));
    g_assert_cmpuint(heard.texts->len, ==, 1);
    g_ptr_array_unref(heard.texts);
}

/* Whatever may be freed between messages, nothing is forgotten within one: byte by byte, with frames
 * going out at each. */
static void test_a_message_survives_what_comes_between(void)
{
    static const guint8 bytes[] = {
        0x01, 0x82, 0, 0, 0, 0, 'a', 0xc3,       /* text, a character cut in two */
        0x89, 0x81, 0, 0, 0, 0, '!',             /* ping */
        0x00, 0x80, 0, 0, 0, 0,                  /* continuation, empty */
        0x80, 0xfe, 0, 126, 0, 0, 0, 0, 0xa9,    /* the last one, of 126 bytes */
    };
    guint8 rest[125];
    Heard heard = heard_new(), at_client = heard_new();
    g_autoptr(Ws) server = ws_new(WS_SERVER, 1024, hear_text, hear_pong, &heard);
    g_autoptr(Ws) client = ws_new(WS_CLIENT, 1024, hear_text, hear_pong, &at_client);

    memset(rest, 'z', sizeof rest);
    for (gsize i = 0; i < sizeof bytes; i++) {
        g_assert_true(ws_feed(server, bytes + i, 1));
        g_assert_true(ws_send_text(server, "down", 4));
        carry(server, client, 3);
    }
    g_assert_cmpuint(heard.texts->len, ==, 0);
    g_assert_true(ws_feed(server, rest, sizeof rest));
    g_assert_cmpuint(heard.texts->len, ==, 1);
    g_assert_true(g_str_has_prefix(heard.texts->pdata[0], "a\303\251zzz"));
    g_assert_cmpuint(at_client.texts->len, ==, sizeof bytes);
    g_assert_cmpuint(at_client.pongs, ==, 1);
    g_ptr_array_unref(heard.texts);
    g_ptr_array_unref(at_client.texts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ws/accept", test_accept_is_that_of_the_rfc);
    g_test_add_func("/ws/messages-arrive-whole", test_messages_arrive_whole_however_cut);
    g_test_add_func("/ws/a-handler-may-answer", test_a_handler_may_answer);
    g_test_add_func("/ws/ping-is-answered", test_ping_is_answered);
    g_test_add_func("/ws/close-ends-both", test_close_ends_both);
    g_test_add_func("/ws/long-reason", test_a_long_reason_is_cut_between_characters);
    g_test_add_func("/ws/rule-breakers", test_a_peer_that_breaks_the_rules_is_closed);
    g_test_add_func("/ws/fragments", test_fragments_are_joined_and_bounded);
    g_test_add_func("/ws/message-survives", test_a_message_survives_what_comes_between);
    return g_test_run();
}
